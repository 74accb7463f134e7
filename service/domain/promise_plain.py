"""The words a plain promise is made of, beside its verb, time and sum: whatever else stands in it is not understood.

Whatever a clause says beyond these words may change what it means, so it is not confirmed: better a promise missed
than one that was not made (promises.md section 4).
"""

from __future__ import annotations

import re
from typing import Final

import ahocorasick

from service.domain.promise_actions import TO

BLANK: Final = "\x00"  # stands for what is understood otherwise
_SPEAKERS: Final = (
    "我们 咱们 我方 我司 我 咱 本店 小店 我们店 咱店 店 店里 店铺 商家 卖家 店家 店主 这边 那边 这里 本人"
    " 我家 咱家 自家 仓库 仓储 仓管 仓 库房 总仓 分仓 工作人员 售后 同事 财务 客服 老板 老板娘 店长 掌柜 主管"
    " 自己 自个 自个儿 财务小姐姐 小姐姐 会计 出纳 仓库阿姨 师傅 小伙子 小工 我方 门店 总部 老婆 媳妇 家里人 这头"
    " 我这 我这头 员工 本方"
    " 本公司 公司 贵店 我方这边 经理 发货员 打包员 配货员 发货部 仓储部"
)
_FOR_WHOM: Final = (
    "给 为 帮 替 向 跟 对 到 由 把 将 让 叫 平台 消费者 客户 买家 顾客 用户 亲 您 你 他 她 它 们 家 的 对方"
    " 大姐 大哥 姐姐 妹 妹子 妹儿 老铁 兄弟 哥们 哥们儿 朋友 靓女 靓仔 帅哥 美女 老师 阿姨 大姨 大叔 叔 孩子 老人"
    " 小二 贵平台 你们 您们 拨"
    " 各位 用户那边 大家 客人 人家 宝宝 宝子 小姐姐 姐 哥 女士 先生 这位 收件人 收货人 家人"
)
_THINGS: Final = (
    "订单 单子 单 商品 宝贝 货物 货 件 包裹 产品 东西 配件 零件 赠品 礼品 说明书 发票 充电器 充电头 数据线"
    " 电池 遥控器 螺丝 盒子 盖子 袜子 裤 衣 帽子 包包 手机 电脑 耳机 杯子 水果 手表 眼镜 灯 椅子 桌子 柜子 床"
    " 被子 枕头 零食 茶叶 酒 奶粉 玩具 书 化妆品 口红 面膜 主机 屏幕 支架 底座 吊牌 包装 裙 毛衣 内衣 T恤"
    " 衣服 鞋子 鞋 裤子 裙子 外套 款项 款 钱 钱款 金额 费用 差价 差额 运费 邮费 快递费 货款 本金 这 那 该 此"
    " 本 个 一 份 套 双 条 台 张 次 笔 下 盒 包 只 瓶 箱 块 新 新的 同款 漏 漏掉 漏发 漏了 少 少的 少发 缺"
    " 旧 旧的 旧件 旧货 机 新机 旧机 机器 整机 主板 定金 订金 押金 价差 差 运费差 勺子 沙发"
    " 家具 床垫 冰箱 洗衣机 空调 电视 花 箱子 袋子 旧鞋 新鞋 新货 好的 样 礼 小样 试用装"
    " 补打 说的 新品 按比例 饭前 面单 手写 保修卡 质保卡 合格证 卡 红色 蓝色 黑色 白色 灰色 粉色 绿色 黄色 紫色"
    " 新地址"
    " 头班车 末班车 袋 罐 桶"
    " 事 事儿 这事 这事儿 那个 那件 那批 这批 水杯 杯 盖 被套 床单 垫 垫子 主件 副件 扣子 外机 内机 滤芯 插头 线"
    " 钥匙 把手 轮子 螺母 胶 纸 笔 本子 书包 帽 围巾 手套"
    " 雨伞 伞 锅 碗 盘 盘子 勺 筷子 刀 壶 水壶 保温杯 香水 精华 洗面奶 牙膏 牙刷 毛巾 浴巾 窗帘 地毯 画 镜子 相框"
    " 挂钩 架子 收纳盒 猫粮 狗粮 花盆 种子 蛋糕 月饼 粽子 大米 油"
    " 缺的 坏 坏的 破 破损 损坏 一部分 部分 一半 全新 大码 小码 尺码 码 号 天 日 点 月 年"
)
_WILL: Final = (
    "可以 能够 能 会 将 要 同意 答应 愿意 接受 确认 确定 保证 确保 承诺 一定 肯定 必定 必须 绝对 务必 准保"
    " 保准 铁定 妥妥 稳稳 一准 准 必 定 支持给 支持为 当然"
    " 指定 一准儿 准保 保管 说啥 说什么 无论如何 怎么着 横竖 反正 高低 定准 自掏 自掏腰包 自费 掏 腰包 倒贴 搭 贴"
)
_HOW: Final = (
    "直接 马上 立即 立刻 即刻 立马 现在 当场 安排 统一 正常 全部 全都 统统 通通 一次性 一并 一起 主动 免费"
    " 亲自 照常 照样 照旧 如期 准时 按时 准点 加急 优先 优先级 火速 极速 特快 单独 另外 另 同时 并 且 并且"
    " 以及 和 与 重新 原路 全额 全款 总共 一共 共 合计 足额 如数 最终 第一批 就 都 也 还 再 先 才 只 只能"
    " 具体 明确 准确 详细 正式 书面 现 至 人民币 整 妥妥地 保质 保量 尽数 逐一 分别 当面"
    " 这就 立马 麻溜 麻溜儿 麻利 赶紧 赶快 连夜 加班 加班加点 通宵 顺手 顺带 一块儿 头一车 头车 第一车 第一 第二"
    " 第三 其一 其二 首先 其次 然后 全 挨个 一个不少 一分不少 一分不差"
    " 亲手 不过 但 但是 所以 那么 因此 那就 这样 这样吧"
)
_WHEN: Final = (
    "最晚 最迟 至迟 至少 最多 不超过 不晚于 不迟于 之前 以前 之内 以内 内 前 期间 左右 当天 时间 时 以 在 于"
    " 期 上班 一上班 整 人 退货 取 第一个 第一件事 随货 随单 方案 结果 盯着 盯 我们店铺 咱们店 咱们店铺"
    " 维修费 清洗费 安装费 检测费 上门费 鉴定费 材料费 手续费 可 可于 白天 夜里 一早 赶早 头一个 首批 均 均可"
    " 将会 即可 便 该笔 此笔 那笔 笔 免运费 妥善 稳妥 仔细 好好 小额 打到 转到 汇到 退到 返到 充到 存到"
    " 账上 账里 卡里 卡上 零钱 到账 名下 手里 手上 口袋 钱包 原支付账户 支付账户 支付宝账户 微信零钱 里 原来 手续"
    " 耽搁 耽误 这两天的 这几天的 心意 损失 说明 情况 说明情况 误工费 人工费 加 车费 打车费 油费 话费 生活费 电费"
    " 原卡 原渠道 一定会 肯定会 都会 都能 就能 整个 完整 单号 车 交接 每件 每个 每条 每双 每套 每份 每台 每盒"
    " 每只 各 有人 会有 有快递 一 二 两 三 四 五 六 七 八 九 十 百 0 1 2 3 4 5 6 7 8 9"
)
_CARRIERS: Final = (
    "顺丰 京东 圆通 中通 申通 韵达 邮政 极兔 德邦 百世 安能 跨越 菜鸟 丹鸟 闪送 同城 专车 空运 陆运 航空 特快"
    " 快递 快递员 物流 小哥 师傅 ems 发 走 用 寄 通过 按 从"
)
_DONE: Final = (
    "过去 出去 过来 回去 出 走 掉 回 来 去 上 好 完 成 完毕 到位 妥 妥当 处理 操作 办理 执行 解决 落实 完成"
    " 上传 填写 更新 单号 快递单号 物流单号 运单号 办 办完 清 结清 弄 弄走 整 点 落 收 送去 带过去 搞 搞完 拿去"
    " 抱去 驮去 开过去"
    " 拉走 取走 收走 拿走 带走 换走 打包 装箱 出库 配货 备货 拣货 搞定 弄好 办好 送 送到 寄到 交 投递"
)
_MONEY: Final = (
    "补偿 赔偿 赔款 红包 优惠券 券 无门槛 现金 代金券 抵用券 积分 运费险 原支付 渠道 方式 返回 账户 账号"
    " 银行卡 支付宝 微信 余额 原账户 线上 系统 后台 转账 转 打款 打 汇 汇款 发放 支付 补贴 作为 当做 当作 算"
    " 算是 表示 心意 诚意 退货运费 退货邮费"
)
_CORRECTIONS: Final = "不对 说错 打错 写错 搞错 看错 记错 更正 改为 改成 改到 应为 不是 是"
_ARRANGED: Final = (
    "已安排 已经安排 已通知 已经通知 已备注 已经备注 已交代 已经交代 已加急 已经加急 已登记 已经登记 已预约"
    " 已经预约 已约 已经约 已协调 已经协调 预约"
)
_POLITE: Final = (
    "您好 你好 亲爱的 亲爱哒 抱歉 放心 谢谢 辛苦 好的 好哒 好滴 好嘞 可以的 没问题 行 中 嗯 恩 哦 哈 呢 呀 啊"
    " 吧 嘛 噢 喔 哟 啦 了 得 地 滴 哒 呗 嘞 咯 哇 诶 哎 唉 咧 撒 噻 哟喂 嘿 嘿嘿 哈哈 嘻嘻 么么 昂 额 呃 捏 昂"
    " 耶 哩 ok okay yes"
)
_AUTOMATON: Final = ahocorasick.Automaton()
for _words in (
    _SPEAKERS, _FOR_WHOM, _THINGS, _WILL, _HOW, _WHEN, _CARRIERS, _DONE, _MONEY, _CORRECTIONS, _ARRANGED, _POLITE
):  # fmt: skip
    for _word in _words.split():
        _AUTOMATON.add_word(_word, len(_word))
