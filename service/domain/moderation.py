"""Moderation: what a merchant's words deserve, decided before anyone else sees them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from types import MappingProxyType

from service.domain.answers import is_an_answer as is_an_answer
from service.domain.compiled_rules import CompiledRules as CompiledRules
from service.domain.joined_words import Spread, spread_over
from service.domain.judging import broken_rules
from service.domain.reading import Reading
from service.domain.rule_language import Category, Ladder
from service.domain.rule_language import Channel as Channel
from service.domain.rule_language import Measure as Measure
from service.domain.suspecting import suspects

REPLY_CHARS_MAX = 10_000  # choice: the bound on one text, edge-cases.md number 30
_NO_OFFENCES: Mapping[str, int] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Context:
    """Where the words stand and what they answer.

    `facts` are facts of the order a rule may ask for, such as `on_time_insurance` (准时送达保险, source 003).
    """

    channel: Channel
    platform: str
    question: str | None = None
    facts: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Finding:
    """One rule the text breaks. `start`, `end`: Unicode code points of the text as written, half-open.

    `begun`: where the phrase began in messages before, what it says there; `matched` goes on from it.
    """

    rule: str
    category: str
    measure: Measure
    start: int
    end: int
    matched: str
    reason_zh: str
    reason_en: str
    begun: str = ""


@dataclass(frozen=True, slots=True)
class Advice:
    """What to say instead. `kind`: neutral_word or standard_reply; a reply may hold {shop}, {ship_hours}."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """The judgement of one text, and the version of the rules that judged it."""

    measure: Measure
    direct_to_human: bool
    findings: tuple[Finding, ...]
    advice: tuple[Advice, ...]
    pack_id: str
    pack_version: int
    pack_sha256: str
    watched: tuple[Finding, ...] = ()  # of rules still in `watch`: recorded, without effect

    @property
    def categories(self) -> tuple[str, ...]:
        """The categories found, gravest first, each once."""
        ordered = sorted(self.findings, key=lambda finding: -finding.measure.rank)
        return tuple(dict.fromkeys(finding.category for finding in ordered))


@dataclass(frozen=True, slots=True)
class ModeratedReply:
    """Words that were judged. Made by `moderated` alone; the store accepts nothing else from a merchant."""

    text: str
    verdict: Verdict
    context: Context
    answers: bool  # whether it stops the reply window, apart from being delivered


def moderate(text: str, rules: CompiledRules, context: Context) -> Verdict:
    """Judge one text. Pure, total, linear in the text; the gravest finding decides the measure."""
    reading = Reading(text, rules.lexicon)
    suspected = suspects(reading, rules, channel=context.channel, question=context.question, facts=context.facts)
    if not suspected:
        return _nothing_found(rules.pack_id, rules.pack_version, rules.pack_sha256)
    acting: list[Finding] = []
    watched: list[Finding] = []
    scenes: list[str] = []
    for rule, (start, end) in broken_rules(reading, rules, suspected):
        measure = rules.profile.measures.get(rule.id, rule.measure)
        finding = Finding(
            rule.id, rule.category.value, measure, start, end, text[start:end], rule.reason_zh, rule.reason_en
        )
        (acting if rule.acts else watched).append(finding)
        if rule.acts and rule.scene:
            scenes.append(rule.scene)
    acting.sort(key=lambda finding: (finding.start, finding.end, finding.rule))
    return Verdict(
        measure=_gravest([finding.measure for finding in acting]),
        direct_to_human=_sends_to_human(acting, rules.ladder, context.channel),
        findings=tuple(acting),
        advice=_advice(scenes, rules),
        pack_id=rules.pack_id,
        pack_version=rules.pack_version,
        pack_sha256=rules.pack_sha256,
        watched=tuple(watched),
    )


@lru_cache(maxsize=16)
def _nothing_found(pack_id: str, pack_version: int, pack_sha256: str) -> Verdict:
    """The verdict of most texts; one object serves them all, for it cannot be changed."""
    return Verdict(Measure.NONE, False, (), (), pack_id, pack_version, pack_sha256)


def _gravest(measures: list[Measure]) -> Measure:
    return max(measures, key=lambda measure: measure.rank) if measures else Measure.NONE


def _sends_to_human(findings: list[Finding], ladder: Ladder, channel: Channel) -> bool:
    """直连人工 (A6): after grave abuse the buyer's next contact goes past robot and queue."""
    return channel in ladder.human_channels and any(
        finding.category in ladder.human_categories and finding.measure.rank >= ladder.human_from.rank
        for finding in findings
    )


def _advice(scenes: list[str], rules: CompiledRules) -> tuple[Advice, ...]:
    if not scenes:
        return ()
    chosen = [rules.scenes[name] for name in dict.fromkeys(scenes)]
    words = [Advice("neutral_word", word) for scene in chosen for word in scene.neutral_words]
    replies = [Advice("standard_reply", reply) for scene in chosen for reply in scene.replies]
    return tuple(dict.fromkeys(words + replies))


