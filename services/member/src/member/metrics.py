"""The numbers of one process, for Prometheus."""

import asyncio
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from member.errors import MemberError, kind_of
from member.passwords import Passwords

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
"""Upper bounds of the histograms' buckets, seconds."""


@dataclass(slots=True)
class Ending:
    """The outcome of a block, in one word."""

    word: str


class Outcomes:
    """Counts the outcomes of one kind of work."""

    def __init__(self, name: str, text: str, registry: CollectorRegistry) -> None:
        """Register the counter *name* in *registry*."""
        self._counter = Counter(name, text, ("outcome",), registry=registry)

    @contextmanager
    def counting(self) -> Generator[Ending]:
        """Count how the block ends; it may set the word itself, one of a small set."""
        ending = Ending("succeeded")
        try:
            yield ending
        except BaseException as error:
            ending.word = _outcome(error)
            raise
        finally:
            self._counter.labels(ending.word).inc()


@dataclass(slots=True, kw_only=True)
class Call:
    """One call: the values of its labels, and its status code."""

    code: str
    what: tuple[str, ...] = ()


class Calls:
    """Counts and times calls from outside."""

    def __init__(
        self, name: str, text: str, labels: tuple[str, ...], registry: CollectorRegistry
    ) -> None:
        """Register series that begin with *name* in *registry*; *labels* say what is called."""
        self._total = Counter(name, f"{text} that ended", (*labels, "code"), registry=registry)
        self._seconds = Histogram(
            f"{name}_duration_seconds",
            "Time from start to end",
            labels,
            buckets=BUCKETS,
            registry=registry,
        )
        self._running = Gauge(f"{name}_running", f"{text} under way", registry=registry)

    @contextmanager
    def timing(self, code: str) -> Generator[Call]:
        """Time the block, which sets the labels; *code* counts unless the block sets another."""
        call, start = Call(code=code), time.perf_counter()
        self._running.inc()
        try:
            yield call
        finally:
            self._running.dec()
            self._total.labels(*call.what, call.code).inc()
            self._seconds.labels(*call.what).observe(time.perf_counter() - start)


class Metrics:
    """The counters of the process; two instances in one interpreter share nothing.

    Attributes:
        registry: All series.
        rpcs: RPCs, by method.
        requests: HTTP requests, by method and template of the path.
    """

    def __init__(self) -> None:
        """Start all counters at zero."""
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self.rpcs = Calls("member_rpc", "RPCs", ("method",), registry)
        self.requests = Calls("member_http_request", "HTTP requests", ("method", "route"), registry)
        self.sign_ups = Outcomes("member_sign_ups", "Sign-ups", registry)
        self.verifications = Outcomes("member_verifications", "Links that were tried", registry)
        self.password_resets = Outcomes(
            "member_password_resets", "Links for new passwords that were tried", registry
        )
        self.log_ins = Outcomes("member_log_ins", "Log-ins", registry)
        self.mails = Outcomes("member_mails", "Mails to members", registry)

    def watch(self, passwords: Passwords) -> None:
        """Add a gauge: how many password hashes wait for a thread."""
        gauge = Gauge(
            "member_password_hashes_waiting",
            "Password hashes that wait for a thread",
            registry=self.registry,
        )
        gauge.set_function(lambda: passwords.waiting)


def _outcome(error: BaseException) -> str:
    """Return the word for *error*; there are few classes of errors, and so few words."""
    match error:
        case MemberError():
            return kind_of(error).removeprefix("mail_")
        case asyncio.CancelledError():
            return "canceled"
        case _:
            return "failed"
