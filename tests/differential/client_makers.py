"""Make operations of a client."""

import time

import msgspec

from tests.differential import operations as ops
from tests.differential.operations import Choices, Operation
from tests.differential.view import GROUPS, HEADERS, HOUR_S, PAYLOADS, TYPES, Chance, View


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


def _later(draw: Chance) -> Choices:
    """Return options that set the process time, or none."""
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
    """Return a task with an option that at least one side refuses."""
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

    Only the last of a batch may be *unique*: Go keeps the lock of a refused task (D7), which would
    then refuse later ones.
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