def raised_for_repeat(measure: Measure, earlier_offences: int, ladder: Ladder) -> Measure:
    """One rung up when this merchant offended before, at most one, never above the top, never from none.

    Args:
        earlier_offences: in the ladder's repeat window, of the same category.
    """
    if measure in (Measure.NONE, Measure.REJECT_WITH_NOTICE):
        return measure
    enough = ladder.raise_after.get(measure)
    if enough is None or earlier_offences < enough:
        return measure
    return list(Measure)[measure.rank + 1]


def moderated(
    text: str,
    rules: CompiledRules,
    context: Context,
    *,
    earlier_offences: Mapping[str, int] = _NO_OFFENCES,
    at_least: Measure = Measure.NONE,
    before: Sequence[str] = (),
    shown: Sequence[str] = (),
) -> ModeratedReply:
    """Judge a merchant's words in the light of what was before: the only way to make a `ModeratedReply`.

    Args:
        earlier_offences: category to the number of offences of this seat within the ladder's repeat window.
        at_least: what these very words earned in this conversation already.
        before: the shop's delivered messages just before in this conversation, oldest first; see `joined_words`.
        shown: what codes in the pictures beside the words say; see `picture_codes.words_shown`.
    """
    verdict = moderate(text, rules, context)
    if shown:
        verdict = _with_what_is_shown(shown, verdict, rules, context)
    if before:
        verdict = _with_what_was_begun(before, text, verdict, rules, context)
    if earlier_offences and verdict.findings:
        verdict = _in_the_light_of(earlier_offences, verdict, rules, context)
    if verdict.measure.rank < at_least.rank:
        verdict = replace(verdict, measure=at_least)
    return ModeratedReply(text, verdict, context, is_an_answer(text, context.question))


def _with_what_was_begun(
    before: Sequence[str], text: str, verdict: Verdict, rules: CompiledRules, context: Context
) -> Verdict:
    """The verdict with the phrases that the message ends and an earlier one began."""
    alone = {finding.rule for finding in (*verdict.findings, *verdict.watched)}
    spread = [
        each
        for each in spread_over(
            before, text, rules, channel=context.channel, question=context.question, facts=context.facts
        )
        if each.rule.id not in alone
    ]
    if not spread:
        return verdict
    begun = [(_finding_of(each, text, rules), each.rule.acts) for each in spread]
    findings = (*(finding for finding, acts in begun if acts), *verdict.findings)
    advice = _advice([each.rule.scene for each in spread if each.rule.acts and each.rule.scene], rules)
    return replace(
        verdict,
        measure=_gravest([finding.measure for finding in findings]),
        direct_to_human=_sends_to_human(list(findings), rules.ladder, context.channel),
        findings=findings,
        advice=tuple(dict.fromkeys(verdict.advice + advice)),
        watched=(*verdict.watched, *(finding for finding, acts in begun if not acts)),
    )


def _with_what_is_shown(shown: Sequence[str], verdict: Verdict, rules: CompiledRules, context: Context) -> Verdict:
    """The verdict with what codes in pictures say; their findings cut no character of the words, so they stand at 0."""
    told = [moderate(each, rules, replace(context, channel=Channel.PICTURE, question=None)) for each in shown]
    findings = (*verdict.findings, *(replace(f, start=0, end=0) for each in told for f in each.findings))
    return replace(
        verdict,
        measure=_gravest([finding.measure for finding in findings]),
        findings=findings,
        advice=tuple(dict.fromkeys(verdict.advice + tuple(a for each in told for a in each.advice))),
        watched=(*verdict.watched, *(replace(f, start=0, end=0) for each in told for f in each.watched)),
    )


def _finding_of(spread: Spread, text: str, rules: CompiledRules) -> Finding:
    rule, start, end = spread.rule, spread.start, spread.end
    return Finding(
        rule.id,
        rule.category.value,
        rules.profile.measures.get(rule.id, rule.measure),
        start,
        end,
        text[start:end],
        f"{rule.reason_zh}(与上一条消息连读)",
        f"{rule.reason_en} (read on from the message before)",
        spread.begun,
    )


def _in_the_light_of(
    earlier_offences: Mapping[str, int], verdict: Verdict, rules: CompiledRules, context: Context
) -> Verdict:
    steady = {compiled.rule.id for compiled in rules.rules if not compiled.rule.raises}
    raised = [
        finding.measure
        if finding.rule in steady
        else raised_for_repeat(finding.measure, earlier_offences.get(Category(finding.category), 0), rules.ladder)
        for finding in verdict.findings
    ]
    return Verdict(
        measure=_gravest(raised),
        direct_to_human=verdict.direct_to_human,
        findings=verdict.findings,
        advice=verdict.advice,
        pack_id=verdict.pack_id,
        pack_version=verdict.pack_version,
        pack_sha256=verdict.pack_sha256,
        watched=verdict.watched,
    )