_AUTOMATON.add_word(BLANK, len(BLANK))
_AUTOMATON.make_automaton()

# What is sent again or anew, before or behind the verb, may be called anything: 漏发的那包螺丝, 一箱苹果, 把线.
_ANYTHING: Final = (
    r"[^不没无未非否难别后若待等看凭似约说想求催问超晚迟必如退先验收查核试慢付费价钱要得会能可应该估尽争概申谈商除只限前候万假但而或很太挺快点险"
    r"\W\x00]"
)
_WHICH: Final = _ANYTHING.replace("[^", "[^完好到来回齐修改确定签付补收拿满同通批开停", 1)  # 空调外机那个支架
_MARK: Final = re.compile(r"[^\w\x00]|_")
GOODS: Final = re.compile(
    rf"(?:漏|少|缺|坏|破)[发寄装放了掉损]{{0,2}}的(?:那|这|几|[一两二三四五六七八九0-9]){{0,2}}{_ANYTHING}{{0,5}}"
    rf"|把{_ANYTHING}{{1,5}}"
    rf"|(?:{_WHICH}{{1,6}}的?)?[那这](?:个|件|包|批|双|台|条|瓶|盒|箱|袋|套|支|本|颗|片|块|只|份|几|一)?{_WHICH}{{0,5}}"
    r"|(?:[0-9]{1,3}|[0-9x]{0,2}[sml]|[大小加][一两]?)(?:(?:码|号)的?|的)"
    rf"|(?:[一两二三四五六七八九十几那这]|[0-9]{{1,3}})(?:个|件|包|双|台|条|瓶|盒|箱|袋|套|支|把|根|张|本|颗|片|块|只|斤|份|桶|罐|副|对)"
    rf"{_ANYTHING}{{0,5}}"
)
WHICH_ONE: Final = re.compile(
    rf"(?:{_WHICH}{{1,6}}的?)?[那这](?:笔|单|个|件|包|批|双|台|条|瓶|盒|箱|袋|套|支|本|颗|片|块|只|份){_WHICH}{{0,6}}"
)
OBJECT: Final = re.compile(rf"{TO}?(?:新的?|同款)?{_ANYTHING}{{1,6}}?[吧哦哈呢呀啊的了]*")  # 补发充电器
# Whose fault it was, before what is done about it: 包裹压坏这个我认,50元补偿; not 坏了就赔.
CAUSE: Final = re.compile(
    rf"{_WHICH}{{1,5}}(?:坏|错|漏|少|丢|破|裂|碎|脏|瘪|烂)了?(?:这个|这事|的|也)?(?:是)?(?:(?:我们?|店里)?的?(?:[认赔]|责任|问题|锅|不对))?"
)
PLACE: Final = re.compile(rf"(?:从|在|由){_ANYTHING}{{1,5}}|[2-6]?x{{0,4}}[lms]码?|(?:走|用|发|寄){_ANYTHING}{{2}}快递")


def understood(text: str) -> bool:
    """Whether a text is all plain words; marks and blanks say nothing."""
    left = len(text)
    for _, length in _AUTOMATON.iter_long(text):
        left -= length
    return left == 0 or left == len(_MARK.findall(text))


# What may stand beside a bare verb that is meant: 退款吧, 可以补发哦.
PARTICLES: Final = re.compile(r"(?:[吧哦的了呗呢哈好行可能给先就全嗯咯啊呀直接都会\W\x00]|我们?|这边|可以|同意)*+")
# Without a time, a sum or one of these, a verb names a thing and commits to nothing: 退换货都很方便.
COMMITTING: Final = re.compile(
    r"可以|可|能|会|将|同意|答应|愿意|接受|给|帮|为|替|马上|立即|立刻|安排|直接|先|保证|一定|肯定|必|就|来|免费"
    r"|全|照|承担|报销|我|咱|行|好|原路|再|补|赔|送|退[您你]|吧|现在|即刻"
)
