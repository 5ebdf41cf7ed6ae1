"""What answers requests: an inspector, and what the dashboard adds to it."""

from collections.abc import Sequence

from pyasynq.broker import Broker, BrokerAddress, open_broker, redact_url
from pyasynq.client import Client
from pyasynq.core.codec import Codec, Codecs
from pyasynq.dashboard.audit import Audit
from pyasynq.dashboard.finder import Finder
from pyasynq.dashboard.jobs import Jobs
from pyasynq.dashboard.payloads import Payloads, Redact
from pyasynq.dashboard.sampler import Sampler
from pyasynq.inspector import Inspector
from pyasynq.inspector.actions import Actions
from pyasynq.runtime.cleanup import run_to_end


class Services:
    """What answers requests; nothing is sent before the first of them.

    Attributes:
        read_only: Whether nothing may be changed.
        url: Address of the broker, without passwords.
        broker: The broker.
        inspector: Reads and changes tasks.
        client: Enqueues copies of tasks.
        actions: Reads tasks in bounded steps.
        payloads: Redacts payloads and results.
        finder: Finds tasks.
        audit: Writes down who did what.
        jobs: Changes all tasks that match, and runs on when nobody looks.
        sampler: Reads what the overview shows.
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
        self.read_only: bool = read_only
        self.url: str = redact_url(address)
        self.broker: Broker = open_broker(address)
        self.inspector: Inspector = Inspector(self.broker, codecs=codecs)
        self.client: Client = Client(self.broker, codecs=codecs)
        self.actions: Actions = Actions(self.broker, Codecs(codecs))
        self.payloads: Payloads = Payloads(redact)
        self.finder: Finder = Finder(self.broker, self.actions, self.payloads)
        self.audit: Audit = Audit(self.broker)
        self.jobs: Jobs = Jobs(self.inspector, self.actions, self.finder)
        self.sampler: Sampler = Sampler(self.broker, self.inspector, self._extras)

    def _extras(self) -> dict[str, object]:
        return {"jobs": self.jobs.listed()}

    async def aclose(self) -> None:
        """Stop what runs, and close the connections."""
        await self.jobs.aclose()
        await self.sampler.aclose()
        await self.client.aclose()
        await run_to_end(self.broker.aclose)
