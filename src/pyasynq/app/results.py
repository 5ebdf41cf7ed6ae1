"""Wait for typed results: of calls, of steps of flows, and of tasks by their ids."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final, Protocol

import msgspec

from pyasynq.app.substitutes import load, substitute_types
from pyasynq.client import Client, Members, Step
from pyasynq.core.call import Call
from pyasynq.core.errors import OptionError
from pyasynq.core.options import DEFAULT_QUEUE

NO_ID: Final = "one with a task_id (options(task_id=…)), the step of a flow, or the id of a task"


class Typed(Protocol):
    """A typed task."""

    @property
    def result_type(self) -> object:
        """Type of its result."""
        ...


class Results:
    """Reads the results of the tasks of an app."""

    def __init__(self, tasks: Mapping[str, Typed]) -> None:
        """Read results as the functions of *tasks*, by type, declare them."""
        self._tasks = tasks

    async def wait(
        self,
        client: Client,
        target: Call[Any] | Step[Any] | str,
        queue: str | None,
        timeout: timedelta | None,  # noqa: ASYNC109
    ) -> object:
        """Return the result of *target*; see `App.result`."""
        if isinstance(target, Step):
            data = await client.result(target, queue=queue, timeout=timeout)
            kind = target.flow.type_of(target)
            return self._decode(kind, data, many=isinstance(target, Members))
        if isinstance(target, str):
            return self._decode("", await client.result(target, queue=queue, timeout=timeout))
        options = target.options
        if options.task_id is None:
            raise OptionError("task", target, NO_ID)
        home = queue or options.queue or DEFAULT_QUEUE
        data = await client.result(options.task_id, queue=home, timeout=timeout)
        return self._decode(target.type, data)

    def _decode(self, kind: str, data: bytes, *, many: bool = False) -> object:
        """Return the result *data* of a task of type *kind*, or the list of *many*.

        Empty data is None.
        """
        if not data:
            return None
        task = self._tasks.get(kind)
        wanted: Any = Any if task is None else task.result_type
        known: Any = substitute_types(wanted)
        return msgspec.json.decode(data, type=list[known] if many else known, dec_hook=load)
