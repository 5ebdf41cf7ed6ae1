"""Take reports of tasks that have ended to the records that they are part of."""

from collections.abc import Callable, Mapping
from typing import Final

from pyasynq.broker.sqlite import flow_rows
from pyasynq.broker.sqlite.batch_members import count_member
from pyasynq.broker.sqlite.store import Transaction
from pyasynq.core.errors import BrokerError
from pyasynq.core.report import Kind, Report
from pyasynq.runtime.loggers import get_logger

log: Final = get_logger("pyasynq.broker")

RECEIVERS: Final[Mapping[Kind, Callable[[Transaction, Report], bool]]] = {
    "batch": count_member,
    "flow": flow_rows.receive,
}
"""What takes a report, by the kind of the record. It returns False if there is no such record, and
ignores a report that it has already got.
"""


def receive(tx: Transaction, report: Report) -> None:
    """Take *report* to its record; log if that is gone, or cannot be read."""
    place = report.place
    try:
        is_there = RECEIVERS[place.kind](tx, report)
    except BrokerError as error:  # it keeps no task from ending
        log.warning("a task of the %s %s has ended, but %s", place.kind, place.id, error)
        return
    if not is_there:
        log.warning(
            "a task of the %s %s has ended, but %r no longer has it",
            place.kind,
            place.id,
            place.queue,
        )
