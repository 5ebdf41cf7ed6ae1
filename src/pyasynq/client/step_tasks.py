"""What the tasks of steps say about them, where nobody has reported it."""

from typing import Final

from pyasynq.broker import Broker, StoredTask
from pyasynq.core.codec import HEADER
from pyasynq.core.flow_record import FlowRecord
from pyasynq.core.outcome import Event
from pyasynq.core.report import Place, Report, pack_output, report_on
from pyasynq.core.states import TaskState

_EVENTS: Final[dict[TaskState, Event]] = {
    TaskState.COMPLETED: "succeeded",
    TaskState.ARCHIVED: "archived",
}


async def is_gone(broker: Broker, record: FlowRecord, number: int) -> bool:
    """Return whether the task or batch of a step that runs is gone, and no report is on its way.

    The order of the looks matters: a task may be on its way in the mail of the flow's home, and a
    report in that of the task's queue, also if that is the home. Each letter is written in one step
    with what it follows.

    Raises:
        PoisonError: If the task cannot be read.
        BrokerError: If the broker does not answer.
    """
    node = record.spec.nodes[number]
    found: object
    if node.is_map:
        found = await broker.batches.read(node.queue, node.batch_id)
    elif node.queue != record.queue and await _has_mail(broker, record.queue):
        return False
    else:
        found = await broker.inspection.task(node.queue, record.task_id(number))
    return found is None and not await _has_mail(broker, node.queue)


async def _has_mail(broker: Broker, queue: str) -> bool:
    return broker.supports("mail") and bool(await broker.mail.letters(queue, 0, 1))


def report_by_state(place: Place, task: StoredTask) -> Report | None:
    """Return the report on the step at *place*, whose *task* has ended; None if it has not."""
    event = _EVENTS.get(task.container.state)
    if event is None:
        return None
    info = task.info
    if info is None:
        return report_on(place, event, error="its message cannot be read")
    result = info.result
    output = pack_output(info.headers.get(HEADER, ""), result) if result else b""
    return report_on(place, event, output=output, error=info.last_error or "")
