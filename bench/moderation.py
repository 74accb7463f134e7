"""Moderation against the bare scan and the textbook pipeline of the same run (performance.md sections 1 and 2)."""

from __future__ import annotations

import gc
import random
import re
import resource
import statistics
import time
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import ahocorasick
import opencc

from service.domain.compiled_rules import CompiledRules, compile_rules
from service.domain.matcher import Matcher, has_fast
from service.domain.moderation import Channel, Context, moderate
from service.domain.packed_rules import packed, unpacked
from service.domain.rule_language import Category, Disguise, Measure, Rule
from service.store.rulepacks import RuleBook, load_rule_book

RULES = Path(__file__).resolve().parent.parent / "rules"
SEED = 20261125
ROUNDS = 9  # each text is timed this often, all contestants in turn; its best time counts
PLATFORM = "taobao"
EVERYDAY = (
    "您好亲这款目前有现货付款后四十八小时内为您安排发出请注意查收快递到了以后先检查外包装是否完好再签收如果有任何问题"
    "可以随时联系我们客服会尽快帮您处理尺码建议按平时穿的选身高一米七左右体重一百三十斤的话选大号就可以了面料是纯棉的"
    "洗后不会缩水也不会掉色支持七天无理由退换运费险已经赠送给您了退货的时候填写好单号系统会自动理赔到您的账户里面"
)
HEADER_SPEED = (
    "| extra terms, characters | bare scan µs | textbook µs | without homophones µs (× bare) | whole µs (× bare) |"
    " × textbook | whole p99 µs (× p50) |\n|---|---|---|---|---|---|---|"
)
AIMS = "| aim | | | ≤ 2.0 × | ≤ 4.0 × | ≤ 0.30 | ≤ 50 at 50 characters and 100,000 terms, ≤ 3 × |"
WORST_BYTES = 10_000
SLOW = (
    *("加微信", "不要", "傻", "1", "wei", ".a", "v:", "保证明天", "加，", "jia1", "家威芯", "最好", "a@", "哈哈"),
    *("女口", "wx13812345678", "不知道,", "退吧", "，退，", "加 微 信 ", "jiaweixin", "给你退款", "您的"),
    *("我给你转钱,", "的是不了"),
)
HEADER_BUILD = "| extra terms | matcher | build, CPU s | bytes a term | saved MB | load ms |\n|---|---|---|---|---|---|"


@dataclass(frozen=True)
class Field:
    """Rules with generated terms beside the shipped ones, and how long that took."""

    extra: int
    whole: CompiledRules
    deaf: CompiledRules  # without homophones and pinyin
    bare: Matcher  # pyahocorasick on all spellings, as performance.md section 1 has it
    textbook: Textbook
    build_seconds: float


def tables(*, quick: bool) -> Iterator[str]:
    """Lines of all tables."""
    book = load_rule_book(RULES)
    sizes = (0, 10_000) if quick else (0, 10_000, 100_000, 1_000_000)
    medians: dict[int, float] = {}
    builds: list[str] = []
    yield HEADER_SPEED
    yield AIMS
    for extra in sizes:
        field = _field(book, extra)
        for characters in (50,) if quick else (10, 50, 200, 2_000):
            texts = _texts(book, characters, 60 if quick else 400 if characters < 2_000 else 40)
            line, whole_us = _speed(field, texts, characters)
            if characters == 50:
                medians[extra] = whole_us
            yield line
        if extra:
            builds += _builds(book, extra)
        del field
    yield ""
    yield HEADER_BUILD
    yield "| aim: 100,000 | | ≤ 1 | | | ≤ 50 |"
    yield from builds
    yield ""
    yield "| growth | ratio | aim |\n|---|---|---|"
    if 100_000 in medians:
        yield f"| 100,000 extra terms against the shipped ones | {medians[100_000] / medians[0]:.2f} | ≤ 3.5 |"
        yield f"| 1,000,000 against 100,000 | {medians[1_000_000] / medians[100_000]:.2f} | ≤ 2.5 |"
    unit, worst = _worst(book)
    yield f"| worst 10 kB ({unit} again and again), ms | {worst:.1f} | ≤ 50 |"


# -- what is compared


