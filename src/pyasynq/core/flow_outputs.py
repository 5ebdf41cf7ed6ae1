"""Open what steps have reported."""

from pyasynq.core.codec import HEADER, Codecs
from pyasynq.core.flow_record import FlowRecord
from pyasynq.core.info import TaskInfo
from pyasynq.core.report import unpack_output
from pyasynq.core.states import TaskState


def open_output(codecs: Codecs, record: FlowRecord, number: int, output: bytes | None) -> bytes:
    """Return the result in the *output* of a step; empty if it has none.

    Raises:
        CodecError: If it is sealed, and a codec is missing, or fails.
    """
    names, result = unpack_output(output or b"")
    if not names:
        return result
    node = record.spec.nodes[number]
    sealed = TaskInfo(
        id=record.task_id(number),
        queue=node.queue,
        type=node.type,
        payload=b"",
        headers={HEADER: names},
        state=TaskState.COMPLETED,
        max_retry=0,
        result=result,
    )
    return codecs.open_result(sealed)
