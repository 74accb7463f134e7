"""What an operator watches, for Prometheus; labels are few words, never ids or paths with ids."""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_LATENESS_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0)


class Metrics:
    """All metrics of one process, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = kept = CollectorRegistry()
        self.requests = Counter("gongduan_requests", "Requests answered", ("method", "route", "status"), registry=kept)
        self.request_seconds = Histogram("gongduan_request_seconds", "Time to answer", ("route",), registry=kept)
        self.measures = Counter(
            "gongduan_measures",
            "Merchant texts by measure and gravest category",
            ("measure", "category"),
            registry=kept,
        )
        self.windows_armed = Gauge("gongduan_windows_armed", "Armed timers", registry=kept)
        self.fired = Counter("gongduan_timers_fired", "Timers fired", registry=kept)
        self.failed = Counter("gongduan_timers_failed", "Timers whose decision failed", registry=kept)
        self.lateness = Histogram(
            "gongduan_timer_lateness_seconds",
            "How long after its instant a timer fired",
            buckets=_LATENESS_BUCKETS,
            registry=kept,
        )
        self.outbox_backlog = Gauge("gongduan_outbox_backlog", "Jobs for the payment gateway left", registry=kept)
        self.writer_queue = Gauge("gongduan_writer_queue", "Stories waiting for the database", registry=kept)
        self.rules_version = Gauge("gongduan_rules_version", "Version of the rule book in force here", registry=kept)
        self.rules_stale = Gauge(
            "gongduan_rules_stale", "1 while a published version could not be loaded here", registry=kept
        )
        self.rules_swapped = Counter("gongduan_rules_swapped", "Rule books brought into force here", registry=kept)
        self.rules_fallen = Gauge("gongduan_rules_fallen", "Rules that fell back to watch", registry=kept)
        self.rules_tripped = Counter("gongduan_rules_tripped", "Circuit breakers tripped here", registry=kept)

    def text(self) -> bytes:
        """The exposition format."""
        return generate_latest(self.registry)
