"""Ask flows what their steps need to know: results of other steps, and whether to run again."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Final

import msgspec

from pyasynq.broker import BatchPort, FlowPort
from pyasynq.client.map_results import read_results
from pyasynq.core.call import INPUTS, MapInput
from pyasynq.core.codec import Codecs
from pyasynq.core.control import SkipRetry, Snooze
from pyasynq.core.errors import BrokerError
from pyasynq.core.flow import RUNNING
from pyasynq.core.flow_outputs import open_output
from pyasynq.core.message import TaskMessage
from pyasynq.core.report import Place, place_of, unpack_output
from pyasynq.runtime.loggers import get_logger

log: Final = get_logger("pyasynq.server")

PAUSE: Final = timedelta(seconds=5)
"""Time until a step runs whose inputs could not be read."""

_decode: Final = msgspec.json.Decoder(dict[str, int | MapInput]).decode


class Inputs:
    """Reads from flows, for their steps."""

    def __init__(self, port: FlowPort, batches: BatchPort | None, codecs: Codecs) -> None:
        """Read from *port*, and those of maps from *batches*; open sealed ones with *codecs*."""
        self._port = port
        self._batches = batches
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
        wanted = _decode(message.headers[INPUTS])
        numbers = {name: it if isinstance(it, int) else it.number for name, it in wanted.items()}
        outputs = await self._port.outputs(place.queue, place.id, list(numbers.values()))
        if outputs is None:
            raise _gone(place)
        found = dict(zip(numbers, outputs, strict=True))
        maps = {
            name: await self._of_map(place, it)
            for name, it in wanted.items()
            if isinstance(it, MapInput) and not found[name]  # else an operator has skipped it
        }
        opened = await self._open(place, numbers, found)
        return opened | maps

    async def _open(
        self, place: Place, numbers: Mapping[str, int], found: Mapping[str, bytes | None]
    ) -> dict[str, bytes]:
        if not any(unpack_output(output or b"")[0] for output in found.values()):
            return {name: unpack_output(it or b"")[1] or b"null" for name, it in found.items()}
        record = await self._port.read(place.queue, place.id)
        if record is None:
            raise _gone(place)
        return {
            name: open_output(self._codecs, record, numbers[name], output) or b"null"
            for name, output in found.items()
        }

    async def _of_map(self, place: Place, of: MapInput) -> bytes:
        results = None
        if self._batches is not None:
            results = await read_results(self._batches, self._codecs, of)
        if results is None:
            raise _gone(place)
        return results

    async def is_awaited(self, message: TaskMessage) -> bool:
        """Return whether anybody waits for the end of the task of *message*.

        Nobody does if it is the task of a step whose flow was cancelled, or goes on without it.

        Raises:
            BrokerError: If the broker does not answer.
        """
        place = place_of(message)
        return place is None or place.kind != "flow" or await self.awaits(place)

    async def awaits(self, place: Place) -> bool:
        """Return whether the step at *place* waits for the end of its task.

        Raises:
            BrokerError: If the broker does not answer.
        """
        record = await self._port.read(place.queue, place.id)
        if record is None or record.state != "running":
            return False
        mark = record.marks[place.node : place.node + 1]
        return mark == RUNNING and record.place(place.node).member == place.member


def _gone(place: Place) -> SkipRetry:
    return SkipRetry(f"flow {place.id!r} of {place.queue!r} is gone, with the results it needs")
