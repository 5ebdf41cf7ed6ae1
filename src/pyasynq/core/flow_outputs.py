"""Open what steps have reported."""

from collections.abc import Mapping

from pyasynq.core.batch import member_id
from pyasynq.core.call import MapInput
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
    node = record.spec.nodes[number]
    return open_result(
        codecs, output or b"", queue=node.queue, type=node.type, task_id=record.task_id(number)
    )


def open_results(codecs: Codecs, of: MapInput, total: int, outputs: Mapping[int, bytes]) -> bytes:
    """Return the results of a map's *total* tasks as a JSON array.

    Args:
        codecs: Open what is sealed.
        of: The map.
        total: Number of its tasks.
        outputs: What they have reported, by number; a task without a result is null.

    Raises:
        CodecError: If one is sealed, and a codec is missing, or fails.
    """
    results = (
        open_result(
            codecs,
            outputs.get(number, b""),
            queue=of.queue,
            type=of.type,
            task_id=member_id(of.batch_id, number),
        )
        for number in range(total)
    )
    return b"[" + b",".join(result or b"null" for result in results) + b"]"


def open_result(codecs: Codecs, output: bytes, *, queue: str, type: str, task_id: str) -> bytes:
    """Return the result in what a task has reported; empty if it has none.

    Raises:
        CodecError: If it is sealed, and a codec is missing, or fails.
    """
    names, result = unpack_output(output)
    if not names:
        return result
    sealed = TaskInfo(
        id=task_id,
        queue=queue,
        type=type,
        payload=b"",
        headers={HEADER: names},
        state=TaskState.COMPLETED,
        max_retry=0,
        result=result,
    )
    return codecs.open_result(sealed)
