"""Choose operations at random; seed and content of Redis determine them."""

from collections.abc import Set
from typing import Final

from tests.differential import client_makers as client
from tests.differential import inspector_makers as inspector
from tests.differential import operations as ops
from tests.differential import worker_makers as worker
from tests.differential.coverage import about
from tests.differential.operations import Operation
from tests.differential.snapshot import Snapshot
from tests.differential.view import Chance, Maker, View

OFFERS: Final = 8
FEW: Final = 6
"""If there are fewer tasks, enqueueing is preferred."""

MAKERS: Final[dict[Maker, float]] = {
    client.enqueue: 20,
    client.enqueue_badly: 3,
    client.enqueue_many: 5,
    worker.work: 25,
    worker.begin: 7,
    worker.end: 25,
    worker.cancel: 10,
    worker.crash: 6,
    worker.forward: 5,
    worker.expire: 15,
    worker.recover: 50,
    worker.aggregate: 0.6,
    worker.reclaim: 3,
    worker.lapse: 2,
    worker.age: 6,
    worker.trim: 40,
    inspector.queues: 1,
    inspector.queue_info: 4,
    inspector.history: 2,
    inspector.groups: 2,
    inspector.pause: 1.5,
    inspector.unpause: 6,
    inspector.delete_queue: 2,
    inspector.list_tasks: 16,
    inspector.of_task(ops.TaskInfo): 5,
    inspector.of_task(ops.RunTask): 8,
    inspector.of_task(ops.ArchiveTask): 9,
    inspector.of_task(ops.DeleteTask): 7,
    inspector.update_payload: 5,
    inspector.of_state(ops.RunAll, "scheduled", "retry", "archived", "aggregating"): 4,
    inspector.of_state(ops.ArchiveAll, "pending", "scheduled", "retry", "aggregating"): 4,
    inspector.of_state(
        ops.DeleteAll, "pending", "scheduled", "retry", "archived", "completed", "aggregating"
    ): 4,
    inspector.servers: 2,
}
"""The weight of each maker in the random choice."""


def draw(chance: Chance, state: Snapshot, held: ops.Begin | None, missing: Set[str]) -> Operation:
    """Return an operation that makes sense in *state* while the server of *held* runs.

    Of several random offers, one that may reach a *missing* label is preferred.
    """
    view = View(chance, state, held)
    if len(view.tasks("a") + view.tasks("b")) < FEW and chance.chance(0.6):
        return client.enqueue(view)
    offers = [_offer(view) for _ in range(OFFERS)]
    wanted = {label.split(" -> ")[0] for label in missing}
    return next((offer for offer in offers if about(offer, state) in wanted), offers[0])


def _offer(view: View) -> Operation:
    while True:
        [make] = view.draw.random.choices(list(MAKERS), list(MAKERS.values()))
        operation = make(view)
        if operation is not None:
            return operation
