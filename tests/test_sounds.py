"""What a text sounds like: whole syllables only, and letters that can be read to the last one."""

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.domain.disguises import SyllableTable, toneless_syllables
from service.domain.rule_language import CommonPairs
from service.domain.sounds import TYPED_RUN_MAX, Ear, Letters, Spoken
from service.store.rulepacks import load_rule_book

RULES = Path(__file__).resolve().parent.parent / "rules"
READABLE = re.compile(f"(?:{'|'.join(sorted(toneless_syllables()))})*")
typed = st.lists(st.sampled_from(["wei", "xin", "xian", "g", "zz", "a", "微", "8", "zhuang", "ji" * 40]), max_size=12)


@pytest.fixture(scope="module")
def ear() -> Ear:
    words = [
        Spoken(("加微信",), 0, grouped=False),
        Spoken(("转账",), 1, grouped=False),
        Spoken(("微信",), 2, grouped=True),
    ]
    return Ear(words, words, SyllableTable(), common_pairs=CommonPairs.of(["围巾", "包裹"]))


@settings(deadline=None)
@given(pieces=typed)
def test_letters_are_pinyin_when_syllables_fill_them(pieces: list[str]) -> None:
    """Before and after every place, as far as the bound, the answer is that of a pattern of all syllables."""
    text = "".join(pieces)
    letters = Letters(text)

    for place in range(len(text) + 1):
        before = re.search("[a-z]*$", text[max(0, place - TYPED_RUN_MAX) : place])
        after = re.match("[a-z]*", text[place : place + TYPED_RUN_MAX - 1])
        assert before is not None
        assert after is not None
        assert letters.are_pinyin_before(place) == bool(READABLE.fullmatch(before.group()))
        assert letters.are_pinyin_after(place) == bool(READABLE.fullmatch(after.group()))


@pytest.mark.parametrize(
    ("text", "heard"),
    [
        ("加微信", []),  # the word itself is no homophone
        ("家微信", [(0, 3, 1)]),
        ("嘉伟鑫", [(0, 3, 1), (1, 3, 4)]),  # three other characters, and no everyday word among them
        ("围巾包裹", []),  # everyday words
        ("加微芯", [(0, 3, 1), (1, 3, 4)]),
        ("砖张", []),  # two characters collide too easily
        ("wei信", [(0, 4, 4)]),
        ("加wei信", [(1, 5, 4), (0, 5, 1)]),
        ("jia8微信", []),
        ("jia1wei1xin4", [(0, 12, 1), (4, 12, 4)]),  # with the numbers of the tones
    ],
)
def test_a_word_is_heard_in_whole_syllables(ear: Ear, text: str, heard: list[tuple[int, int, int]]) -> None:
    """Where, half-open, and for which slots."""
    signs = text.translate(ear.signs)
    found = [(each.first, each.last, each.bits) for each in ear.listen(text, signs, has_letters=True)]

    assert sorted(found) == sorted(heard)


def test_marketplaces_share_their_words() -> None:
    """What is long to build is built once for all of them."""
    book = load_rule_book(RULES)

    assert len({id(book.for_platform(name).lexicon) for name in book.profiles}) == 1
