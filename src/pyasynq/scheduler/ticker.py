"""Enqueue tasks when their entries are due.

Source:
    Protocol section 7.2 (asynq v0.26.0 ``enqueueJob.Run``; robfig/cron v3 ``Cron.run``).

Differs:
    Of several schedulers, one enqueues each tick (D47). While Redis is away the ticker tries again;
    once Redis is back, the entry's `catch_up` decides about the ticks missed (D48). No tick is
    enqueued before its time by the clock of Redis.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, cast

from pyasynq.broker import Broker, NewTask, Position, Tick, TickResult
from pyasynq.client.middleware import as_pyasynq_error
from pyasynq.core.compose import Composed, Composer
from pyasynq.core.errors import BrokerError, BrokerUnavailableError, PyasynqError
from pyasynq.core.extension_errors import CodecError, NotEnqueuedError
from pyasynq.core.info import SchedulerEvent, TaskInfo
from pyasynq.core.message import instant
from pyasynq.core.options import Options, merge
from pyasynq.core.policy import EARLY_S
from pyasynq.core.task import Task
from pyasynq.core.verdict import error_text
from pyasynq.runtime.actor import OutageLog, Wakeable
from pyasynq.runtime.callbacks import Callbacks, call_guarded
from pyasynq.runtime.loggers import get_logger
from pyasynq.scheduler.config import Config
from pyasynq.scheduler.entry import Entry
from pyasynq.scheduler.entry_control import EntryControl

log: Final = get_logger("pyasynq.scheduler")

LONGEST_S: Final = 10.0
"""Longest sleep: somebody may set the machine's clock meanwhile."""

EARLY: Final = timedelta(seconds=EARLY_S)

MAX_EVENTS: Final = 1000
"""Events recorded in one call."""


