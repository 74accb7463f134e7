"""`make bench` prints every table, `python -m bench TABLE` one of them; nothing here can fail a test."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from bench import growth, moderation, promises, replay, replies, rule_swap, windows
from service.app import configure_logs
from tests.postgres_server import postgres_server

QUICK = os.environ.get("BENCH") == "quick"  # a twentieth, to see that it runs
SHRINK = 10 if QUICK else 1


def _on_both(measure: Callable[[str, str, Path], None]) -> None:
    """Once on SQLite (a file on disk) and once on PostgreSQL (fsync on)."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gongduan-bench-", dir=".")))
        folder.chmod(0o755)
        measure("SQLite", f"sqlite:///{folder.resolve()}/bench.db", folder)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gongduan-bench-")))
        folder.chmod(0o755)
        address = stack.enter_context(postgres_server(durable=True))
        measure("PostgreSQL", address.render_as_string(hide_password=False), folder)


def print_replies() -> None:
    """A merchant reply over HTTP against its floor."""
    print(replies.HEADER)
    aims = {"SQLite": "≥ 0.50", "PostgreSQL": "≥ 0.35"}
    _on_both(
        lambda name, url, folder: print(
            replies.measure(url, folder, rounds=3, replies=1600 // SHRINK).row(name, aims[name]), flush=True
        )
    )


def print_windows() -> None:
    """Windows that end all at once, spread out, and the idle cost."""
    print(windows.HEADER)

    def measure(name: str, url: str, folder: Path) -> None:
        once, spread, idle = windows.measure(url, folder, at_once=10_000 // SHRINK, a_second=200, seconds=20 // SHRINK)
        print(once.row(f"{name}, all in one second", "≥ 2,000/s, p99 ≤ 2.5 s"))
        print(spread.row(f"{name}, 200 a second", "p99 ≤ 100 ms"))
        print(f"| {name}, {10_000 // SHRINK} armed, idle: {idle:.2f} % of a core | | | | | ≤ 1 % |", flush=True)

    _on_both(measure)


def print_growth() -> None:
    """The same statements with twenty times the history."""
    print(growth.HEADER)

    def measure(name: str, url: str, folder: Path) -> None:
        for row in growth.measure(url, folder, small=10_000 // SHRINK, large=200_000 // SHRINK):
            print(row.replace("| ", f"| {name}: ", 1), flush=True)

    _on_both(measure)


def print_moderation() -> None:
    """The moderation engine against the bare scan and the textbook pipeline."""
    for line in moderation.tables(quick=QUICK):
        print(line, flush=True)
    print()
    for line in rule_swap.rows(quick=QUICK):
        print(line, flush=True)


def print_replay() -> None:
    """Past messages by two rule books."""
    for line in replay.rows(quick=QUICK):
        print(line, flush=True)


def print_promises() -> None:
    """Reading what a reply promises, against two parsers of times and sums."""
    for line in promises.rows(quick=QUICK):
        print(line, flush=True)


TABLES = {
    "replies": print_replies,
    "windows": print_windows,
    "growth": print_growth,
    "moderation": print_moderation,
    "replay": print_replay,
    "promises": print_promises,
}

if __name__ == "__main__":
    configure_logs("ERROR")
    for wanted in sys.argv[1:] or TABLES:
        TABLES[wanted]()
        print(flush=True)