def _field(book: RuleBook, extra: int) -> Field:
    everything = _with_terms(book, extra, heard=True)
    began = time.perf_counter()
    whole = everything()
    took = time.perf_counter() - began
    deaf = _with_terms(book, extra, heard=False)()
    bare = _with_terms(book, extra, heard=False, fast=False)().lexicon.guilt.matcher
    return Field(extra, whole, deaf, bare, Textbook(_words(book, extra)), took)


def _with_terms(book: RuleBook, extra: int, *, heard: bool, fast: bool | None = None) -> Callable[[], CompiledRules]:
    """A build of the shipped rules and one rule of generated terms."""
    asked = frozenset({Disguise.NOISE, *((Disguise.HOMOPHONE,) if heard else ())})
    deaf = frozenset(Disguise) - {Disguise.HOMOPHONE, Disguise.PINYIN}
    rules = [rule if heard else replace(rule, disguises=rule.disguises & deaf) for rule in book.rules]
    if extra:
        rules.append(
            Rule(
                id="abuse.generated",
                category=Category.ABUSE,
                measure=Measure.REJECT,
                acts=True,
                reason_zh="测",
                reason_en="bench",
                source="bench",
                file="bench",
                line=1,
                any_of=generated_terms(extra),
                disguises=asked,
            )
        )
    return lambda: compile_rules(
        rules,
        profiles=[book.profiles[PLATFORM]],
        lists=book.lists,
        ladder=book.ladder,
        scenes=book.scenes,
        disguises=book.disguises,
        fold=book.fold,
        syllables=book.syllables,
        pack=(book.book_id, book.version, book.sha256),
        fast=fast,
    )[PLATFORM]


@lru_cache(maxsize=4)
def generated_terms(count: int) -> tuple[str, ...]:
    """Words of two to five frequent characters, commoner ones oftener; none of them from the texts."""
    rng = random.Random(SEED)
    signs = [bytes((row, cell)).decode("gb2312") for row in range(0xB0, 0xD7) for cell in range(0xA1, 0xFE)]
    rng.shuffle(signs)
    weights = [1 / (rank + 20) for rank in range(len(signs))]
    terms: set[str] = set()
    while len(terms) < count:
        sizes = rng.choices((2, 3, 4, 5), (10, 35, 40, 15), k=5_000)
        drawn = iter(rng.choices(signs, weights, k=sum(sizes)))
        words = ("".join(next(drawn) for _ in range(size)) for size in sizes)
        terms.update(word for word in words if word not in EVERYDAY)
    return tuple(sorted(terms)[:count])


def _words(book: RuleBook, extra: int) -> set[str]:
    """The words as they stand in the packs, and the generated ones."""
    groups = [(*rule.any_of, *rule.unless) for rule in book.rules]
    groups += [group for rule in book.rules for near in rule.nears for group in near.groups]
    words = {word.translate(book.fold) for group in groups for word in group if word[0] not in "$@"}
    return {word for word in (*words, *(generated_terms(extra) if extra else ())) if word}


class Textbook:
    """What a reader of the manuals would write: NFKC, a regex for noise, OpenCC, a scan, a regex, a scan by sound."""

    def __init__(self, terms: set[str]) -> None:
        self._noise = re.compile(r"[\s\W_]+")
        self._repeated = re.compile(r"(.)\1{2,}")
        self._converter = opencc.OpenCC("t2s")
        self._automaton = ahocorasick.Automaton()
        for term in terms:
            self._automaton.add_word(term, term)
        self._automaton.make_automaton()

    def __call__(self, text: str) -> list[tuple[int, str]]:
        plain = self._noise.sub("", unicodedata.normalize("NFKC", text).lower())
        plain = self._converter.convert(plain)
        found = list(self._automaton.iter(plain))
        return found + list(self._automaton.iter(self._repeated.sub(r"\1", plain)))


