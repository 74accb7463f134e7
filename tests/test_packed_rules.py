"""Compiled rules as bytes: the same verdicts, and nothing is read that was not promised."""

import hashlib
import pickle
from pathlib import Path

import pytest

from service.domain.compiled_rules import CompiledRules
from service.domain.moderation import Channel, Context, moderate
from service.domain.packed_rules import _MAGIC, BadPackedRules, Packed, packed, unpacked
from service.store.rulepacks import RuleBook, load_rule_book

RULES = Path(__file__).resolve().parent.parent / "rules"


@pytest.fixture(scope="module")
def book() -> RuleBook:
    return load_rule_book(RULES)


@pytest.fixture(scope="module")
def compiled(book: RuleBook) -> dict[str, CompiledRules]:
    return {name: book.for_platform(name) for name in book.profiles}


@pytest.fixture(scope="module")
def kept(compiled: dict[str, CompiledRules]) -> Packed:
    return packed(compiled)


def test_rules_read_back_judge_as_before(book: RuleBook, compiled: dict[str, CompiledRules], kept: Packed) -> None:
    """Every example of every rule, on its marketplace."""
    again = unpacked(kept.content, kept.sha256)

    for example in (example for rule in book.rules for example in (*rule.hits, *rule.passes)):
        context = Context(example.channel, example.platform, example.question, example.facts)
        for text in (example.text, "-".join(example.text)):
            assert moderate(text, again[example.platform], context) == moderate(
                text, compiled[example.platform], context
            )
    assert len({id(rules.lexicon) for rules in again.values()}) == 1


def test_a_flipped_bit_is_refused_before_anything_is_read(kept: Packed) -> None:
    """The hash comes from a trusted place, the bytes need not."""
    spoilt = bytearray(kept.content)
    spoilt[len(spoilt) // 2] ^= 1

    with pytest.raises(BadPackedRules, match="SHA-256"):
        unpacked(bytes(spoilt), kept.sha256)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "not compiled rules"),
        (b"gongduan-rules-0\n" + pickle.dumps(1), "not compiled rules"),
        (_MAGIC, "cannot be read"),
        (_MAGIC + pickle.dumps(1), "cannot be read"),
        (_MAGIC + pickle.dumps(print), "no place"),
        (_MAGIC + b"cos\nsystem\n(S'true'\ntR.", "no place"),
    ],
)
def test_what_is_no_rules_is_refused_even_under_its_own_hash(content: bytes, says: str) -> None:
    """Nothing but what compiled rules are made of is ever made."""
    with pytest.raises(BadPackedRules, match=says):
        unpacked(content, hashlib.sha256(content).hexdigest())


def test_a_loaded_lexicon_still_learns_new_characters(compiled: dict[str, CompiledRules], kept: Packed) -> None:
    """Rare characters are folded and sounded out on first sight, in the process that loaded the rules too."""
    again = unpacked(kept.content, kept.sha256)["taobao"]
    text = "加我\U0001d434莀信 ㎏ 崴芯 ꙮ"

    assert moderate(text, again, Context(Channel.BUYER_CHAT, "taobao")) == moderate(
        text, compiled["taobao"], Context(Channel.BUYER_CHAT, "taobao")
    )
