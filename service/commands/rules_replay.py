"""`intervention rules replay`: what new rules would have done to past messages, new and lost hits by rule."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TextIO

import msgspec

from service.store.rule_archive import inflated, laid_out, read_folder
from service.store.rule_replay import Replay
from service.store.rule_yaml import BadPack

if TYPE_CHECKING:
    from service.store.bulk_runners import Books, Part

UNUSABLE: Final = 2  # exit code: rules, messages or extra cannot be used at all
SECONDS_BETWEEN: Final = 0.2  # between two looks of the progress bar
SECONDS_BETWEEN_LINES: Final = 10.0  # where nobody watches a terminal
BAR_CHARS: Final = 30
DATABASES: Final = ("sqlite://", "postgresql://", "postgresql+psycopg://", "postgres://")


def run(
    pack: Path, against: str, rules_dir: Path, *, runner: str, workers: int | None, as_json: bool, stdout: TextIO
) -> int:
    """Judge past messages by the rules in `rules_dir` and by the same with `pack`.

    Args:
        pack: a rules folder, one file of `packs/`, or a saved rule book.
        against: a file of JSON Lines or Parquet, or the URL of the service's database.

    Returns:
        0 nothing differs, 1 lines were bad, 2 it could not begin, 3 there are new or lost hits.
    """
    try:
        from service.store import bulk_runners, bulk_sources
    except ImportError as missing:
        print(f"intervention: needs the extra [bulk]: pip install 'gongduan[bulk]' ({missing})", file=sys.stderr)
        return UNUSABLE
    with ExitStack() as folders:
        try:
            before = read_folder(rules_dir)
            laid = [folders.enter_context(laid_out(files, rules_dir)) for files in (before, _files_of(pack, before))]
            books = bulk_runners.books_of(str(laid[0]), str(laid[1]))
            source = _source(against, bulk_sources)
            parts = _parts(source, books, runner, workers or os.cpu_count() or 1, bulk_runners)
        except (BadPack, OSError, ValueError) as bad:
            print(f"intervention: {bad}", file=sys.stderr)
            return UNUSABLE
        found, bad_lines = _followed(parts, source.whole)
    print(_json(found, bad_lines) if as_json else _told(found, bad_lines), file=stdout)
    if bad_lines:
        return 1
    return 3 if found.changed else 0


def _files_of(pack: Path, before: dict[str, str]) -> dict[str, str]:
    if pack.is_dir():
        return read_folder(pack)
    if pack.suffix == ".yaml":
        return {**before, f"packs/{pack.name}": pack.read_bytes().decode("utf-8")}
    return inflated(pack.read_bytes())


def _source(against: str, sources: Any) -> Any:
    if against.startswith(DATABASES):
        scheme, _, rest = against.partition("://")
        return sources.ServiceDatabase(against if scheme == "sqlite" else f"postgresql+psycopg://{rest}")
    path = Path(against)
    return sources.Parquet(path) if path.suffix == ".parquet" else sources.JsonLines(path)


def _parts(source: Any, books: Books, runner: str, workers: int, runners: Any) -> Iterator[Part]:
    if runner == "pool":
        parts: Iterator[Part] = runners.run_pool(source, books, workers=workers)
    elif not isinstance(source, runners.Parquet):
        raise ValueError(f"the runner {runner} reads Parquet")
    elif runner == "duckdb":
        parts = runners.run_duckdb(source, books, workers=workers)
    else:
        parts = runners.run_daft(source, books)
    return parts


def _followed(parts: Iterator[Part], whole: int) -> tuple[Replay, int]:
    """Add all parts up, and say on the way how far it is."""
    found, bad_lines, done = Replay(), 0, 0
    shown = began = time.monotonic()
    pause = SECONDS_BETWEEN if sys.stderr.isatty() else SECONDS_BETWEEN_LINES
    for part in parts:
        found.add(part.replay)
        bad_lines += part.bad_lines
        done += part.progress
        now = time.monotonic()
        if now - shown >= pause:
            shown = now
            _show(done / whole if whole else 0.0, found, now - began)
    _show(1.0, found, time.monotonic() - began, last=True)
    return found, bad_lines


def _show(share: float, found: Replay, seconds: float, *, last: bool = False) -> None:
    speed = f"{found.judged:,} messages, {found.judged / max(seconds, 1e-9):,.0f}/s, {found.changed:,} differ"
    if sys.stderr.isatty():
        bar = "#" * int(share * BAR_CHARS)
        print(f"\r[{bar:<{BAR_CHARS}}] {share:4.0%} {speed}", end="\n" if last else "", file=sys.stderr, flush=True)
    else:
        print(f"{share:.0%} {speed}", file=sys.stderr, flush=True)


def _json(found: Replay, bad_lines: int) -> str:
    return msgspec.json.encode({**msgspec.to_builtins(found), "bad_lines": bad_lines}).decode()


def _told(found: Replay, bad_lines: int) -> str:
    lines = [
        f"{found.judged:,} messages judged, {found.skipped:,} skipped, {bad_lines:,} bad lines",
        f"by rules that differ: {found.hit_before:,} hit before, {found.hit_after:,} after; {found.changed:,} change",
    ]
    for rule_id, difference in sorted(found.rules.items()):
        lines.append(
            f"{rule_id}: {difference.new:,} new hits ({difference.new_acting:,} begin to act), "
            f"{difference.lost:,} lost ({difference.lost_acting:,} cease to act)"
        )
        lines += [f"  + {each}" for each in difference.new_samples]
        lines += [f"  - {each}" for each in difference.lost_samples]
    return "\n".join(lines)
