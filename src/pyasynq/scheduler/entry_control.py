"""Let operators control entries: skip the ticks of paused ones, and keep what each enqueues."""

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from pyasynq.broker import EntryPort
from pyasynq.core.codec import Codecs
from pyasynq.core.entry_task import EntryTask
from pyasynq.core.errors import BrokerError, BrokerReadOnlyError, BrokerUnavailableError
from pyasynq.core.extension_errors import CodecError
from pyasynq.core.message import instant
from pyasynq.core.policy import KEEP_INTERVAL_S
from pyasynq.runtime.actor import OutageLog
from pyasynq.runtime.loggers import get_logger
from pyasynq.scheduler.entry import Entry

log: Final = get_logger("pyasynq.scheduler")

KEEP_INTERVAL: Final = timedelta(seconds=KEEP_INTERVAL_S)

PASSING: Final = (BrokerUnavailableError, BrokerReadOnlyError)
"""Errors that end without help. With any other, a scheduler that waits would never enqueue."""

NAME: Final = "control of entries"
"""Name in the log of outages."""


class EntryControl:
    """Reads which entries are paused, and keeps what operators need to control them."""

    def __init__(self, port: EntryPort, *, codecs: Codecs, outages: OutageLog) -> None:
        """Begin without knowing any pause; seal what is kept with *codecs*."""
        self._port = port
        self._codecs = codecs
        self._outages = outages
        self._pauses: Mapping[str, float] | None = None
        self._paused: set[str] = set()
        self._kept: dict[str, datetime] = {}

    async def keep(self, entries: Iterable[Entry], now: datetime) -> None:
        """Store what *entries* enqueue, if this was not done in the last hour.

        If the broker fails, the ticks go on, and the next step tries again.
        """
        old = now - KEEP_INTERVAL
        some = [entry for entry in entries if not old < self._kept.get(entry.id, old) <= now]
        if not some:
            return
        try:
            await self._port.keep([task for entry in some if (task := self._seal(entry, now))])
        except BrokerError as error:
            self._outages.record_failure(NAME, error)
        else:
            self._outages.record_success(NAME)
            self._kept.update((entry.id, now) for entry in some)

    async def forget(self, entry: Entry) -> None:
        """Let what is kept of *entry*, which was unregistered, expire soon.

        Raises:
            BrokerError: If that failed.
        """
        await self._port.forget(entry.id)
        self._kept.pop(entry.id, None)
        self._paused.discard(entry.id)

    async def skip_paused(self, due: Sequence[Entry], now: datetime) -> None:
        """Skip the ticks of *due* entries that fall into a pause.

        The pauses of all entries are read at once. If the broker fails, those known last hold.

        Raises:
            BrokerError: If the broker is away at the first time, when none are known.
        """
        if not due:
            return
        pauses = await self._read()
        for entry in due:
            self._skip(entry, pauses.get(entry.id, -math.inf), now)

    async def _read(self) -> Mapping[str, float]:
        try:
            self._pauses = await self._port.pauses()
        except BrokerError as error:
            if self._pauses is None and isinstance(error, PASSING):
                raise
            self._outages.record_failure(NAME, error)
        else:
            self._outages.record_success(NAME)
        return self._pauses or {}

    def _skip(self, entry: Entry, until_s: float, now: datetime) -> None:
        is_paused = until_s == math.inf
        if is_paused != (entry.id in self._paused):
            self._log_change(entry, is_paused=is_paused)
        until = now if is_paused else min(now, instant(until_s))
        if entry.upcoming is not None and entry.upcoming <= until:
            entry.skip_until(until)

    def _log_change(self, entry: Entry, *, is_paused: bool) -> None:
        if is_paused:
            self._paused.add(entry.id)
            log.info("%s at %r is paused: its ticks are left out", entry.task, entry.spec)
        else:
            self._paused.discard(entry.id)
            log.info("%s at %r is resumed", entry.task, entry.spec)

    def _seal(self, entry: Entry, now: datetime) -> EntryTask | None:
        """Return what *entry* enqueues; None if a codec fails, as it will at each tick."""
        try:
            return EntryTask.of(
                entry.id,
                entry.queue,
                entry.task,
                entry.merged,
                self._codecs,
                ttl_s=entry.ttl_s(now),
            )
        except CodecError as error:
            log.warning("%s at %r cannot be controlled: %s", entry.task, entry.spec, error)
            return None
