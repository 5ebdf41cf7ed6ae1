"""Read the results of other steps that a step uses."""

from collections.abc import Mapping
from typing import Final

import msgspec

from pyasynq.broker import FlowPort
from pyasynq.core.call import INPUTS
from pyasynq.core.codec import HEADER, Codecs
from pyasynq.core.control import SkipRetry
from pyasynq.core.flow_record import FlowRecord
from pyasynq.core.info import TaskInfo
from pyasynq.core.message import TaskMessage
from pyasynq.core.report import place_of, unpack_output
from pyasynq.core.states import TaskState

_decode: Final = msgspec.json.Decoder(dict[str, int]).decode


class Inputs:
    """Reads the inputs of steps."""

    def __init__(self, port: FlowPort, codecs: Codecs) -> None:
        """Read from *port*; open sealed results with *codecs*."""
        self._port = port
        self._codecs = codecs

    async def read(self, message: TaskMessage) -> Mapping[str, bytes]:
        """Return the results that the step of *message* uses, by the names of its parameters.

        Raises:
            SkipRetry: If the flow is gone.
            CodecError: If a result cannot be opened.
            BrokerError: If the broker does not answer.
        """
        place = place_of(message)
        if place is None:
            return {}
        numbers = _decode(message.headers[INPUTS])
        outputs = await self._port.outputs(place.queue, place.id, list(numbers.values()))
        if outputs is None:
            msg = f"flow {place.id!r} of {place.queue!r} is gone, and with it the results it needs"
            raise SkipRetry(msg)
        found = dict(zip(numbers, outputs, strict=True))
        read = {name: unpack_output(output or b"") for name, output in found.items()}
        if not any(codecs for codecs, _ in read.values()):
            return {name: result or b"null" for name, (_, result) in read.items()}
        record = await self._port.read(place.queue, place.id)
        return {
            name: self._open(record, numbers[name], codecs, result)
            for name, (codecs, result) in read.items()
        }

    def _open(self, record: FlowRecord | None, number: int, codecs: str, result: bytes) -> bytes:
        """Return *result* of step *number*, which was sealed with *codecs*, opened."""
        if not codecs or record is None:
            return result or b"null"
        node = record.spec.nodes[number]
        sealed = TaskInfo(
            id=record.task_id(number),
            queue=node.queue,
            type=node.type,
            payload=b"",
            headers={HEADER: codecs},
            state=TaskState.COMPLETED,
            max_retry=0,
            result=result,
        )
        return self._codecs.open_result(sealed)
