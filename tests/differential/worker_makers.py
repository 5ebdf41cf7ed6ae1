"""Make operations of workers, and of time."""

import time
from collections.abc import Sequence

from tests.differential import operations as ops
from tests.differential.operations import Choices, Operation, Outcome, Outcomes
from tests.differential.view import DAY_S, HEADERS, HOUR_S, MOST_AT_ONCE, Chance, View


def _outcome(draw: Chance) -> Outcome:
    kind = draw.pick(("ok", "ok", "ok", "fail", "fail", "spare", "skip", "revoke"))
    word = draw.pick(("boom", "größer", "a\nb"))
    return Outcome(
        kind=kind,
        text=""
        if kind == "ok"
        else word
        if kind in ("skip", "revoke")
        else f"ScriptedError: {word}",
        delay=draw.pick((1000, 2000.5)),
        result=draw.pick((None, None, b"", b"done")),
    )


def _outcomes(view: View, ids: Sequence[str]) -> Outcomes:
    return {task_id: _outcome(view.draw) for task_id in ids}


def _next(view: View, queue: str) -> list[str]:
    """Return the ids that a server may take, the next first."""
    paused = f"asynq:{{{queue}}}:paused" in view.state.keys
    return [] if paused else view.ids(queue, "pending")[::-1]


def _next_to_run(view: View, queue: str) -> list[str]:
    """Return up to two ids that a server may take and run: their deadline is not over."""
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
    """Return an operation that ends the running server."""
    running = view.ids(held.queue, "active")
    abort = held.count == 1 and view.draw.chance(0.5)
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
    """Return the group of a queue if it has exactly one, and that is registered."""
    start = f"asynq:{{{queue}}}:g:"
    found = [name.removeprefix(start) for name in view.state.keys if name.startswith(start)]
    return found[0] if len(found) == 1 and found == view.ids(queue, "groups") else None


def _has_texts(view: View, queue: str, group: str) -> bool:
    """Tell whether all payloads are text, because Go's peer reports text."""
    tasks = [f"asynq:{{{queue}}}:t:{task_id}" for task_id in view.ids(queue, f"g:{group}")]
    return all(b"\xff" not in view.state.message(task).payload for task in tasks)


def lapse(view: View) -> Operation | None:
    locks = [name for name in view.state.keys if ":unique:" in name]
    return ops.Lapse(locks=view.draw.some(locks)) if locks else None


def age(view: View) -> Operation | None:
    queue = view.queue
    archived = view.ids(queue, "archived")
    if view.held or not archived:  # Python's janitor could trim them at any moment
        return None
    return ops.Age(queue=queue, ids=view.draw.some(archived))


def trim(view: View) -> Operation | None:
    """Archive a task while the archive has tasks past their retention."""
    queue = view.queue
    waiting = _next_to_run(view, queue)[:1]
    if view.held or not waiting or not _is_aged(view, queue):
        return None
    if view.draw.chance(0.5):
        return ops.ArchiveTask(queue=queue, id=waiting[0])
    skipped = Outcome(kind="skip", text="boom")
    return ops.Work(queue=queue, count=1, concurrency=1, outcomes={waiting[0]: skipped})


def _is_aged(view: View, queue: str) -> bool:
    """Tell whether the archive has tasks past their retention."""
    archived = view.state.keys.get(f"asynq:{{{queue}}}:archived")
    return archived is not None and min(archived.value.values()) < time.time() - 91 * DAY_S
