"""Whether a reply answers at all: an emoji, 收到 or 在吗 is delivered but does not stop the clock (C4)."""

from __future__ import annotations

import unicodedata


def _words(*lines: str) -> frozenset[str]:
    return frozenset(" ".join(lines).split())


# Say that somebody is there, not what will be done. Choice, after C4's 收到 and 在吗.
_NEVER_ANSWERS = _words(
    "收到 已收到 收到了 收到谢谢 谢谢收到 知道 知道了 我知道了 了解 了解了 已了解 明白 明白了 已知悉",
    "知悉 看到了 已看到 已阅 已读 看见了 在 在吗 在的 在呢 在么 我在 在不在 在哪 您好 你好 您好在的",
    "你好在的 哈喽 嗨 喂 早 早上好 上午好 中午好 下午好 晚上好 早安 晚安 稍等 请稍等 稍等一下 请稍等一下",
    "稍等下 等一下 等下 等等 等会 等会儿 等一会 马上 这就 来了 稍后 稍后回复 稍后回复您 请稍候 稍候",
    "我看看 我看一下 我看下 看一下 看下 我查查 我查一下 我查下 查一下 我问问 我问一下 问一下 我核实一下",
    "核实一下 哦 噢 喔 哦哦 嗯哼 啊 呃 额 呵呵 哈哈 哈哈哈 嘿嘿 谢谢 感谢 谢谢您 多谢 辛苦了 辛苦 不客气",
    "抱歉 对不起 不好意思 再见 拜拜 什么 什么事 什么意思 怎么了 什么情况 啥 啥事 什么问题 请问什么事",
    "有事吗 有什么事 请说 你说 您说 说 请讲 讲 1 11 111 6 66 666 ok收到 收到ok roger hi hello hey",
)

# A yes or a no: an answer to a yes-or-no question or a request, none to when, why, how much.
_ONLY_YES_OR_NO = _words(
    "好 好的 好嘞 好滴 好吧 好哒 行 行的 行吧 可以 可以的 没问题 没有问题 是 是的 对 对的 嗯 嗯嗯 嗯呢",
    "恩 恩恩 能 能的 会 会的 有 有的 没有 没 不 不是 不行 不可以 不能 不会 同意 不同意 确认 已确认 认可",
    "ok okay okk okok 好的好的 可以可以 行行行 嗯好 嗯好的 yes no y n",
)

_ASKS_FOR_MORE = _words(
    "什么 何时 何日 几点 几号 几天 多久 多长 多少 为什么 为何 怎么 怎样 如何 哪 谁 啥 原因 几日 请说明",
    "请描述 请提供 请问贵 请解释 请列",
)
_YES_OR_NO = (
    "吗",
    "么?",
    "么？",
    "是否",
    "能否",
    "可否",
    "是不是",
    "能不能",
    "可不可以",
    "行不行",
    "有没有",
    "会不会",
    "对吧",
    "好吧",
)
_PARTICLES = "亲哦呢哈呀啊了哒啦嘛吧滴呐噢喔的~"
_PHRASE_CHARS_MAX = max(map(len, _NEVER_ANSWERS | _ONLY_YES_OR_NO)) + len("亲")
_BEGINNING_CHARS = 2 * _PHRASE_CHARS_MAX  # choice: enough to see that most replies are longer than any phrase


def is_an_answer(text: str, question: str | None) -> bool:
    """Whether `text` answers `question`, however well: it says something, and more than that somebody is there.

    A bare yes answers a request or a yes-or-no question, not one that asks when, why or how much. Without a question
    only words that never answer are turned away.
    """
    if _plain(text[:_BEGINNING_CHARS])[_PHRASE_CHARS_MAX:].strip(_PARTICLES):
        return True
    words = _plain(text)
    if not words or words in _NEVER_ANSWERS:
        return False
    if len(words.rstrip(_PARTICLES)) > _PHRASE_CHARS_MAX:
        return True
    core = words[: _PHRASE_CHARS_MAX + 1]
    while len(core) > 1 and core[-1] in _PARTICLES:
        core = core[:-1]
        if core in _NEVER_ANSWERS and words not in _ONLY_YES_OR_NO:
            return False
    if core.removeprefix("亲") in _NEVER_ANSWERS:
        return False
    is_bare = words in _ONLY_YES_OR_NO or core in _ONLY_YES_OR_NO or core.removeprefix("亲") in _ONLY_YES_OR_NO
    return not (is_bare and question is not None and _asks_for_more(question))


def _asks_for_more(question: str) -> bool:
    if any(sign in question for sign in _YES_OR_NO):
        return False
    return any(word in question for word in _ASKS_FOR_MORE)


def _plain(text: str) -> str:
    """Letters and digits only, compatibility forms and case folded."""
    spread = unicodedata.normalize("NFKC", text.encode("utf-8", "ignore").decode()).casefold()
    return "".join(each for each in spread if unicodedata.category(each)[0] in "LN")
