"""Write verdicts, and try again until they are written or the lease has ended."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from itertools import chain
from typing import Final

from pyasynq.broker import Lease, WorkPort
from pyasynq.core.errors import BrokerError, BrokerUnavailableError
from pyasynq.core.verdict import Verdict
from pyasynq.runtime.actor import Backoff, OutageLog, StepSignal
from pyasynq.runtime.clock import Clock
from pyasynq.runtime.loggers import get_logger

log: Final = get_logger("pyasynq.server")


class Completer:
    """Writes the verdicts on tasks to Redis.

    All verdicts that have arrived are written together as soon as the previous write has returned:
    no timer, no delay. Verdicts that could not be written wait, and do not block new ones.

    Differs:
        asynq never writes an outcome whose first write has failed (D26).
    """

    name = "completer"

    def __init__(
        self,
        port: WorkPort,
        *,
        clock: Clock,
        outages: OutageLog,
        on_written: Callable[[Lease, Verdict], None],
    ) -> None:
        """Write to *port*; call *on_written* for each written verdict that something follows."""
        self.steps: StepSignal = StepSignal()
        self._port = port
        self._clock = clock
        self._on_written = on_written
        self._outages = outages
        self._entries: list[tuple[Lease, Verdict]] = []
        self._writing: Sequence[tuple[Lease, Verdict]] = ()
        self._put_off: list[tuple[Lease, Verdict]] = []
        self._unanswered: set[Lease] = set()
        self._again_at = 0.0
        self._added = asyncio.Event()

    def add(self, lease: Lease, verdict: Verdict) -> None:
        """Take over *lease*; write its *verdict* with the next batch."""
        if not self._entries:  # else the event is set
            self._added.set()
        self._entries.append((lease, verdict))

    def leases(self) -> Iterable[Lease]:
        """Return the leases whose verdicts are not written yet."""
        return (lease for lease, _ in chain(self._writing, self._entries, self._put_off))

    async def wait_until_written(self) -> None:
        """Return when all verdicts are written."""
        while self._entries or self._writing or self._put_off:
            await self.steps.next()

    async def run(self) -> None:
        """Write until cancelled."""
        backoff = Backoff()
        while True:
            await self._wait_for_entries()
            error = await self._write()
            self.steps.finish()
            if error is None and not self._put_off:
                backoff.reset()
                self._outages.record_success(self.name)
            elif error is not None:
                self._outages.record_failure(self.name, error)
                self._again_at = self._clock.monotonic() + backoff.next_s()

    async def _wait_for_entries(self) -> None:
        """Return when there is a new verdict, or it is time to try the failed ones again."""
        while True:
            left_s = self._again_at - self._clock.monotonic()
            if self._put_off and left_s <= 0:
                self._entries += self._put_off
                self._put_off = []
            if self._entries:
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(left_s if self._put_off else None):
                    await self._added.wait()

    async def _write(self) -> BrokerError | None:
        """Write the verdicts; return the error of those that could not be written."""
        self._writing, self._entries = self._entries, []
        self._added.clear()
        failed: list[tuple[Lease, Verdict]] = list(self._writing)
        error: BrokerError | None = None
        try:
            answers = await self._port.settle(self._writing)
            failed = []
            for entry, answer in zip(self._writing, answers, strict=True):
                if isinstance(answer, BrokerError):
                    error = answer
                    failed.append(entry)
                elif not answer:
                    self._report_lost(*entry)
                elif entry[1].then or entry[1].outcome is not None:
                    self._on_written(*entry)
        finally:
            self._writing = ()
            self._put_off_failed(failed)
            if isinstance(error, BrokerUnavailableError):
                self._unanswered.update(lease for lease, _ in failed)
            if self._unanswered:
                self._unanswered.intersection_update(lease for lease, _ in self._put_off)
        return error

    def _report_lost(self, lease: Lease, verdict: Verdict) -> None:
        """Log that the lease is gone; an earlier write without an answer may have ended it."""
        if lease in self._unanswered:
            log.info(
                "%r is no longer held: either %s was written although no answer came, or its lease "
                "had ended before, and the task will run again",
                lease,
                _verdict_name(verdict),
            )
        else:
            _log_lost(lease, verdict)

    def _put_off_failed(self, failed: Sequence[tuple[Lease, Verdict]]) -> None:
        """Keep *failed* for another try; drop those whose lease has ended: a recoverer has them."""
        now = self._clock.monotonic()
        for lease, verdict in failed:
            if lease.expires_at > now:
                self._put_off.append((lease, verdict))
            else:
                _log_lost(lease, verdict)


def _log_lost(lease: Lease, verdict: Verdict) -> None:
    log.warning(
        "the lease of %r ended before %s was written; the task will run again",
        lease,
        _verdict_name(verdict),
    )


def _verdict_name(verdict: Verdict) -> str:
    return type(verdict).__name__.lower()
