"""Coverage-guided fuzzing of the moderation engine: `python -m tests.fuzz_moderation SECONDS SEED FOLDER`."""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable
from pathlib import Path

try:
    import atheris
except ImportError:  # no wheel for this machine: the same checks on texts that no coverage guides
    atheris = None

RULES = Path(__file__).resolve().parent.parent / "rules"
TEXT_BYTES_MAX = 400


def main(seconds: int, seed: int, corpus: Path) -> None:
    """Fuzz for so long; ends the process with an error at the first text that breaks a promise.

    Args:
        corpus: an empty folder for the texts that it learns from; the offending one is left there.
    """
    if atheris is None:
        _at_random(_promises(), seconds, seed)
        return
    with atheris.instrument_imports(include=["service.domain"]):
        check = _promises()
    for number, text in enumerate(_seeds()):
        (corpus / str(number)).write_bytes(text.encode())
    limits = [f"-max_total_time={seconds}", f"-seed={seed}", f"-max_len={TEXT_BYTES_MAX}", "-timeout=10"]
    where = [f"-artifact_prefix={corpus}/", str(corpus)]
    atheris.Setup([sys.argv[0], *limits, "-print_final_stats=1", *where], _on_bytes(check))
    atheris.Fuzz()  # ends the process itself, so that nothing after it would run


def _on_bytes(check: Callable[[str], None]) -> Callable[[bytes], None]:
    return lambda content: check(content.decode("utf-8", "surrogateescape"))  # bad bytes: lone surrogates


def _at_random(check: Callable[[str], None], seconds: int, seed: int) -> None:
    rng = random.Random(seed)
    seeds = _seeds()
    done, ends = 0, time.monotonic() + seconds
    while time.monotonic() < ends:
        parts = [
            rng.choice(seeds)[: rng.randint(1, 12)] + chr(rng.randrange(0x110000)) for _ in range(rng.randint(1, 9))
        ]
        check("".join(parts))
        done += 1
    sys.stdout.write(f"stat::number_of_executed_units: {done}\n")


def _seeds() -> list[str]:
    from service.store.rulepacks import load_rule_book

    book = load_rule_book(RULES)
    return [example.text for rule in book.rules for example in (*rule.hits, *rule.passes)]


def _promises() -> Callable[[str], None]:
    """What must hold of every text."""
    from service.domain.answers import is_an_answer
    from service.domain.moderation import Channel, Context, moderate
    from service.store.rulepacks import load_rule_book

    book = load_rule_book(RULES)
    rules = book.for_platform("taobao")
    chat = Context(Channel.BUYER_CHAT, "taobao", "什么时候发货?")

    def check(text: str) -> None:
        verdict = moderate(text, rules, chat)
        for finding in (*verdict.findings, *verdict.watched):
            assert 0 <= finding.start < finding.end <= len(text), text
            assert text[finding.start : finding.end] == finding.matched, text
        assert verdict.measure.rank == max((finding.measure.rank for finding in verdict.findings), default=0), text
        folded = text.translate(book.fold)
        assert folded.translate(book.fold) == folded, text
        assert verdict == moderate(text, rules, chat), text
        is_an_answer(text, chat.question)

    return check


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
