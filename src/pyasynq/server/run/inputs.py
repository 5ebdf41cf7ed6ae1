"""Ask flows what their steps need to know: results of other steps, and whether to run again."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Final

import msgspec

from pyasynq.broker import FlowPort
from pyasynq.core.call import INPUTS
from pyasynq.core.codec import Codecs
from pyasynq.core.control import SkipRetry, Snooze
from pyasynq.core.errors import BrokerError
from pyasynq.core.flow import RUNNING
from pyasynq.core.flow_outputs import open_output
from pyasynq.core.message import TaskMessage
from pyasynq.core.report import place_of, unpack_output
from pyasynq.runtime.loggers import get_logger

log: Final = get_logger("pyasynq.server")

PAUSE: Final = timedelta(seconds=5)
"""Time until a step runs whose inputs could not be read."""

_decode: Final = msgspec.json.Decoder(dict[str, int]).decode


class Inputs:
    """Reads from flows, for their steps."""

    def __init__(self, port: FlowPort, codecs: Codecs) -> None:
        """Read from *port*; open sealed results with *codecs*."""
        self._port = port
        self._codecs = codecs

    async def read(self, message: TaskMessage) -> Mapping[str, bytes]:
        """Return the results that the step of *message* uses, by the names of its parameters.

        Raises:
            SkipRetry: If the flow is gone.
            CodecError: If a result cannot be opened.
            Snooze: If the broker does not give them now. In a cluster the flow may be on a node
                that is away; that is no failure of the step.
        """
        try:
            return await self._read(message)
        except BrokerError as error:
            log.warning("%r waits for results: %s", message.id, error)
            raise Snooze(PAUSE) from error

    async def _read(self, message: TaskMessage) -> Mapping[str, bytes]:
        place = place_of(message)
        if place is None:
            return {}
        numbers = _decode(message.headers[INPUTS])
        outputs = await self._port.outputs(place.queue, place.id, list(numbers.values()))
        gone = f"flow {place.id!r} of {place.queue!r} is gone, and with it the results it needs"
        if outputs is None:
            raise SkipRetry(gone)
        found = dict(zip(numbers, outputs, strict=True))
        if not any(unpack_output(output or b"")[0] for output in outputs):
            return {name: unpack_output(it or b"")[1] or b"null" for name, it in found.items()}
        record = await self._port.read(place.queue, place.id)
        if record is None:
            raise SkipRetry(gone)
        return {
            name: open_output(self._codecs, record, numbers[name], output) or b"null"
            for name, output in found.items()
        }

    async def is_awaited(self, message: TaskMessage) -> bool:
        """Return whether anybody waits for the end of the task of *message*.

        Nobody does if it is the task of a step whose flow was cancelled, or goes on without it.

        Raises:
            BrokerError: If the broker does not answer.
        """
        place = place_of(message)
        if place is None or place.kind != "flow":
            return True
        record = await self._port.read(place.queue, place.id)
        if record is None or record.state != "running":
            return False
        mark = record.marks[place.node : place.node + 1]
        return mark == RUNNING and record.place(place.node).member == place.member
