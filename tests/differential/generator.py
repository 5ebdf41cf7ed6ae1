"""Draw operations at random: from a seed and from what stands in Redis, always the same ones."""

import random
import time
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from typing import Final, TypeAlias, TypeVar

import msgspec

from pyasynq.states import TaskState
from tests.differential import operations as ops
from tests.differential.coverage import about
from tests.differential.operations import Choices, Operation, Outcome, Outcomes
from tests.differential.snapshot import Snapshot

T = TypeVar("T")

QUEUES: Final = ("a", "b")
UNKNOWN: Final = "unknown"
TYPES: Final = ("email", "sms")
PAYLOADS: Final = (None, b"", b"x", b"\x00\xff", '{"ü": 1}'.encode())
GROUPS: Final = ("g", "g:1")
HEADERS: Final = ({}, {}, {"k": "v"}, {"k": "", "ü": "ß"})
STATES: Final = tuple(state.value for state in TaskState)
HOUR_S: Final = 3600
DAY_S: Final = 24 * HOUR_S
MOST_AT_ONCE: Final = 4
OFFERS: Final = 8
FEW: Final = 6
"""With fewer tasks than these, more are made before anything else."""


@dataclass(kw_only=True)
class Generator:
    """Draws one operation after another.

    Attributes:
        random: Where chance comes from.
        serial: Number of the last task made.
    """

    random: random.Random
    serial: int = 0

    def draw(self, state: Snapshot, held: ops.Begin | None, missing: Set[str]) -> Operation:
        """Return an operation that makes sense in *state* while *held* runs.

        Of some that chance offers, one that may reach what is *missing* goes first.
        """
        view = View(self, state, held)
        if len(view.tasks("a") + view.tasks("b")) < FEW and self.chance(0.6):
            return enqueue(view)
        offers = [self._offer(view) for _ in range(OFFERS)]
        wanted = {label.split(" -> ")[0] for label in missing}
        return next((offer for offer in offers if about(offer, state) in wanted), offers[0])

    def _offer(self, view: "View") -> Operation:
        while True:
            [make] = self.random.choices(list(MAKERS), list(MAKERS.values()))
            operation = make(view)
            if operation is not None:
                return operation

    def pick(self, choices: Sequence[T]) -> T:
        """Return one of *choices*."""
        return self.random.choice(choices)

    def some(self, choices: Sequence[T]) -> Sequence[T]:
        """Return at least one of *choices*, in order."""
        count = self.random.randint(1, min(MOST_AT_ONCE, len(choices)))
        return [choices[n] for n in sorted(self.random.sample(range(len(choices)), count))]

    def chance(self, share: float) -> bool:
        """Return True in a *share* of cases."""
        return self.random.random() < share


@dataclass(frozen=True)
class View:
    """What a maker can look at."""

    draw: Generator
    state: Snapshot
    held: ops.Begin | None

    @property
    def queue(self) -> str:
        """One of the queues."""
        return self.draw.pick(QUEUES)

    def ids(self, queue: str, container: str) -> list[str]:
        """Return the ids in a container."""
        return self.state.members(f"asynq:{{{queue}}}:{container}")

    def by_state(self, queue: str) -> dict[str, list[str]]:
        """Return the ids of all tasks of a queue by the state they are in."""
        states: dict[str, list[str]] = {}
        for task_id in self.tasks(queue):
            word = self.state.field(f"asynq:{{{queue}}}:t:{task_id}", "state") or b""
            states.setdefault(word.decode(), []).append(task_id)
        return states

    def tasks(self, queue: str) -> list[str]:
        """Return the ids of all tasks of a queue."""
        start = f"asynq:{{{queue}}}:t:"
        return [name.removeprefix(start) for name in self.state.keys if name.startswith(start)]


Maker: TypeAlias = Callable[[View], Operation | None]


# -- of a client -----------------------------------------------------------------------------------


