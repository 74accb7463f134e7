"""Prints how the labelled replies are read, a matrix, rates and cost: `python -m tests.promise_matrix [FILE]`."""

from __future__ import annotations

import json
import sys
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path
from time import process_time
from typing import Any

from service.domain.promise_text import Extracted, extract, leading

WORDINGS = ("unconditional", "hedged", "conditional", "refused", "none")
ROUNDS = 5


def read(row: dict[str, Any]) -> Extracted | None:
    """The leading promise of a labelled reply."""
    return leading(extract(row["reply"], row["question"], datetime.fromisoformat(row["asked_at"])))


def wording(found: Extracted | None) -> str:
    return "none" if found is None else found.wording


def due_right(row: dict[str, Any], found: Extracted) -> bool:
    """Within 60 seconds (promises.md section 4)."""
    if row["due_at"] is None or found.due_at is None:
        return row["due_at"] is None and found.due_at is None
    return abs(datetime.fromisoformat(row["due_at"]) - found.due_at) <= timedelta(seconds=60)


def lines(rows: list[dict[str, Any]]) -> list[str]:
    """The report, a line each."""
    found = [(row, read(row)) for row in rows]
    matrix = Counter((row["wording"], wording(each)) for row, each in found)
    report = ["label \\ read".ljust(16) + "".join(name.rjust(15) for name in WORDINGS)]
    report += [name.ljust(16) + "".join(str(matrix[name, other]).rjust(15) for other in WORDINGS) for name in WORDINGS]
    must_not = sum(row["wording"] != "unconditional" for row in rows)
    misread = sum(count for (label, seen), count in matrix.items() if seen == "unconditional" != label)
    kept = [
        (row, each) for row, each in found if row["wording"] == wording(each) == "unconditional" and each is not None
    ]
    confirmed = len(rows) - must_not
    report.append(f"must-not-confirm read as confirmed  {misread}/{must_not}")
    report.append(f"true confirmations missed           {confirmed - len(kept)}/{confirmed}")
    report.append(f"deadline right                      {sum(due_right(row, each) for row, each in kept)}/{len(kept)}")
    sums = sum(row["amount_fen"] == each.amount_fen for row, each in kept)
    report.append(f"amount right                        {sums}/{len(kept)}")
    promised = [row for row in rows if row["wording"] == "unconditional"]
    actions = Counter(row["action"] for row in promised).most_common()
    report.append("promises by act                     " + ", ".join(f"{name} {count}" for name, count in actions))
    timed, summed = (sum(row[field] is not None for row in promised) for field in ("due_at", "amount_fen"))
    report.append(f"promises with a time, with a sum    {timed}, {summed}")
    started = process_time()
    for _ in range(ROUNDS):
        for row in rows:
            read(row)
    spent = (process_time() - started) / ROUNDS
    chars = sum(len(row["reply"]) + len(row["question"] or "") for row in rows)
    report.append(f"cost                                {spent / chars * 50 * 1e6:.0f} µs of CPU for 50 characters")
    return report


if __name__ == "__main__":
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "labelled_replies.jsonl"
    labelled = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    sys.stdout.write("\n".join(lines(labelled)) + "\n")
