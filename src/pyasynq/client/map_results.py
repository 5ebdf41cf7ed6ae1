"""Read the results of maps."""

from pyasynq.broker import BatchPort
from pyasynq.core.call import MapInput
from pyasynq.core.codec import Codecs
from pyasynq.core.flow_outputs import open_results


async def read_results(port: BatchPort, codecs: Codecs, of: MapInput) -> bytes | None:
    """Return the results of a map as a JSON array, in the order of its tasks.

    None if the map is gone, or keeps no results.

    Raises:
        CodecError: If a result cannot be opened.
        BrokerError: If the broker does not answer.
    """
    batch = await port.read(of.queue, of.batch_id)
    outputs = await port.outputs(of.queue, of.batch_id)
    if batch is None or outputs is None:
        return None
    return open_results(codecs, of, batch.total, outputs)
