"""Enqueue tasks when their entries are due.

Source:
    Protocol section 7.2 (asynq v0.26.0 ``enqueueJob.Run``; robfig/cron v3 ``Cron.run``).

Differs:
    Of several schedulers one enqueues each tick (D47). While Redis is away a tick is tried again,
    and then dealt with as the entry catches up (D48). No tick comes before its time by the clock of
    Redis.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, cast

from pyasynq.broker import Broker, NewTask, Position, Tick, TickResult
from pyasynq.client.middleware import told
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

log: Final = get_logger("pyasynq.scheduler")

LONGEST_S: Final = 10.0
"""Longest sleep: the machine's clock may be set meanwhile."""

EARLY: Final = timedelta(seconds=EARLY_S)

MOST_EVENTS: Final = 1000
"""Events recorded in one go."""


class Ticker(Wakeable):
    """Sleeps until the next tick and enqueues what is due."""

    name = "ticker"
    jitter: float = 0.0  # a tick is on time

    def __init__(
        self, broker: Broker, entries: Mapping[str, Entry], *, config: Config, outages: OutageLog
    ) -> None:
        """Enqueue the tasks of *entries*, which may come and go."""
        super().__init__(clock=config.clock, outages=outages)
        self._port = broker.schedules
        self._creation = broker.creation
        self._entries = entries
        self._config = config
        self._composer = Composer(config.codecs)
        self._hooks = Callbacks(1)
        self._removed: list[Entry] = []
        self._failed: dict[str, BrokerError] = {}
        self._events: list[tuple[str, SchedulerEvent]] = []
        self._ahead = timedelta(0)

    def forget(self, entry: Entry) -> None:
        """Have Redis forget *entry*, which was taken away."""
        self._removed.append(entry)
        self.wake()

    async def step(self) -> float:
        """Enqueue what is due; return the seconds until something else is."""
        self._failed.clear()
        if self._ahead:
            self._compare(await self._port.clock_s())
        await self._forget()
        await self._begin([entry for entry in self._entries.values() if entry.last is None])
        while due := self._due(self._now()):
            await self._enqueue(due)
            await self._record()
        await self._record()
        for error in self._failed.values():
            raise error  # all others were dealt with; these are tried again
        return self._wait_s()

    def close(self) -> None:
        """Let go of the thread of the hooks."""
        self._hooks.close()

    async def _forget(self) -> None:
        for entry in tuple(self._removed):
            try:
                if entry.id not in self._entries:  # it may have come back
                    await self._port.forget(entry.id, entry.queue)
            except BrokerError as error:
                self._failed[entry.id] = error
            else:
                self._removed.remove(entry)

    async def _begin(self, entries: Sequence[Entry]) -> None:
        """Learn the last ticks of *entries*; those that nobody knew begin now."""
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
                _warn_of(entry, answer.rejected_s)
                entry.begin(instant(answer.last_s), known=answer.known)

    def _due(self, now: datetime) -> list[tuple[Entry, datetime]]:
        due: list[tuple[Entry, datetime]] = []
        for entry in self._entries.values():
            if entry.upcoming is None or entry.upcoming > now or entry.id in self._failed:
                continue
            tick = entry.due(now)
            if tick is None:
                log.warning("%s at %r was missed since %s", entry.task, entry.spec, entry.upcoming)
                entry.pass_over(now)
            else:
                due.append((entry, tick))
        return due

    async def _enqueue(self, due: Sequence[tuple[Entry, datetime]]) -> None:
        """Enqueue at ticks that are due, one for each entry."""
        for entry, _ in due:
            await self._hooks.tell("pre_enqueue", self._config.pre_enqueue, entry.task)
        now = self._now()
        if self._config.client_middleware:
            for entry, tick in due:
                await self._pass(entry, tick, now)
        else:
            await self._enqueue_all(due, now)

    async def _enqueue_all(self, due: Sequence[tuple[Entry, datetime]], now: datetime) -> None:
        made: list[tuple[Entry, Composed, NewTask]] = []
        for entry, tick in due:
            try:
                composed = self._composed(entry, tick, entry.task, entry.merged, now)
            except CodecError as error:
                await self._stopped(entry, tick, error, ())
            else:
                made.append((entry, composed, NewTask(composed.plan, _guard(entry, tick))))
        answers = await self._creation.create([new for *_, new in made])
        for (entry, composed, _), answer in zip(made, answers, strict=True):
            if isinstance(answer, BrokerError):
                self._failed[entry.id] = answer
            elif isinstance(answer, TickResult):
                await self._moved(entry, composed.info(), answer, now)

    def _composed(
        self, entry: Entry, tick: datetime, task: Task, options: Options, now: datetime
    ) -> Composed:
        """Return what *task* becomes; it stays in the queue of *entry*, where its last tick is."""
        options = merge(options, Options(queue=entry.queue))
        return self._composer.compose(task, options, now=now, task_id=entry.task_id(tick))

    async def _pass(self, entry: Entry, tick: datetime, now: datetime) -> None:
        """Enqueue at one tick, through the client middleware and the codecs."""
        ended: list[PyasynqError | None] = []
        lost = BrokerUnavailableError(
            f"{self._outages.name}: middleware did not wait for the answer"
        )

        async def end(task: Task, options: Options) -> TaskInfo:
            composed = self._composed(entry, tick, task, options, now)
            self._failed[entry.id] = lost  # unless there is an answer: the next try learns of it
            (answer,) = await self._creation.create([NewTask(composed.plan, _guard(entry, tick))])
            if isinstance(answer, BrokerError):
                self._failed[entry.id] = answer
                raise answer
            del self._failed[entry.id]
            ticked = cast("TickResult", answer)  # which a guard of this kind is answered with
            info = composed.info()
            await self._moved(entry, info, ticked, now)
            refusal = ticked.refusal if ticked.moved else NotEnqueuedError(_whose(ticked))
            ended.append(refusal)
            if refusal is not None:
                raise refusal
            return info

        chain = self._config.client_middleware
        try:
            await call_guarded("client middleware", chain.enqueue(entry.task, entry.merged, end))
        except Exception as error:  # noqa: BLE001 - the user's code
            await self._stopped(entry, tick, error, ended)

    async def _stopped(
        self, entry: Entry, tick: datetime, error: Exception, ended: Sequence[PyasynqError | None]
    ) -> None:
        """Deal with the *error* that came out of client middleware, if it is not told yet.

        Args:
            entry: What was to be enqueued.
            tick: When.
            error: What came out.
            ended: What Redis refused it for, or None; empty if it was not asked.
        """
        if entry.id in self._failed or any(error is one for one in ended):
            return  # it is tried again, or told
        if ended:
            text = "client middleware failed for %s at %r, which is dealt with"
            log.error(text, entry.task, entry.spec, exc_info=error)
        elif isinstance(error, BrokerError):
            self._failed[entry.id] = error
        else:
            text = "%s at %r was due and is left out: %s"
            crash = None if isinstance(error, PyasynqError) else error
            log.warning(text, entry.task, entry.spec, error_text(error), exc_info=crash)
            entry.pass_over(tick)
            await self._after(entry, told(error))

    async def _moved(self, entry: Entry, info: TaskInfo, ticked: TickResult, now: datetime) -> None:
        if ticked.clock_s is not None:
            self._compare(ticked.clock_s)  # by which the tick is due no more
            return
        _warn_of(entry, ticked.rejected_s)
        entry.move(instant(ticked.last_s))
        if ticked.moved:
            await self._tell(entry, info, ticked, now)

    async def _tell(self, entry: Entry, info: TaskInfo, ticked: TickResult, now: datetime) -> None:
        """Tell the user, and history, what became of a tick."""
        if ticked.refusal is not None:
            text = "%s at %r was due and is left out: %s"
            log.warning(text, entry.task, entry.spec, ticked.refusal)
            await self._after(entry, ticked.refusal)
            return
        event = SchedulerEvent(task_id=info.id, enqueued_at=now)
        self._events.append((entry.id, event))
        await self._after(entry, info)

    async def _after(self, entry: Entry, outcome: TaskInfo | PyasynqError) -> None:
        await self._hooks.tell("post_enqueue", self._config.post_enqueue, entry.task, outcome)

    async def _record(self) -> None:
        """Record what was enqueued; what a failing Redis does not take is tried again."""
        while self._events:
            events = self._events[:MOST_EVENTS]
            try:
                await self._port.record(events)
            except BrokerError as error:
                if type(error) is not BrokerError:
                    raise
                # Redis works; a key of a history is broken, and will be the next time.
                log.warning("what was enqueued is missing in a history: %s", error)
            del self._events[: len(events)]

    def _now(self) -> datetime:
        """Return the instant to go by: this machine's, unless its clock is too far ahead."""
        return self._clock.now() - self._ahead

    def _compare(self, clock_s: float) -> None:
        """Go by the clock of Redis, which says *clock_s*, while this machine's is ahead of it."""
        ahead = self._clock.now() - instant(clock_s)
        ahead = ahead if ahead > EARLY else timedelta(0)
        if ahead and abs(ahead - self._ahead) > EARLY:
            log.warning(
                "this machine's clock is %.0f s ahead of that of Redis;"
                " until they agree, ticks go by that of Redis",
                ahead.total_seconds(),
            )
        elif self._ahead and not ahead:
            log.info("this machine's clock agrees with that of Redis again")
        self._ahead = ahead

    def _wait_s(self) -> float:
        upcoming = [entry.upcoming for entry in self._entries.values() if entry.upcoming]
        if not upcoming:
            return LONGEST_S
        wait = min(upcoming) - self._now()
        return min(max(wait.total_seconds(), 0), LONGEST_S)


def _warn_of(entry: Entry, rejected_s: int | None) -> None:
    if rejected_s is not None:
        log.warning(
            "%s at %r: a scheduler whose clock was fast has left %s as last tick; it is ignored",
            entry.task,
            entry.spec,
            instant(rejected_s),
        )


def _guard(entry: Entry, at: datetime) -> Tick:
    last = entry.last or at  # what is due has begun
    return Tick(
        entry_id=entry.id,
        known_s=int(last.timestamp()),
        at_s=int(at.timestamp()),
        ttl_s=entry.ttl_s(at),
    )


def _whose(ticked: TickResult) -> str:
    if ticked.clock_s is not None:
        return "by the clock of Redis the tick is still to come"
    return "another scheduler has dealt with the tick"