def enqueue(view: View) -> ops.Enqueue:
    draw, queue = view.draw, view.queue
    draw.serial += 1
    known = view.tasks(queue)
    task_id = draw.pick(known) if known and draw.chance(0.1) else f"task-{draw.serial}"
    choices = Choices(
        queue=queue,
        task_id=task_id,
        max_retry=draw.pick((None, 0, 1, 3)),
        timeout=draw.pick((None, None, 30, 90.5)),
        deadline=draw.pick((*[None] * 6, int(time.time()) + HOUR_S, int(time.time()) - 9)),
        unique=draw.pick((None, None, None, 1.5 * HOUR_S, 3 * HOUR_S + 0.4)),
        retention=draw.pick((None, None, HOUR_S, 2 * HOUR_S + 0.3)),
        group=draw.pick((None, None, None, *GROUPS)),
    )
    options = _later(draw)
    own, call = (choices, options) if draw.chance(0.5) else (options, choices)
    return ops.Enqueue(
        type=draw.pick(TYPES),
        payload=draw.pick(PAYLOADS),
        headers=draw.pick(HEADERS),
        own=own,
        options=call,
    )


def _later(draw: Generator) -> Choices:
    """Return options that say when."""
    match draw.random.randint(0, 9):
        case 0:
            return Choices(process_in=draw.random.randint(HOUR_S, 9 * HOUR_S))
        case 1:
            return Choices(process_in=draw.random.uniform(HOUR_S, 9 * HOUR_S))
        case 2:
            return Choices(process_at=int(time.time()) + draw.random.randint(HOUR_S, 9 * HOUR_S))
        case 3:
            return Choices(process_at=int(time.time()) - HOUR_S)
        case _:
            return Choices()


def enqueue_badly(view: View) -> Operation:
    """Return a task with an option that one side at least refuses."""
    task = enqueue(view)
    bad = view.draw.pick(
        (
            {"timeout": 0.5},
            {"timeout": -1},
            {"retention": -1},
            {"max_retry": -1},
            {"unique": 0.5},
            {"process_in": -1},
            {"queue": " "},
            {"queue": "a{b"},
            {"group": " "},
            {"task_id": " "},
        )
    )
    return msgspec.structs.replace(task, options=msgspec.structs.replace(task.options, **bad))


def enqueue_many(view: View) -> Operation:
    tasks = [enqueue(view) for _ in range(view.draw.random.randint(1, 4))]
    return ops.EnqueueMany(tasks=[_at_the_task(task, unique=task is tasks[-1]) for task in tasks])


def _at_the_task(task: ops.Enqueue, *, unique: bool) -> ops.Enqueue:
    """Move the options of the call to the task.

    Only the last of a batch may be *unique*: the lock that Go leaves behind for a refused one (D7)
    would decide over those after it.
    """
    merged = {
        name: getattr(task.options, name) or getattr(task.own, name)
        for name in Choices.__struct_fields__
        if unique or name != "unique"
    }
    return ops.Enqueue(
        type=task.type,
        payload=task.payload,
        headers=task.headers,
        own=Choices(**merged),
        options=Choices(),
    )


# -- of a worker -----------------------------------------------------------------------------------


def _outcome(draw: Generator) -> Outcome:
    kind = draw.pick(("ok", "ok", "ok", "fail", "fail", "spare", "skip", "revoke"))
    word = draw.pick(("boom", "größer", "a\nb"))
    return Outcome(
        kind=kind,
        text="" if kind == "ok" else word if kind in ("skip", "revoke") else f"Told: {word}",
        delay=draw.pick((1000, 2000.5)),
        result=draw.pick((None, None, b"", b"done")),
    )


def _outcomes(view: View, ids: Sequence[str]) -> Outcomes:
    return {task_id: _outcome(view.draw) for task_id in ids}


def _next(view: View, queue: str) -> list[str]:
    """Return the ids a server may take, next first."""
    paused = f"asynq:{{{queue}}}:paused" in view.state.keys
    return [] if paused else view.ids(queue, "pending")[::-1]


def _next_to_run(view: View, queue: str) -> list[str]:
    """Return up to two ids a server may take whose handlers start: their deadline is ahead."""
    waiting = _next(view, queue)[:2]
    deadlines = [view.state.message(f"asynq:{{{queue}}}:t:{i}").deadline for i in waiting]
    return [] if any(0 < at < time.time() for at in deadlines) else waiting


def work(view: View) -> Operation | None:
    if view.held:
        return None
    queue, draw = view.queue, view.draw
    waiting = _next(view, queue)
    if not waiting:
        return (
            ops.Work(queue=queue, count=0, concurrency=1, outcomes={}) if draw.chance(0.1) else None
        )
    if draw.chance(0.3):
        every = len(waiting)
        return ops.Work(queue=queue, count=every, concurrency=8, outcomes=_outcomes(view, waiting))
    taken = waiting[: draw.random.randint(1, MOST_AT_ONCE)]
    return ops.Work(queue=queue, count=len(taken), concurrency=1, outcomes=_outcomes(view, taken))


