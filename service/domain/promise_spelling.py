"""One spelling for many: width, traditional characters, disguised digits and invisible characters, with a way back."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Final, NamedTuple

# The traditional forms of the characters the promise grammar uses (a test holds the list complete).
_TRADITIONAL_FORMS: Final = (
    "發貨賠償補換寄個雙臺臺條罐幾兩時間點鐘後內號週禮這來還現產單處復覆應該預計盡儘爭證絕對問題們說稱辦過會給"
    "將爲為幫買賣費顧臨場裏裡從當無嗎麼麽請麻煩確認審覈核檢測實驗報銷擔價額萬億圓塊紅現結開關係聯繫電話"
    "訴與與嘗試況則約達運輸郵簽收領導闆經廠應陸續優連綫線據視決討論廣東節慶舊舊調轉賬帳戶財務動馬趕緊許許諾"
    "並並項類頁寫標顯員師順豐圖貼準備掉夠決顏攔購儲唄壞異損筆歷掃驛"
    "書於虧親僅倉傳體餘側倆兒兌興減憑擊劃剛別區協釐參變聽啓諮響噠喲嘍圍國聖堅聲頭寶層屬歲幣帶幹庫張錄憂態"
    "總願戲執揚擾揀撥擇揮攬攝數暫權極樣樓檻歡畢氣匯溝沒滿燒熱愛狀環碼積稅籤糾級紛終統編網騰營慮虛裝見規覺"
    "觸訂讓議記講設評誕詢詳誤誘誰諒謂謝貝負責敗質貴贈軌較邊進遲跡選遞鍾鈕錢銀鋪鏈錯長門陸險隨隱難黴韻頂須"
    "頒頻饋鳥黃齊刪機閉絲蘋適顆丟曬爛談鑑細贊闊範葉妝寧牀燈蓋維腦襪遙鏡專勸墊撫斷櫃夢潤獨盤穩褲詐誠誒賺車釋鐵閃鬧騙"
    "峯"
    "離"
    "輛"
    "軍湊嘰尋綠繳藍資"
    "夥傘淨華壓喫嗆囉壺婦帥簾廢歸懸慚掛摻擱曉橫溫濾貓畫癟種豎糧糉納紙罰勝膠髒訓賴輪輩鑰鉤鍋悶陽靚飯餅馱"
    "業樂鄉傭勻衛廂團媽嬸學驚摳櫻灑溼爐爺絨羣蝦襯讀釣鎖鍵鐲風魚鮮雞龍"
)
_SIMPLIFIED_FORMS: Final = (
    "发货赔偿补换寄个双台台条罐几两时间点钟后内号周礼这来还现产单处复复应该预计尽尽争证绝对问题们说称办过会给"
    "将为为帮买卖费顾临场里里从当无吗么么请麻烦确认审核核检测实验报销担价额万亿圆块红现结开关系联系电话"
    "诉与与尝试况则约达运输邮签收领导板经厂应陆续优连线线据视决讨论广东节庆旧旧调转账账户财务动马赶紧许许诺"
    "并并项类页写标显员师顺丰图贴准备掉够决颜拦购储呗坏异损笔历扫驿"
    "书于亏亲仅仓传体余侧俩儿兑兴减凭击划刚别区协厘参变听启咨响哒哟喽围国圣坚声头宝层属岁币带干库张录忧态"
    "总愿戏执扬扰拣拨择挥揽摄数暂权极样楼槛欢毕气汇沟没满烧热爱状环码积税签纠级纷终统编网腾营虑虚装见规觉"
    "触订让议记讲设评诞询详误诱谁谅谓谢贝负责败质贵赠轨较边进迟迹选递钟钮钱银铺链错长门陆险随隐难霉韵顶须"
    "颁频馈鸟黄齐删机闭丝苹适颗丢晒烂谈鉴细赞阔范叶妆宁床灯盖维脑袜遥镜专劝垫抚断柜梦润独盘稳裤诈诚诶赚车释铁闪闹骗"
    "峰"
    "离"
    "辆"
    "军凑叽寻绿缴蓝资"
    "伙伞净华压吃呛啰壶妇帅帘废归悬惭挂掺搁晓横温滤猫画瘪种竖粮粽纳纸罚胜胶脏训赖轮辈钥钩锅闷阳靓饭饼驮"
    "业乐乡佣匀卫厢团妈婶学惊抠樱洒湿炉爷绒群虾衬读钓锁键镯风鱼鲜鸡龙"
)
_FORMAL_FORMS: Final = (
    "壹贰貳叁肆伍柒捌玖拾佰仟〇㈠㈡㈢㈣㈤㈥㈦㈧㈨㈩",
    "一二二三四五七八九十百千零一二三四五六七八九十",
)
TRADITIONAL: Final = {a: b for a, b in zip(_TRADITIONAL_FORMS, _SIMPLIFIED_FORMS, strict=True) if a != b}
FORMAL_DIGITS: Final = dict(zip(*_FORMAL_FORMS, strict=True))
# Dialect in the words of the grammar, one character for one: 唔好, 冇, 搞掂, 佢哋, 侬, 俺.
_DIALECT: Final = dict(zip("帐唔冇哋咗嘅佢侬俺恁掂喽囖", "账不没们了的他你我您定啦啦", strict=True))
_TENS: Final = "⑩⑽⒑➉➓❿"  # ten in one character: written 十 so that lengths stay
_INVISIBLE: Final = (
    *range(0x200B, 0x2010),
    *range(0x202A, 0x202F),
    *range(0x2060, 0x2070),
    *range(0xFE00, 0xFE10),
    *range(0x0300, 0x0370),
    0x00AD,
    0x034F,
    0x180E,
    0xFEFF,
    0x20E3,
)


def _table() -> dict[int, str | None]:
    """Code point → one character, or None for characters that nobody sees; never two characters for one."""
    table: dict[int, str | None] = {}
    for code in (*range(0x2F00, 0x2FE0), *range(0xF900, 0xFB00), *range(0x3220, 0x3300)):
        plain = unicodedata.normalize("NFKC", chr(code))
        if len(plain) == 1:
            table[code] = plain
    for code in range(0x80, 0x1FBFA):
        digit = unicodedata.digit(chr(code), None)
        if digit is not None:
            table[code] = str(digit)
    for code in range(0xFF01, 0xFF5F):
        table[code] = chr(code - 0xFEE0)
    table.update({ord(a): b for a, b in (TRADITIONAL | FORMAL_DIGITS).items()})
    table.update({ord(a): b for a, b in _DIALECT.items()})
    table.update({ord(ten): "十" for ten in _TENS})
    table.update({code: chr(code + 32) for code in range(ord("A"), ord("Z") + 1)})
    table.update({code: chr(code - 0xFEE0 + 32) for code in range(0xFF21, 0xFF3B)})
    table.update({0x3000: " ", 0xA0: " ", 0x09: " ", 0x0D: "\n", 0xFFE5: "¥", 0x2013: "-", 0x2014: "-", 0x301C: "~"})
    table.update({0x2212: "-", 0xFF5E: "~", 0x223C: "~"})
    table.update(dict.fromkeys(_INVISIBLE))
    return table


_TABLE: Final = _table()
_FORMS: Final = {chr(code): char or "" for code, char in _TABLE.items() if code < 0x10000}
_FOREIGN: Final = re.compile(f"[{re.escape(''.join(_FORMS))}]")
# Spaces that only pull a word or a number apart: 3 天, 退 50 元, 明 天 发 货. Others part clauses.
_LOOSE_SPACE: Final = re.compile(
    r" (?:(?<=[0-9] ) *(?=[\u4e00-\u9fff%])|(?<=[\u4e00-\u9fff¥] ) *(?=[0-9])"
    r"|(?:(?<=\s\S )|(?<=^\S )) *(?=\S(?:[\s,。!?]|$)))"
)


# A full-width comma between digits parts 退50\uff0c100 into two; only an ASCII one may part thousands.
_WIDE_COMMA: Final = re.compile("(?<=[0-9\uff10-\uff19])\uff0c(?=[0-9\uff10-\uff19])")


# Words of dialect, and what is typed for a word that sounds the same; each as long as what it stands for.
_SAME_SOUND: Final = {
    "听日": "明天",
    "听朝": "明早",
    "听晚": "明晚",
    "明朝": "明天",
    "今朝": "今天",
    "补尝": "补偿",
    "补常": "补偿",
    "赔尝": "赔偿",
    "赔常": "赔偿",
    "陪偿": "赔偿",
    "陪尝": "赔偿",
    "陪付": "赔付",
    "陪钱": "赔钱",
    "退宽": "退款",
    "退筐": "退款",
    "退歀": "退款",
    "腿款": "退款",
    "褪款": "退款",
    "推款": "退款",
    "退返": "退还",
    "补法": "补发",
    "布发": "补发",
    "补计": "补寄",
    "补记": "补寄",
    "记出": "寄出",
    "计出": "寄出",
    "发或": "发货",
    "发伙": "发货",
    "发获": "发货",
    "发祸": "发货",
    "换或": "换货",
    "换伙": "换货",
    "退或": "退货",
    "铜钿": "钱款",
    "傍黑": "傍晚",
    "擦黑": "傍晚",
    "现再": "现在",
    "推回": "退回",
    "你在": "你再",
    "您在": "您再",
    "他在": "他再",
}
# Begins with one set of characters, which is what makes the search fast.
_SOUNDS: Final = re.compile(
    "[听今明补赔陪退腿褪推布记计发换铜傍擦现你您他](?:(?<=听)[日朝晚]|(?<=[今明])朝(?!代|廷)|(?<=补)[尝常法计记]|(?<=赔)[尝常]"
    "|(?<=陪)[偿尝付钱]|(?<=退)[宽筐歀返]|(?<=[腿褪推])款|(?<=布)发|(?<=[记计])出(?=$|[,。!?哈哦的吧了])"
    "|(?<=[发退换])或(?=$|[,。!?;哈哦的吧了])|(?<=[发换])伙|(?<=发)[获祸]|(?<=铜)钿|(?<=[傍擦])黑|(?<=现)再|(?<=推)回(?=给|到)"
    "|(?<=给[你您他])在(?=[发补寄换]))"
)


def _sound(hit: re.Match[str]) -> str:
    return _SAME_SOUND[hit[0]]


class Spelled(NamedTuple):
    """A text in the one spelling.

    `origin[i]` is the index in the text as written of character i; None when the two are aligned.
    """

    text: str
    origin: Sequence[int] | None
    written_length: int

    def written(self, start: int, end: int) -> tuple[int, int]:
        """The half-open span in the text as written."""
        if self.origin is None or start >= end:
            return start, end
        return self.origin[start], self.origin[end - 1] + 1


def _form(hit: re.Match[str]) -> str:
    return _FORMS[hit[0]]


# Numbers of two digits in one character, ⑮ and ㉑: written out, each digit with the place of the sign.
_NUMBER_SIGNS: Final = {
    chr(code): spelled
    for code in (*range(0x2460, 0x2500), *range(0x2776, 0x2794), *range(0x3251, 0x3260), *range(0x32B1, 0x32C0))
    if len(spelled := re.sub("[^0-9]", "", unicodedata.normalize("NFKC", chr(code)))) == 2 and chr(code) not in _TENS
}
_NUMBERED: Final = re.compile(f"[{''.join(_NUMBER_SIGNS)}]")


def _spell_numbered(text: str) -> Spelled:
    pieces = [_NUMBER_SIGNS.get(char, char) for char in text]
    origin = [index for index, piece in enumerate(pieces) for _ in piece]
    inner = spell("".join(pieces))
    places = range(len(origin)) if inner.origin is None else inner.origin
    return Spelled(text=inner.text, origin=[origin[place] for place in places], written_length=len(text))


# Two-digit signs, and characters beyond the plane that _FOREIGN knows, which would make it slow.
_RARE: Final = re.compile(f"[{''.join(_NUMBER_SIGNS)}\U00010000-\U0010ffff]")
_CHAT_PICTURE: Final = re.compile(r"\[[\u4e00-\u9fff]{1,4}\]")  # [玫瑰], as chat windows write their pictures


def _blank(picture: re.Match[str]) -> str:
    return " " * len(picture.group())


def spell(text: str) -> Spelled:
    """Fold a text to the one spelling; linear in its length, any Unicode."""
    rare = None if text.isascii() else _RARE.search(text)
    if rare is not None and _NUMBERED.search(text):
        return _spell_numbered(text)
    if "\uff0c" in text:
        text = _WIDE_COMMA.sub("、", text)
    if "[" in text:
        text = _CHAT_PICTURE.sub(_blank, text)
    folded = text.translate(_TABLE) if rare is not None else _FOREIGN.sub(_form, text)
    folded = _SOUNDS.sub(_sound, folded)
    origin: list[int] | None = None
    if len(folded) != len(text):
        origin = [i for i, char in enumerate(text) if _TABLE.get(ord(char), "") is not None]
    if " " in folded:
        loose = {i for gap in _LOOSE_SPACE.finditer(folded) for i in range(*gap.span())}
        if loose:
            kept = [i for i in range(len(folded)) if i not in loose]
            origin = kept if origin is None else [origin[i] for i in kept]
            folded = "".join([folded[i] for i in kept])
    return Spelled(text=folded, origin=origin, written_length=len(text))
