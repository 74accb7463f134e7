"""Long proofs of the moderation engine: all scripts, work in proportion to length, fuzzing, equal processes."""

import json
import random
import re
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest

from service.domain.moderation import Channel, CompiledRules, Context, moderate
from service.store.rulepacks import RuleBook, load_rule_book
from tests.proofs import Say, new_seed, size

ROOT = Path(__file__).resolve().parent.parent
CHAT = Context(Channel.BUYER_CHAT, "taobao")


@pytest.fixture(scope="module")
def book() -> RuleBook:
    return load_rule_book(ROOT / "rules")


@pytest.fixture(scope="module")
def rules(book: RuleBook) -> CompiledRules:
    return book.for_platform("taobao")


def scripts() -> list[list[str]]:
    """All characters that Unicode names, by the first word of their name."""
    by_script: dict[str, list[str]] = {}
    for code_point in range(0x20000):
        name = unicodedata.name(chr(code_point), "CONTROL")
        by_script.setdefault(name.partition(" ")[0], []).append(chr(code_point))
    return list(by_script.values())


def a_text(rng: random.Random, alphabets: list[list[str]], red: list[str]) -> str:
    """Pieces of red lines with characters of a few scripts before, between and inside them."""
    some = rng.sample(alphabets, 3)
    parts = []
    for _ in range(rng.randint(1, 6)):
        piece = rng.choice(red)
        noise = "".join(rng.choice(rng.choice(some)) for _ in range(rng.randint(0, 5)))
        cut = rng.randint(0, len(piece))
        parts.append(rng.choice((piece, noise, piece[:cut] + noise + piece[cut:], noise[:1].join(piece))))
    return "".join(parts)


@pytest.mark.long
def test_every_finding_cuts_what_was_written_in_any_script(book: RuleBook, rules: CompiledRules, figure: Say) -> None:
    """10,000 texts over all scripts: offsets exact, the fold settled, the verdict the same twice."""
    seed, tries, found = new_seed(), size(whole=10_000, part=500), 0
    rng = random.Random(seed)
    red = [example.text for rule in book.rules for example in (*rule.hits, *rule.passes)]
    alphabets = scripts()

    for _ in range(tries):
        text = a_text(rng, alphabets, red)
        verdict = moderate(text, rules, CHAT)

        for finding in (*verdict.findings, *verdict.watched):
            assert 0 <= finding.start < finding.end <= len(text), (seed, text)
            assert text[finding.start : finding.end] == finding.matched, (seed, text)
        folded = text.translate(book.fold)
        assert folded.translate(book.fold) == folded, (seed, text)
        assert verdict == moderate(text, rules, CHAT), (seed, text)
        found += len(verdict.findings)

    figure(f"{tries} texts of {len(alphabets)} kinds of characters, {found} findings, seed {seed}")
    assert found > tries / 4


def work(text: str, rules: CompiledRules) -> int:
    """Calls that judging a text makes, of Python functions and of C ones: the same on every machine."""
    calls = 0

    def count(frame: object, event: str, arg: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        moderate(text, rules, CHAT)
    finally:
        sys.setprofile(None)
    return calls


@pytest.mark.parametrize(
    "unit",
    [
        "加微信",
        "不要",
        "加",
        "1",
        "傻",
        "a",
        "力口",
        "最好",
        "wei",
        ".a",
        "v:",
        "加，",
        "保证明天",
        "家威芯",
        "jia1",
        "1 ",
        "@a",
        "🐧",
        "哈哈",
    ],
)
def test_work_grows_with_the_text_and_no_faster(rules: CompiledRules, unit: str) -> None:
    """Eight times the text, at most nine times the calls; a text of one kind only is the worst there is."""
    small, large = unit * (1_200 // len(unit)), unit * (9_600 // len(unit))
    work(small, rules)  # fills tables

    assert work(large, rules) <= 9 * work(small, rules) + 500


def test_verdicts_are_the_same_in_every_process(book: RuleBook) -> None:
    """Every example, judged under two hash seeds in two new processes, and in this one."""
    texts = [example.text for rule in book.rules for example in (*rule.hits, *rule.passes)]
    script = (
        "import sys, json\nfrom pathlib import Path\nfrom service.store.rulepacks import load_rules\n"
        "from service.domain.moderation import Channel, Context, moderate\n"
        "rules = load_rules(Path('rules'), 'taobao')\nchat = Context(Channel.BUYER_CHAT, 'taobao')\n"
        "for line in sys.stdin: print(moderate(json.loads(line), rules, chat))"
    )

    told = [
        subprocess.run(
            [sys.executable, "-c", script],
            input="\n".join(map(json.dumps, texts)),
            capture_output=True,
            check=True,
            text=True,
            cwd=ROOT,
            env={"PYTHONHASHSEED": seed, "PYTHONUTF8": "1"},
        ).stdout
        for seed in ("1", "77")
    ]

    rules = book.for_platform("taobao")
    assert told[0] == told[1] == "".join(f"{moderate(text, rules, CHAT)}\n" for text in texts)


@pytest.mark.chaos
def test_fuzzing_finds_no_text_that_breaks_a_promise(figure: Say, tmp_path: Path) -> None:
    """Ten minutes, guided by coverage (atheris); here half a minute at most."""
    seed, seconds = new_seed() % 2**31, size(whole=600, part=15)

    ran = subprocess.run(
        [sys.executable, "-m", "tests.fuzz_moderation", str(seconds), str(seed), str(tmp_path)],
        capture_output=True,
        text=True,
        errors="replace",
        cwd=ROOT,
        timeout=seconds + 120,
    )

    units = re.search(r"number_of_executed_units:\s*(\d+)", ran.stdout + ran.stderr)
    figure(f"{seconds} s, {units.group(1) if units else 'no'} texts, seed {seed}")
    assert ran.returncode == 0, ran.stderr[-3_000:]
    assert units is not None
    assert int(units.group(1)) > 100