def begin(view: View) -> Operation | None:
    queue = view.queue
    waiting = _next_to_run(view, queue)
    if view.held or not waiting or _is_aged(view, queue):
        return None
    count = view.draw.random.randint(1, len(waiting))
    return ops.Begin(queue=queue, count=count, concurrency=count)


def end(view: View) -> Operation | None:
    return None if view.held is None else end_of(view, view.held)


def end_of(view: View, held: ops.Begin) -> Operation:
    """Return how the server that runs may end."""
    running = view.ids(held.queue, "active")
    abort = len(running) == 1 and view.draw.chance(0.5)
    return ops.End(queue=held.queue, outcomes=_outcomes(view, running), abort=abort)


def cancel(view: View) -> Operation | None:
    if not view.held:
        return None
    running = view.ids(view.held.queue, "active")
    return ops.Cancel(queue=view.held.queue, id=view.draw.pick([*running, "task-0"]))


def crash(view: View) -> Operation | None:
    queue = view.queue
    waiting = _next_to_run(view, queue)
    if view.held or not waiting:
        return None
    count = view.draw.random.randint(1, len(waiting))
    return ops.Crash(queue=queue, count=count, concurrency=count)


def forward(view: View) -> Operation | None:
    queue = view.queue
    return _upkeep(view, queue, "forward", view.ids(queue, "scheduled") + view.ids(queue, "retry"))


def expire(view: View) -> Operation | None:
    queue = view.queue
    return _upkeep(view, queue, "expire", view.ids(queue, "completed"))


def recover(view: View) -> Operation | None:
    queue = view.queue
    return _upkeep(view, queue, "recover", view.ids(queue, "lease"))


def _upkeep(view: View, queue: str, what: str, ids: Sequence[str]) -> Operation | None:
    if view.held or not ids:
        return None
    return ops.Maintain(queue=queue, what=what, ids=view.draw.some(ids))


def aggregate(view: View) -> Operation | None:
    queue = view.queue
    group = _only_group(view, queue)
    if group is None or not _has_texts(view, queue, group):
        return None
    view.draw.serial += 1
    own = Choices(task_id=f"sum-{view.draw.serial}", retention=view.draw.pick((None, HOUR_S)))
    task = ops.Enqueue(
        type="sum", payload=b"all", headers=view.draw.pick(HEADERS), own=own, options=Choices()
    )
    return ops.Aggregate(queue=queue, group=group, task=task)


def reclaim(view: View) -> Operation | None:
    queue = view.queue
    group = _only_group(view, queue)
    return ops.Maintain(queue=queue, what="reclaim", group=group) if group else None


def _only_group(view: View, queue: str) -> str | None:
    """Return the group of a queue that has one, and one that is registered."""
    start = f"asynq:{{{queue}}}:g:"
    found = [name.removeprefix(start) for name in view.state.keys if name.startswith(start)]
    return found[0] if len(found) == 1 and found == view.ids(queue, "groups") else None


def _has_texts(view: View, queue: str, group: str) -> bool:
    """Tell whether all payloads are text, as Go's peer reports them."""
    tasks = [f"asynq:{{{queue}}}:t:{task_id}" for task_id in view.ids(queue, f"g:{group}")]
    return all(b"\xff" not in view.state.message(task).payload for task in tasks)


def lapse(view: View) -> Operation | None:
    locks = [name for name in view.state.keys if ":unique:" in name]
    return ops.Lapse(locks=view.draw.some(locks)) if locks else None


def age(view: View) -> Operation | None:
    queue = view.queue
    archived = view.ids(queue, "archived")
    if view.held or not archived:  # Python's janitor would trim them at any moment
        return None
    return ops.Age(queue=queue, ids=view.draw.some(archived))


def trim(view: View) -> Operation | None:
    """Archive a task while others are older than the archive keeps them."""
    queue = view.queue
    waiting = _next_to_run(view, queue)[:1]
    if view.held or not waiting or not _is_aged(view, queue):
        return None
    if view.draw.chance(0.5):
        return ops.ArchiveTask(queue=queue, id=waiting[0])
    skipped = Outcome(kind="skip", text="boom")
    return ops.Work(queue=queue, count=1, concurrency=1, outcomes={waiting[0]: skipped})


