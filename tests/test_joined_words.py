"""A phrase or a number spread over several messages of a shop is read as one; sentences that merely meet are not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.moderation import Channel, Context, moderated
from service.flows.exchange_messages import Said, post_message
from service.flows.heard import Outcome
from service.store import tables
from tests.world import BUYER, OWNER, SEAT, World, new_world, rule_book

RULES = rule_book().for_platform("taobao")
CHAT = Context(Channel.BUYER_CHAT, "taobao")
SPREAD = (
    "加我|微信abc123", "138|0013|8000", "我电话138|00138000", "加V|12345678", "我的扣|扣号是 12345678", "转|账给我",
    "删差|评返10元", "加卫|星", "去拼多|多买吧", "百分百|有效", "手机号一三八|零零一三八零零零",
)  # fmt: skip
TALKS = """
亲，您好|在的|请问是哪个订单呢|麻烦发一下订单号|我帮您查一下|稍等哈
您的快递单号是|73111234567890|中通的|昨天从杭州发出|预计后天到
单号SF138001380|00123|您查一下顺丰官网|有问题再联系我
给您备注加急了|微信支付的话会原路退回|一般1到3天|支付宝当天到
这边给您补|单独发一份配件|不收运费|明天发出
您先拍照|给我看一下吊牌|还有外包装|我发给仓库核实
退款已经同意了|钱会原路退回|您用什么付的就退到哪里|微信零钱也是一样
这款是第|二批货了|和第一批是一样的|您放心
我们最|近订单比较多|发货会晚一点|大概48小时
您加|个收藏吧|有货了会提醒|谢谢亲
这件衣服很好|评价里有买家秀|您可以看看|现在有活动
已经帮您转|账期是7天|财务在处理|请耐心等待
给您转|接售后同事|他会处理的|不好意思久等了
电话联系不上快递员|138|开头的那个号码|是快递员的
尺码建议|160|选M|165|选L
一共退您|13.8元|运费是5元|合计18.8
库存还有1380|0件不够发|要等补货|下周到
亲 电话是|您下单时留的那个吗|收件地址也核对一下
麻烦提供一下|手机号后四位|我核实身份|不会外泄
可以走线|上流程|平台会处理|您点申请售后
请在线|下单备注里写|我们会看到的|谢谢
您直接在平台|外包装拍一下|再拍一张产品|我这边申请补偿
这个不是|有病菌的|是面料的小颗粒|洗一下就没有了
我知道您|地址写的是旧的|帮您改一下|改好了
快递到不了您|家门口|要去驿站取|取件码8-2-1380
绝|不会影响使用的|您放心|有质保
质保期是1|3个月|从签收算起|有问题联系我们
您用的是手机|QQ音乐吗|账号登录一下|兑换码在卡上
兑换码是|A1B2C3D4|复制到官网|就可以了
官方客服电话|95311|是圆通的|您也可以打给他们
开发票的话|请提供邮箱|和税号|我们发到您邮箱
您的邮箱是|abc@qq.com对吗|发票已发|请查收
这个牌子|京东也有卖|但我们是自己的店|价格不一样
我们没有微|商渠道|只有这家店|都是正品
加|厚的那款卖完了|微|厚的还有|您要吗
扫|码枪坏了|所以没扫上|明天补扫
您收到的是|V领的还是圆领的|拍照看一下|我帮您换
我帮您加|V领那款的备注了|明天发|谢谢
颜色选|Q版的|还是普通版|都有现货
好评|就不用了|您满意就好|有问题随时联系
差评|我们看到了|很抱歉给您带来不便|给您安排退货
删|除订单后|评价就看不到了|这是系统的
返|修的话|现在可以寄回|运费我们出
五星|级酒店同款|返|场活动明天开始|您可以等等
银行卡退款|1-7个工作日|6222|开头的是工行
订单号是 2026|1380013800012|您看对吗
取件码13|8001|在小区门口|驿站8点关门
请把单号|发给我|1380|结尾的那个
包裹重量是1|38|公斤写错了|是1.38
上门|取件的时间|13点到18点|您在家吗
您加我|们店铺会员|有优惠券|可以领
关注店铺|公众|假期发货会延迟|请谅解
发个定位|微信地图的也行|我看看哪个网点|离您近
百分百|棉的|不掉色|可机洗
保证|金已经交了|平台会监督|您放心买
今天|肯定有人值班|有问题可以找客服|不急
明天发|确保包装完好|我们会多包一层|谢谢
我滚|轮款和普通款都有|您要哪个|都发顺丰
您别傻|等了|我催一下|马上发
妈|妈款的|卖完了|只有爸爸款
他妈|妈说尺码小了|可以换大一码|邮费我们出
请您线|下次购买时|备注一下|给您送个小礼物
那就私|下单时选这个颜色|备注送礼|我们不放小票
转让|账号的不支持|请用本人账号|下单
QQ|糖有三个口味|草莓|葡萄|您要哪个
支付|宝贝价格是29|优惠券减5|到手24
您可以去|淘宝首页|点我的订单|查看物流
拼|多件有优惠|多买多减|满100减10
请加|急发货|微信付款的订单|也是一样的
我这边号|码段是138|开头的打给您的|是快递
"""


@pytest.fixture
def world(database: str, tmp_path: Path) -> Iterator[World]:
    with new_world(database, tmp_path) as made:
        yield made


def say(world: World, dispute: str, text: str, actor: object = OWNER) -> Outcome:
    """One message of the shop to the buyer."""
    said = Said(f"m-{next(world.numbers)}", text=text)
    answer = world.tell(actor, lambda ctx: post_message(ctx, dispute, said))
    assert isinstance(answer, Outcome)
    return answer


@pytest.mark.parametrize("pieces", SPREAD)
def test_what_is_spread_over_messages_is_found_in_the_last_one(pieces: str) -> None:
    """Issue 3, point 5: the span cuts the new message's own characters and says what was begun before."""
    *before, last = pieces.split("|")

    found = [f for f in moderated(last, RULES, CHAT, before=before).verdict.findings if f.begun]

    assert found
    assert all(last[f.start : f.end] == f.matched and f.matched for f in found)
    assert all("".join(before).endswith(f.begun) for f in found)