class Ticker(Wakeable):
    """Sleeps until the next tick, then enqueues the due tasks."""

    name = "ticker"
    jitter: float = 0.0  # a tick is on time

    def __init__(
        self, broker: Broker, entries: Mapping[str, Entry], *, config: Config, outages: OutageLog
    ) -> None:
        """Enqueue the tasks of *entries*, which others may add and remove."""
        super().__init__(clock=config.clock, outages=outages)
        self._port = broker.schedules
        self._creation = broker.creation
        self._entries = entries
        self._config = config
        self._composer = Composer(config.codecs)
        self._control = EntryControl(broker.entries, codecs=config.codecs, outages=outages)
        self._hooks = Callbacks(1)
        self._removed: list[Entry] = []
        self._failed: dict[str, BrokerError] = {}
        self._events: list[tuple[str, SchedulerEvent]] = []
        self._ahead = timedelta(0)

    def forget(self, entry: Entry) -> None:
        """Delete the last tick and the history of *entry*, which was unregistered."""
        self._removed.append(entry)
        self.wake()

    async def step(self) -> float:
        """Enqueue at all due ticks; return the seconds until the next tick."""
        self._failed.clear()
        if self._ahead:
            self._compare_clocks(await self._port.clock_s())
        await self._forget_removed()
        await self._start_entries([entry for entry in self._entries.values() if entry.last is None])
        await self._control.keep(self._entries.values(), self._now())
        while due := await self._due_entries(self._now()):
            await self._enqueue(due)
            await self._record()
        await self._record()
        for error in self._failed.values():
            raise error  # only the failed entries are tried again
        return self._wait_s()

    def close(self) -> None:
        """Release the thread of the hooks."""
        self._hooks.close()

    async def _forget_removed(self) -> None:
        for entry in tuple(self._removed):
            try:
                if entry.id not in self._entries:  # it may be registered again
                    await self._port.forget(entry.id, entry.queue)
                    await self._control.forget(entry)
            except BrokerError as error:
                self._failed[entry.id] = error
            else:
                self._removed.remove(entry)

    async def _start_entries(self, entries: Sequence[Entry]) -> None:
        """Read the last ticks of *entries*; an entry that Redis does not know begins now."""
        now = self._now().replace(microsecond=0)
        begin_s = int(now.timestamp())
        positions = [
            Position(entry_id=e.id, queue=e.queue, begin_s=begin_s, ttl_s=e.ttl_s(now))
            for e in entries
        ]
        answers = await self._port.begin(positions)
        for entry, answer in zip(entries, answers, strict=True):
            if isinstance(answer, BrokerError):
                self._failed[entry.id] = answer
            else:
                _warn_of_rejected(entry, answer.rejected_s)
                entry.start_after(instant(answer.last_s), known=answer.known)

    async def _due_entries(self, now: datetime) -> list[tuple[Entry, datetime]]:
        """Return the entries to enqueue now, each with its tick; skip paused and missed ticks."""
        await self._control.skip_paused(self._waiting_entries(now), now)
        due: list[tuple[Entry, datetime]] = []
        for entry in self._waiting_entries(now):
            tick = entry.due(now)
            if tick is None:
                log.warning("%s at %r was missed since %s", entry.task, entry.spec, entry.upcoming)
                entry.skip_until(now)
            else:
                due.append((entry, tick))
        return due

    def _waiting_entries(self, now: datetime) -> list[Entry]:
        return [
            entry
            for entry in self._entries.values()
            if entry.upcoming is not None and entry.upcoming <= now and entry.id not in self._failed
        ]

    async def _enqueue(self, due: Sequence[tuple[Entry, datetime]]) -> None:
        """Enqueue at due ticks, one for each entry."""
        for entry, _ in due:
            await self._hooks.call("pre_enqueue", self._config.pre_enqueue, entry.task)
        now = self._now()
        if self._config.client_middleware:
            for entry, tick in due:
                await self._enqueue_through_middleware(entry, tick, now)
        else:
            await self._enqueue_all(due, now)

    async def _enqueue_all(self, due: Sequence[tuple[Entry, datetime]], now: datetime) -> None:
        made: list[tuple[Entry, Composed, NewTask]] = []
        for entry, tick in due:
            try:
                composed = self._compose(entry, tick, entry.task, entry.merged, now)
            except CodecError as error:
                await self._handle_error(entry, tick, error, ())
            else:
                made.append((entry, composed, NewTask(composed.plan, _guard(entry, tick))))
        answers = await self._creation.create([new for *_, new in made])
        for (entry, composed, _), answer in zip(made, answers, strict=True):
            if isinstance(answer, BrokerError):
                self._failed[entry.id] = answer
            elif isinstance(answer, TickResult):
                await self._apply_result(entry, composed.info(), answer, now)

    def _compose(
        self, entry: Entry, tick: datetime, task: Task, options: Options, now: datetime
    ) -> Composed:
        """Compose *task*, always in the queue of *entry*, which also has the entry's last tick."""
        options = merge(options, Options(queue=entry.queue))
        return self._composer.compose(task, options, now=now, task_id=entry.task_id(tick))

    async def _enqueue_through_middleware(
        self, entry: Entry, tick: datetime, now: datetime
    ) -> None:
        """Enqueue at one tick, through the client middleware and the codecs."""
        refusals: list[PyasynqError | None] = []
        lost = BrokerUnavailableError(
            f"{self._outages.name}: middleware did not wait for the answer"
        )

        async def end(task: Task, options: Options) -> TaskInfo:
            composed = self._compose(entry, tick, task, options, now)
            self._failed[entry.id] = lost  # until an answer comes: the next try finds out
            (answer,) = await self._creation.create([NewTask(composed.plan, _guard(entry, tick))])
            if isinstance(answer, BrokerError):
                self._failed[entry.id] = answer
                raise answer
            del self._failed[entry.id]
            result = cast("TickResult", answer)  # a `Tick` guard has no other answer
            info = composed.info()
            await self._apply_result(entry, info, result, now)
            refusal = result.refusal if result.moved else NotEnqueuedError(_refusal_reason(result))
            refusals.append(refusal)
            if refusal is not None:
                raise refusal
            return info

        chain = self._config.client_middleware
        try:
            await call_guarded("client middleware", chain.enqueue(entry.task, entry.merged, end))
        except Exception as error:  # noqa: BLE001 - the user's code
            await self._handle_error(entry, tick, error, refusals)

    async def _handle_error(
        self,
        entry: Entry,
        tick: datetime,
        error: Exception,
        refusals: Sequence[PyasynqError | None],
    ) -> None:
        """Handle an error of client middleware or of a codec.

        Args:
            entry: Entry of the tick.
            tick: The tick.
            error: What was raised.
            refusals: For each answer of Redis its refusal, or None if it took the tick; empty if
                Redis was not asked.
        """
        if entry.id in self._failed or any(error is one for one in refusals):
            return  # the tick is tried again, or the refusal is already reported
        if refusals:
            text = "client middleware failed for %s at %r, after the tick was handled"
            log.error(text, entry.task, entry.spec, exc_info=error)
        elif isinstance(error, BrokerError):
            self._failed[entry.id] = error
        else:
            text = "%s at %r was due and is skipped: %s"
            crash = None if isinstance(error, PyasynqError) else error
            log.warning(text, entry.task, entry.spec, error_text(error), exc_info=crash)
            entry.skip_until(tick)
            await self._call_post_enqueue(entry, as_pyasynq_error(error))

    async def _apply_result(
        self, entry: Entry, info: TaskInfo, result: TickResult, now: datetime
    ) -> None:
        if result.clock_s is not None:
            self._compare_clocks(result.clock_s)  # by the clock of Redis the tick is not due
            return
        _warn_of_rejected(entry, result.rejected_s)
        entry.mark_enqueued(instant(result.last_s))
        if result.moved:
            await self._report(entry, info, result, now)

    async def _report(
        self, entry: Entry, info: TaskInfo, result: TickResult, now: datetime
    ) -> None:
        """Call ``post_enqueue``, and add an enqueued task to the entry's history."""
        if result.refusal is not None:
            text = "%s at %r was due and is skipped: %s"
            log.warning(text, entry.task, entry.spec, result.refusal)
            await self._call_post_enqueue(entry, result.refusal)
            return
        event = SchedulerEvent(task_id=info.id, enqueued_at=now)
        self._events.append((entry.id, event))
        await self._call_post_enqueue(entry, info)

    async def _call_post_enqueue(self, entry: Entry, outcome: TaskInfo | PyasynqError) -> None:
        await self._hooks.call("post_enqueue", self._config.post_enqueue, entry.task, outcome)

    async def _record(self) -> None:
        """Write the events of enqueued tasks; those left by an outage are written later."""
        while self._events:
            events = self._events[:MAX_EVENTS]
            try:
                await self._port.record(events)
            except BrokerError as error:
                if type(error) is not BrokerError:
                    raise
                # Redis works, but the key of a history is broken: another try would fail, too.
                log.warning("an enqueued task is missing in a scheduler history: %s", error)
            del self._events[: len(events)]

    def _now(self) -> datetime:
        """Return the time by this machine's clock, corrected if that is too far ahead."""
        return self._clock.now() - self._ahead

    def _compare_clocks(self, clock_s: float) -> None:
        """Use the clock of Redis, now at *clock_s*, while this machine's is too far ahead of it."""
        ahead = self._clock.now() - instant(clock_s)
        ahead = ahead if ahead > EARLY else timedelta(0)
        if ahead and abs(ahead - self._ahead) > EARLY:
            log.warning(
                "this machine's clock is %.0f s ahead of that of the broker;"
                " until they agree, ticks go by that of the broker",
                ahead.total_seconds(),
            )
        elif self._ahead and not ahead:
            log.info("this machine's clock agrees with that of the broker again")
        self._ahead = ahead

    def _wait_s(self) -> float:
        upcoming = [entry.upcoming for entry in self._entries.values() if entry.upcoming]
        if not upcoming:
            return LONGEST_S
        wait = min(upcoming) - self._now()
        return min(max(wait.total_seconds(), 0), LONGEST_S)


def _warn_of_rejected(entry: Entry, rejected_s: int | None) -> None:
    if rejected_s is not None:
        log.warning(
            "%s at %r: a scheduler whose clock was fast has left %s as last tick; it is ignored",
            entry.task,
            entry.spec,
            instant(rejected_s),
        )


def _guard(entry: Entry, at: datetime) -> Tick:
    last = entry.last or at  # an entry with a due tick has begun
    return Tick(
        entry_id=entry.id,
        known_s=int(last.timestamp()),
        at_s=int(at.timestamp()),
        ttl_s=entry.ttl_s(at),
    )


def _refusal_reason(result: TickResult) -> str:
    if result.clock_s is not None:
        return "by the clock of the broker the tick is still to come"
    return "another scheduler has handled the tick"