def _is_aged(view: View, queue: str) -> bool:
    """Tell whether the archive holds tasks longer than it keeps them."""
    archived = view.state.keys.get(f"asynq:{{{queue}}}:archived")
    return archived is not None and min(archived.value.values()) < time.time() - 91 * DAY_S


# -- of an inspector -------------------------------------------------------------------------------


def queues(_view: View) -> Operation:
    return ops.Queues()


def _known_or_not(view: View) -> str:
    """Return a queue, now and then one that is not there."""
    return UNKNOWN if view.draw.chance(0.03) else view.queue


def queue_info(view: View) -> Operation:
    return ops.QueueInfo(queue=_known_or_not(view))


def history(view: View) -> Operation:
    return ops.History(queue=_known_or_not(view), days=view.draw.pick((0, 1, 3)))


def groups(view: View) -> Operation:
    return ops.Groups(queue=_known_or_not(view))


def pause(view: View) -> Operation:
    return ops.Pause(queue=_known_or_not(view))


def unpause(view: View) -> Operation | None:
    paused = [name for name in view.state.keys if name.endswith(":paused")]
    if not paused and view.draw.chance(0.8):
        return None
    queue = view.draw.pick(paused)[len("asynq:{") : -len("}:paused")] if paused else view.queue
    return ops.Unpause(queue=queue)


def delete_queue(view: View) -> Operation:
    return ops.DeleteQueue(queue=_known_or_not(view), force=view.draw.chance(0.3))


def list_tasks(view: View) -> Operation:
    state = view.draw.pick(STATES)
    page, size = view.draw.pick((*[(1, 30)] * 4, (1, 2), (1, 2), (2, 2), (2, 1), (0, 2), (1, 0)))
    return ops.ListTasks(
        queue=_known_or_not(view), state=state, group=_group(view, state), page=page, size=size
    )


def _group(view: View, state: str) -> str:
    return view.draw.pick(GROUPS) if state == "aggregating" else ""


def _of_task(make: Callable[..., Operation]) -> Maker:
    def of_task(view: View) -> Operation | None:
        queue = _known_or_not(view)
        by_state = view.by_state(queue)
        if not by_state and view.draw.chance(0.8):
            return None
        ids = by_state[view.draw.pick(sorted(by_state))] if by_state else []
        return make(queue=queue, id=view.draw.pick([*ids, "task-0"]))

    return of_task


def update_payload(view: View) -> Operation | None:
    queue = _known_or_not(view)
    ids = view.ids(queue, "scheduled") if view.draw.chance(0.8) else view.tasks(queue)
    if not ids and view.draw.chance(0.8):
        return None
    payload = view.draw.pick(PAYLOADS) or b"new"
    return ops.UpdatePayload(queue=queue, id=view.draw.pick([*ids, "task-0"]), payload=payload)


def _of_state(make: Callable[..., Operation], *states: str) -> Maker:
    def of_state(view: View) -> Operation:
        queue = _known_or_not(view)
        filled = [state for state in states if state in view.by_state(queue)]
        state = view.draw.pick(filled or states)
        return make(queue=queue, state=state, group=_group(view, state))

    return of_state


def servers(_view: View) -> Operation:
    return ops.Servers()


MAKERS: Final[dict[Maker, float]] = {
    enqueue: 20,
    enqueue_badly: 3,
    enqueue_many: 5,
    work: 25,
    begin: 7,
    end: 25,
    cancel: 10,
    crash: 6,
    forward: 5,
    expire: 15,
    recover: 50,
    aggregate: 0.6,
    reclaim: 3,
    lapse: 2,
    age: 6,
    trim: 40,
    queues: 1,
    queue_info: 4,
    history: 2,
    groups: 2,
    pause: 1.5,
    unpause: 6,
    delete_queue: 2,
    list_tasks: 16,
    _of_task(ops.TaskInfo): 5,
    _of_task(ops.RunTask): 8,
    _of_task(ops.ArchiveTask): 9,
    _of_task(ops.DeleteTask): 7,
    update_payload: 5,
    _of_state(ops.RunAll, "scheduled", "retry", "archived", "aggregating"): 4,
    _of_state(ops.ArchiveAll, "pending", "scheduled", "retry", "aggregating"): 4,
    _of_state(
        ops.DeleteAll, "pending", "scheduled", "retry", "archived", "completed", "aggregating"
    ): 4,
    servers: 2,
}
