"""Name the running task in log records.

Every record that is logged while a handler of a task runs can name the task, also from its threads
and the asyncio tasks it starts: add `TaskFields` to the handlers of your logging configuration.
"""

import logging
from typing import Final, TypedDict

from pyasynq.core.errors import PyasynqError
from pyasynq.server import current_task

FIELDS: Final = ("task_id", "task_type", "task_queue", "task_try")


class Fields(TypedDict, total=False):
    """Fields that name a task.

    Keys:
        task_id: Its id.
        task_type: Its type.
        task_queue: The queue it was taken from.
        task_try: Number of the try; 1 is the first.
    """

    task_id: str
    task_type: str
    task_queue: str
    task_try: int


def task_fields() -> Fields:
    """Return the fields of the running task; an empty dict outside a handler."""
    try:
        task = current_task()
    except PyasynqError:
        return {}
    return {
        "task_id": task.id,
        "task_type": task.type,
        "task_queue": task.queue,
        "task_try": task.retried + 1,
    }


class TaskFields(logging.Filter):
    """Adds the running task to every record; drops no record.

    Formats can then use ``%(task_id)s``, ``%(task_type)s``, ``%(task_queue)s`` and
    ``%(task_try)s``; they are empty outside a handler. Add the filter to logging handlers, because
    filters of a logger do not see the records of other loggers. With a
    `logging.handlers.QueueHandler`, add it to that handler, because the listener runs in another
    thread.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Name the task in *record*, unless another filter has done so."""
        if not hasattr(record, "task_id"):
            vars(record).update(dict.fromkeys(FIELDS, ""))
            vars(record).update(task_fields())
        return True
