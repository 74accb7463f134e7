"""Looks until something is so: for what happens in another thread or process and tells nobody."""

from __future__ import annotations

import time
from collections.abc import Callable


def wait_until(done: Callable[[], object], *, seconds_max: float = 10) -> None:
    """Look twenty times a second; no bound on how fast it must come, only on how long."""
    ends = time.monotonic() + seconds_max
    while not done():
        assert time.monotonic() < ends, "nothing happened any more"
        time.sleep(0.05)