def test_sentences_that_merely_meet_are_innocent_on_every_marketplace() -> None:
    """D12: typical conversations, many cut at the worst place."""
    flagged = []
    for platform in rule_book().profiles:
        rules = rule_book().for_platform(platform)
        for talk in (line.split("|") for line in TALKS.strip().splitlines()):
            for at in range(1, len(talk)):
                heard = moderated(talk[at], rules, Context(Channel.BUYER_CHAT, platform), before=talk[:at])
                flagged += [(f.rule, f.begun, f.matched) for f in heard.verdict.findings if f.begun]

    assert flagged == []


def test_the_end_of_a_sentence_at_the_seam_makes_it_prose() -> None:
    """Edge case 30: 加我。 and 微信支付 are two sentences."""
    assert not moderated("微信可以付款", RULES, CHAT, before=["请您稍等加我。"]).verdict.findings


@given(st.lists(st.text(max_size=40), max_size=6), st.text(max_size=60))
def test_every_span_cuts_the_new_message_exactly(before: list[str], text: str) -> None:
    """Whatever is written in whatever script."""
    for found in moderated(text, RULES, CHAT, before=before).verdict.findings:
        assert text[found.start : found.end] == found.matched


def test_a_number_in_three_messages_is_stopped_whichever_seats_send_them(world: World) -> None:
    """D1: both seats of the shop are one side, and the buyer's words between do not part them."""
    dispute = world.make_dispute()
    say(world, dispute, "138")
    world.tell(BUYER, lambda ctx: post_message(ctx, dispute, Said("b-1", text="什么意思?")))
    say(world, dispute, "0013", SEAT)

    last = say(world, dispute, "8000")

    assert last.outcome == "rejected"
    assert [m.delivery for m in world.rows(tables.Message, dispute_id=dispute)][-1] == "blocked"


def test_pieces_far_apart_in_time_are_no_phrase(world: World) -> None:
    """Choice: after ten minutes nobody reads them as one."""
    dispute = world.make_dispute()
    say(world, dispute, "138")
    say(world, dispute, "0013")
    world.pass_time(minutes=10)

    assert say(world, dispute, "8000").outcome == "sent"
