"""What an entry of schedulers enqueues, stored so that an operator can enqueue it, too.

Pure, like `compose`. A codec may bind its text to the id of the task, so a stored payload is sealed
for the id of the entry, and sealed anew for each task that is made of it.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Self

import msgspec

from pyasynq.core.codec import HEADER, Codecs
from pyasynq.core.compose import Composed, compose
from pyasynq.core.message import TaskMessage
from pyasynq.core.options import Options, merge
from pyasynq.core.task import Task


class EntryTask(msgspec.Struct, frozen=True, kw_only=True):
    """The task of an entry, with all of its options.

    Attributes:
        entry_id: The entry.
        queue: Queue of the task.
        type: Type of the task.
        payload: The data, sealed if a header says so; None for a task without payload.
        headers: Text metadata, those of the options included.
        options: All other options, those of the task itself included.
        ttl_s: Time for which the broker remembers the entry after a scheduler had it last, seconds.
    """

    entry_id: str
    queue: str
    type: str
    payload: bytes | None
    headers: Mapping[str, str]
    options: Options
    ttl_s: int

    @classmethod
    def of(
        cls, entry_id: str, queue: str, task: Task, options: Options, codecs: Codecs, *, ttl_s: int
    ) -> Self:
        """Return the task of an entry, sealed with *codecs*; *options* are all of its options.

        Raises:
            CodecError: If a codec cannot seal the payload.
        """
        message = TaskMessage(type=task.type, payload=task.payload, id=entry_id, queue=queue)
        message.headers.update({**task.headers, **options.headers})
        codecs.seal(message)
        return cls(
            entry_id=entry_id,
            queue=queue,
            type=task.type,
            payload=None if task.payload is None else message.payload,
            headers=dict(message.headers),
            options=msgspec.structs.replace(options, headers={}),
            ttl_s=ttl_s,
        )

    def compose(self, options: Options, codecs: Codecs, *, now: datetime, task_id: str) -> Composed:
        """Return the plan for a new task, sealed with the same codecs as this one.

        Args:
            options: Options that win over those of the entry.
            codecs: Open and seal the payload.
            now: Current time, UTC.
            task_id: Id of the task if no option gives one.

        Raises:
            CodecError: If one of the codecs that sealed the payload is missing, or fails.
        """
        task = self._open(codecs)
        merged = merge(msgspec.structs.replace(self.options, queue=self.queue), options)
        plan = compose(task, merged, now=now, task_id=task_id)
        if names := self.headers.get(HEADER):
            plan.message.headers[HEADER] = names
            codecs.seal_again(plan.message)
        return Composed(plan, task, merged, now)

    def _open(self, codecs: Codecs) -> Task:
        message = TaskMessage(
            type=self.type, payload=self.payload, id=self.entry_id, queue=self.queue
        )
        message.headers.update(self.headers)
        if self.payload is None:
            message.headers.pop(HEADER, None)
        else:
            message = codecs.open_message(message)
        payload = None if self.payload is None else message.payload
        return Task(self.type, payload, headers=dict(message.headers))