def _texts(book: RuleBook, characters: int, count: int) -> list[str]:
    """Everyday sentences of a fixed length, every tenth with a red line in it, half of these disguised."""
    rng = random.Random(SEED + characters)
    red = [example.text for rule in book.rules for example in rule.hits if example.platform == PLATFORM]
    texts = []
    for number in range(count):
        begin = rng.randrange(len(EVERYDAY))
        text = (EVERYDAY * (characters // len(EVERYDAY) + 2))[begin : begin + characters]
        text = "".join(each + rng.choice("，。 ,") if rng.random() < 0.08 else each for each in text)[:characters]
        if number % 10 == 0:
            line = rng.choice(red)[:characters]
            if number % 20 == 0:
                line = rng.choice("*-· ").join(line)[:characters]
            place = rng.randrange(max(1, characters - len(line)))
            text = (text[:place] + line + text[place:])[:characters]
        texts.append(text)
    return texts


# -- how it is measured


def _speed(field: Field, texts: list[str], characters: int) -> tuple[str, float]:
    chat = Context(Channel.BUYER_CHAT, PLATFORM)
    fold = field.whole.lexicon.fold
    folded = {text: text.translate(fold) for text in texts}
    bare, book, deaf, whole = _best_us(
        texts,
        lambda text: field.bare.find(folded[text]),
        field.textbook,
        lambda text: moderate(text, field.deaf, chat),
        lambda text: moderate(text, field.whole, chat),
    )
    p50 = statistics.median
    p99 = sorted(whole)[int(len(whole) * 0.99)]
    ratio = p50(deaf) / p50(bare), p50(whole) / p50(bare), p50(whole) / p50(book), p99 / p50(whole)
    line = (
        f"| {field.extra:,}, {characters:,} | {p50(bare):.1f} | {p50(book):.1f} | {p50(deaf):.1f} ({ratio[0]:.1f})"
        f" | {p50(whole):.1f} ({ratio[1]:.1f}) | {ratio[2]:.2f} | {p99:.1f} ({ratio[3]:.1f}) |"
    )
    return line, p50(whole)


def _best_us(texts: list[str], *contestants: Callable[[str], object]) -> list[list[float]]:
    """For each contestant the best time of every text, in microseconds; they take turns, so that noise hits all."""
    best = [[float("inf")] * len(texts) for _ in contestants]
    for text in texts:  # warm
        for run in contestants:
            run(text)
    for _ in range(ROUNDS):
        for number, text in enumerate(texts):
            for place, run in enumerate(contestants):
                began = time.perf_counter()
                run(text)
                took = (time.perf_counter() - began) * 1e6
                best[place][number] = min(best[place][number], took)
    return best


def _builds(book: RuleBook, extra: int) -> Iterator[str]:
    """Build, memory, saved form, load and swap with each matcher."""
    for fast in (False, True) if has_fast() else (False,):
        build = _with_terms(book, extra, heard=True, fast=fast)
        base = _with_terms(book, 0, heard=True, fast=fast)
        shipped_bytes, shipped, kept = _grown(base)
        memory, took, rules = _grown(build)
        saved = packed({PLATFORM: rules})
        loads = []
        for _ in range(3):
            began = time.perf_counter()
            loaded = unpacked(saved.content, saved.sha256)
            loads.append((time.perf_counter() - began) * 1e3)
        del kept
        assert loaded[PLATFORM].pack_sha256 == rules.pack_sha256
        matcher, bytes_a_term = "daachorse" if fast else "pyahocorasick", max(0, memory - shipped_bytes) / extra
        yield (
            f"| {extra:,} | {matcher} | {took - shipped:.2f} | {bytes_a_term:.0f} |"
            f" {len(saved.content) / 1e6:.1f} | {min(loads):.0f} |"
        )


def _grown(build: Callable[[], CompiledRules]) -> tuple[int, float, CompiledRules]:
    """Bytes and seconds that a build takes, and what it makes."""
    gc.collect()
    before, began = _resident(), time.process_time()  # what others do on this machine is not ours
    rules = build()
    return _resident() - before, time.process_time() - began, rules


def _resident() -> int:
    with open("/proc/self/statm", encoding="ascii") as counted:
        return int(counted.read().split()[1]) * resource.getpagesize()


def _worst(book: RuleBook) -> tuple[str, float]:
    """Of texts made to be slow the slowest, by what it repeats, and its best time of three in milliseconds."""
    rules, chat = book.for_platform(PLATFORM), Context(Channel.BUYER_CHAT, PLATFORM)
    units = {*SLOW, *(example.text for rule in book.rules for example in rule.hits)}
    slowest = "", 0.0
    for unit in sorted(units):
        text = unit * (WORST_BYTES // len(unit.encode()))
        took = []
        for _ in range(3):
            began = time.perf_counter()
            moderate(text, rules, chat)
            took.append((time.perf_counter() - began) * 1e3)
        slowest = max(slowest, (unit, min(took)), key=lambda each: each[1])
    return slowest
