"""What answers requests: what operators look at and act with, and the streams of it."""

from collections.abc import Sequence

from pyasynq.broker import BrokerAddress
from pyasynq.core.codec import Codec
from pyasynq.dashboard.streams import Streams
from pyasynq.operations import services
from pyasynq.operations.payloads import Redact


class Services(services.Services):
    """What answers requests; nothing is sent before the first of them.

    Attributes:
        read_only: Whether nothing may be changed.
        streams: Send what the sampler reads.
    """

    def __init__(
        self,
        address: BrokerAddress,
        *,
        read_only: bool,
        redact: Redact | None,
        codecs: Sequence[Codec],
    ) -> None:
        """Use the broker at *address*."""
        super().__init__(address, redact=redact, codecs=codecs)
        self.read_only: bool = read_only
        self.streams: Streams = Streams(self.sampler, self._extras)

    def _extras(self) -> dict[str, object]:
        return {"jobs": self.jobs.listed()}

    async def aclose(self) -> None:
        """Stop what runs, and close the connections."""
        await self.streams.aclose()
        await super().aclose()
