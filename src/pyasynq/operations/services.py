"""What operators look at and act with: an inspector, and what both dashboards add to it."""

from collections.abc import Sequence

from pyasynq.broker import Broker, BrokerAddress, open_broker, redact_url
from pyasynq.client import Client
from pyasynq.core.codec import Codec, Codecs
from pyasynq.inspector import Inspector
from pyasynq.inspector.actions import Actions
from pyasynq.operations.audit import Audit
from pyasynq.operations.finder import Finder
from pyasynq.operations.jobs import Jobs
from pyasynq.operations.payloads import Payloads, Redact
from pyasynq.operations.sampler import Sampler
from pyasynq.runtime.cleanup import run_to_end


class Services:
    """What operators look at and act with; nothing is sent before the first call.

    Attributes:
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
        self, address: BrokerAddress, *, redact: Redact | None = None, codecs: Sequence[Codec] = ()
    ) -> None:
        """Use the broker at *address*."""
        self.url: str = redact_url(address)
        self.broker: Broker = open_broker(address)
        self.inspector: Inspector = Inspector(self.broker, codecs=codecs)
        self.client: Client = Client(self.broker, codecs=codecs)
        self.actions: Actions = Actions(self.broker, Codecs(codecs))
        self.payloads: Payloads = Payloads(redact)
        self.finder: Finder = Finder(self.broker, self.actions, self.payloads)
        self.audit: Audit = Audit(self.broker)
        self.jobs: Jobs = Jobs(self.inspector, self.actions, self.finder, self.audit)
        self.sampler: Sampler = Sampler(self.broker, self.inspector)

    async def aclose(self) -> None:
        """Stop what runs, and close the connections."""
        await self.jobs.aclose()
        await self.client.aclose()
        await run_to_end(self.broker.aclose)
