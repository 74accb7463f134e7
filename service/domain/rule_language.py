"""What a rule editor can say: rules, ladders, profiles and scenes as plain values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Measure(StrEnum):
    """What happens to a message that breaks the response standard (source 000, 应答干预方式), mildest first."""

    NONE = "none"
    REMIND = "remind"  # 平台提醒
    SUGGEST_EDIT = "suggest_edit"  # 提醒修改
    REQUIRE_EDIT = "require_edit"  # 提醒强制修改
    REJECT = "reject"  # 消息直接拦截
    REJECT_WITH_NOTICE = "reject_with_notice"  # 拦截提醒

    @property
    def rank(self) -> int:
        """0 for none, 5 for the gravest."""
        return _RANKS[self]

    @property
    def delivers(self) -> bool:
        """Whether the message goes out at once; suggest_edit goes out only when sent anyway."""
        return self in (Measure.NONE, Measure.REMIND)


_RANKS = {measure: rank for rank, measure in enumerate(Measure)}


class Channel(StrEnum):
    """Where the words are meant to stand (D14: the judgement knows the channel)."""

    BUYER_CHAT = "buyer_chat"
    INQUIRY = "inquiry"
    TICKET = "ticket"
    NOTE = "note"
    PHRASE = "phrase"
    NAME = "name"
    PICTURE = "picture"  # what a code in a picture says: domain/picture_codes.py


class Category(StrEnum):
    """The behaviours watched."""

    DIVERSION = "diversion"
    CONTACT_INFO = "contact_info"
    OFFLINE_PAYMENT = "offline_payment"
    ABUSE = "abuse"
    THREAT = "threat"
    SARCASM = "sarcasm"
    REVIEW_MANIPULATION = "review_manipulation"
    ABSOLUTE_CLAIM = "absolute_claim"
    OVERPROMISE = "overpromise"
    FALSE_EFFICACY = "false_efficacy"
    PERFUNCTORY = "perfunctory"


class Disguise(StrEnum):
    """The ways of hiding a word that a rule may see through; width, script and marks are always seen through."""

    NOISE = "noise"
    WIDTH = "width"
    TRADITIONAL = "traditional"
    JARGON = "jargon"
    SPLIT = "split"
    REPEAT = "repeat"
    STAND_IN = "stand_in"
    HOMOPHONE = "homophone"
    PINYIN = "pinyin"


@dataclass(frozen=True, slots=True)
class Near:
    """One word of each group, close together.

    `window`: folded characters allowed between neighbours. `ordered`: in the order of the groups. `across`: the words
    may stand in different clauses of a sentence.
    """

    groups: tuple[tuple[str, ...], ...]
    window: int = 8
    ordered: bool = False
    across: bool = True


@dataclass(frozen=True, slots=True)
class Example:
    """A text that must hit its rule, or must pass every rule; `line` is where it stands in its file."""

    text: str
    line: int
    channel: Channel = Channel.BUYER_CHAT
    platform: str = "taobao"
    question: str | None = None
    facts: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of a pack. Words may be `$list` (a named list) or `@shape` (a shape of contact)."""

    id: str
    category: Category
    measure: Measure
    acts: bool  # False while the rule is only watched
    reason_zh: str
    reason_en: str
    source: str
    file: str
    line: int
    any_of: tuple[str, ...] = ()
    nears: tuple[Near, ...] = ()
    whole: tuple[str, ...] = ()  # the message is exactly this
    alone: tuple[str, ...] = ()  # a clause is exactly this
    patterns: tuple[str, ...] = ()
    cues: tuple[str, ...] = ()
    unless: tuple[str, ...] = ()  # innocent phrases that contain the hit
    unless_within: tuple[str, ...] = ()  # innocent phrases that the hit contains
    unless_before: tuple[str, ...] = ()
    unless_after: tuple[str, ...] = ()
    unless_earlier: tuple[str, ...] = ()  # before the hit, in any clause of its sentence: 骗子冒充客服
    unless_next: tuple[str, ...] = ()  # right behind the hit: 猪头面具
    unless_asked: tuple[str, ...] = ()  # says before the hit, in its sentence, that the buyer wants it: 您说
    unless_refused: tuple[str, ...] = ()  # and refuses it after the hit, in the same sentence: 真不行
    unless_anywhere: tuple[str, ...] = ()
    unless_facts: tuple[str, ...] = ()
    unless_window: int = 8
    channels: tuple[Channel, ...] = tuple(Channel)
    platforms: tuple[str, ...] = ()  # empty: all
    needs_question: bool = False
    disguises: frozenset[Disguise] = frozenset()
    raises: bool = True  # whether repeat offences raise it
    scene: str | None = None
    hits: tuple[Example, ...] = ()
    passes: tuple[Example, ...] = ()


@dataclass(frozen=True, slots=True)
class Ladder:
    """How grave a category is by default, when repeats raise it, and who is sent to a human (A6)."""

    measures: Mapping[Category, Measure]
    raise_after: Mapping[Measure, int]  # earlier offences in the window that raise a measure by one rung
    repeat_window_hours: int
    human_categories: frozenset[Category]
    human_from: Measure
    human_channels: frozenset[Channel]


@dataclass(frozen=True, slots=True)
class Profile:
    """One marketplace: its lists of names, its innocent phrases, the rules it does not have."""

    name: str
    lists: Mapping[str, tuple[str, ...]]
    innocent: tuple[str, ...] = ()
    rules_off: frozenset[str] = frozenset()
    measures: Mapping[str, Measure] = field(default_factory=dict)  # rule id to this marketplace's own measure


@dataclass(frozen=True, slots=True)
class Scene:
    """A scenario guide: the replies to offer and the neutral words to suggest."""

    name: str
    replies: tuple[str, ...]
    neutral_words: tuple[str, ...]
    file: str
    line: int


class CommonPairs(dict[str, str]):
    """Everyday words of two characters: by the first all second ones, which are read sooner than a set of words."""

    @classmethod
    def of(cls, words: Iterable[str]) -> CommonPairs:
        """Of words of two characters."""
        pairs = cls()
        for word in sorted(set(words)):
            pairs[word[0]] = pairs.get(word[0], "") + word[1]
        return pairs

    def begin_in(self, text: str, first: int, last: int) -> bool:
        """Whether an everyday word begins at one of the places of a stretch, half-open."""
        for place in range(first, min(last, len(text) - 1)):  # noqa: SIM110 - a generator takes twice as long
            if text[place + 1] in self.get(text[place], ""):
                return True
        return False


@dataclass(frozen=True, slots=True)
class Disguises:
    """The tables a build expands words with."""

    jargon: Mapping[str, tuple[str, ...]]  # word to what insiders write instead
    split: Mapping[str, tuple[str, ...]]  # character to the parts it is written in
    stand_ins: Mapping[str, str]  # emoji, signs and digits to the character they stand for
    look_alikes: Mapping[str, str]  # folded away everywhere
    simplified: Mapping[str, str]  # traditional to simplified, OpenCC's data
    common_pairs: CommonPairs  # which are no disguise of another word
