"""Make operations of an inspector."""

from collections.abc import Callable

from tests.differential import operations as ops
from tests.differential.operations import Operation
from tests.differential.view import GROUPS, PAYLOADS, STATES, UNKNOWN, Maker, View


def queues(_view: View) -> Operation:
    return ops.Queues()


def _known_or_not(view: View) -> str:
    """Return a queue, sometimes one that does not exist."""
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


def of_task(make: Callable[..., Operation]) -> Maker:
    def make_one(view: View) -> Operation | None:
        queue = _known_or_not(view)
        by_state = view.by_state(queue)
        if not by_state and view.draw.chance(0.8):
            return None
        ids = by_state[view.draw.pick(sorted(by_state))] if by_state else []
        return make(queue=queue, id=view.draw.pick([*ids, "task-0"]))

    return make_one


def update_payload(view: View) -> Operation | None:
    queue = _known_or_not(view)
    ids = view.ids(queue, "scheduled") if view.draw.chance(0.8) else view.tasks(queue)
    if not ids and view.draw.chance(0.8):
        return None
    payload = view.draw.pick(PAYLOADS) or b"new"
    return ops.UpdatePayload(queue=queue, id=view.draw.pick([*ids, "task-0"]), payload=payload)


def of_state(make: Callable[..., Operation], *states: str) -> Maker:
    def make_one(view: View) -> Operation:
        queue = _known_or_not(view)
        filled = [state for state in states if state in view.by_state(queue)]
        state = view.draw.pick(filled or states)
        return make(queue=queue, state=state, group=_group(view, state))

    return make_one


def servers(_view: View) -> Operation:
    return ops.Servers()
