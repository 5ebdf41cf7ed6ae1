"""Write what became of tasks, and try again until it is written or the lease is over."""

import asyncio
from collections.abc import Iterable, Sequence
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
    """Verdicts on their way to Redis.

    Whatever has gathered is written as soon as the previous write has returned: no timer, no delay.
    What could not be written is put off, and keeps nothing else from being written.

    Differs:
        In the reference no failed acknowledgement is ever written (D26).
    """

    name = "completer"

    def __init__(self, port: WorkPort, *, clock: Clock, outages: OutageLog) -> None:
        """Write to *port*."""
        self.steps: StepSignal = StepSignal()
        self._port = port
        self._clock = clock
        self._outages = outages
        self._entries: list[tuple[Lease, Verdict]] = []
        self._writing: Sequence[tuple[Lease, Verdict]] = ()
        self._put_off: list[tuple[Lease, Verdict]] = []
        self._doubtful: set[Lease] = set()
        self._again_at = 0.0
        self._added = asyncio.Event()

    def add(self, lease: Lease, verdict: Verdict) -> None:
        """Take over *lease*; its *verdict* goes out with the next write."""
        if not self._entries:  # else it is set
            self._added.set()
        self._entries.append((lease, verdict))

    def leases(self) -> Iterable[Lease]:
        """Return the leases whose verdict is not written yet."""
        return (lease for lease, _ in chain(self._writing, self._entries, self._put_off))

    async def written(self) -> None:
        """Return when everything is written."""
        while self._entries or self._writing or self._put_off:
            await self.steps.next()

    async def run(self) -> None:
        """Write until cancelled."""
        backoff = Backoff()
        while True:
            await self._gathered()
            error = await self._write()
            self.steps.finish()
            if error is None and not self._put_off:
                backoff.reset()
                self._outages.worked(self.name)
            elif error is not None:
                self._outages.failed(self.name, error)
                self._again_at = self._clock.monotonic() + backoff.next_s()

    async def _gathered(self) -> None:
        """Return when there is something to write: something new, or it is time for the old."""
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
        """Write what has gathered; return the error that kept something from being written."""
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
                    self._lost(*entry)
        finally:
            self._writing = ()
            self._keep(failed)
            if isinstance(error, BrokerUnavailableError):
                self._doubtful.update(lease for lease, _ in failed)
            if self._doubtful:
                self._doubtful.intersection_update(lease for lease, _ in self._put_off)
        return error

    def _lost(self, lease: Lease, verdict: Verdict) -> None:
        """Tell that the lease is gone; a try before, whose answer was lost, may have ended it."""
        if lease in self._doubtful:
            log.info(
                "%r is held no more: %s was written, though no answer came, or its lease ended "
                "before, and it will run again",
                lease,
                _name(verdict),
            )
        else:
            _log_lost(lease, verdict)

    def _keep(self, failed: Sequence[tuple[Lease, Verdict]]) -> None:
        """Put *failed* off, but for those whose lease is over: they belong to a recoverer."""
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
        _name(verdict),
    )


def _name(verdict: Verdict) -> str:
    return type(verdict).__name__.lower()
