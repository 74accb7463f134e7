"""The fold: one reading for every way to dress a character, and a way back to what was written."""

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.normalise import FoldTable, is_spelled_out, origins
from service.store.rulepacks import load_rule_book

RULES = Path(__file__).resolve().parent.parent / "rules"
anything = st.text(st.characters(exclude_categories=()), max_size=60)


@pytest.fixture(scope="module")
def fold() -> FoldTable:
    return load_rule_book(RULES).fold


@given(text=anything)
def test_folding_twice_is_folding_once(fold: FoldTable, text: str) -> None:
    """A folded text is in its final form, whatever the script."""
    folded = text.translate(fold)

    assert folded.translate(fold) == folded


@given(text=anything)
def test_every_folded_character_knows_where_it_came_from(fold: FoldTable, text: str) -> None:
    """As many origins as kept characters, ascending, each within the text."""
    came_from = origins(text, fold)

    assert len(came_from) == len(text.translate(fold))
    assert came_from == sorted(came_from)
    assert all(0 <= index < len(text) for index in came_from)


@given(text=anything)
def test_a_folded_text_carries_no_surrogate_and_can_be_encoded(fold: FoldTable, text: str) -> None:
    """What cannot be written in UTF-8 is folded away before the automaton sees it."""
    assert text.translate(fold).encode("utf-8").decode("utf-8") == text.translate(fold)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("加微信", "加微信"),
        ("加 微\u200b信", "加微信"),
        ("加*微~信!", "加微信"),
        ("ＱＱ", "qq"),
        ("ⓆⓆ", "qq"),
        ("🅠🅠", "qq"),
        ("𝐐𝐪", "qq"),
        ("轉賬", "转账"),
        ("轉帳", "转账"),
        ("微̶信̶", "微信"),
        ("⼥口", "女口"),
        ("㊙", "秘"),
        ("В信", "b信"),
        ("é", "e"),
        ("①②", "12"),
    ],
)
def test_dressed_characters_are_read_plainly(fold: FoldTable, written: str, read: str) -> None:
    """Width, script, marks, badges, radicals, look-alikes and separators are folded."""
    assert written.translate(fold) == read


def test_combining_marks_between_characters_do_not_separate_them(fold: FoldTable) -> None:
    """Decomposed and composed forms read the same."""
    composed = "Ẅx"

    assert unicodedata.normalize("NFD", composed).translate(fold) == composed.translate(fold) == "wx"


@pytest.mark.parametrize(
    ("text", "spots", "spelled_out"),
    [
        ("绝!对!禁!止", [0, 2, 4, 6], True),
        ("绝!对!", [0, 2], True),
        ("加。微信", [0, 2, 3], False),
        ("最,好的", [0, 2], False),
        ("加微信", [0, 1, 2], False),
    ],
)
def test_noise_stands_between_all_characters_prose_between_some(text: str, spots: list[int], spelled_out: bool) -> None:
    """A sentence mark between every two characters is a disguise; between two words it is prose."""
    assert is_spelled_out(text, spots) is spelled_out
