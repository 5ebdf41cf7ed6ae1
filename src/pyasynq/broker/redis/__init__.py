"""The Redis broker; all code that knows Redis is here."""

from pyasynq.broker import ports
from pyasynq.broker.redis.address import close_driver, open_driver
from pyasynq.broker.redis.audit import RedisAudit
from pyasynq.broker.redis.batches import RedisBatches
from pyasynq.broker.redis.cluster import RedisServers
from pyasynq.broker.redis.connection import Driver, execute
from pyasynq.broker.redis.control import RedisControl
from pyasynq.broker.redis.creation import RedisCreation
from pyasynq.broker.redis.diagnosis import RedisDiagnosis
from pyasynq.broker.redis.entries import RedisEntries
from pyasynq.broker.redis.flows import RedisFlows
from pyasynq.broker.redis.groups import RedisGroups
from pyasynq.broker.redis.history import RedisHistory
from pyasynq.broker.redis.inspection import RedisInspection
from pyasynq.broker.redis.mail import RedisMail
from pyasynq.broker.redis.receipts import RedisReceipts
from pyasynq.broker.redis.registry import RedisRegistry
from pyasynq.broker.redis.results import RedisResults
from pyasynq.broker.redis.schedules import RedisSchedules
from pyasynq.broker.redis.semaphores import RedisSemaphores
from pyasynq.broker.redis.transfers import RedisTransfers
from pyasynq.broker.redis.upkeep import RedisUpkeep
from pyasynq.broker.redis.work import RedisWork
from pyasynq.core.errors import BrokerAuthError
from pyasynq.runtime.clock import Clock

__all__ = ["Driver", "RedisBroker", "connect"]


def connect(address: str | Driver, clock: Clock | None = None) -> "RedisBroker":
    """Return the broker at *address*. It sends nothing before the first call.

    Raises:
        OptionError: If the URL or the client cannot be used.
    """
    return RedisBroker(open_driver(address), clock or Clock(), owned=isinstance(address, str))


class RedisBroker(ports.Broker):
    """All ports but ``backup`` over one client and its connection pool."""

    def __init__(self, driver: Driver, clock: Clock, *, owned: bool) -> None:
        """Use *driver* and *clock*; `aclose` closes *driver* only if it is *owned*."""
        self._driver = driver
        self._owned = owned
        self._registry = registry = RedisRegistry(driver)
        self._results = results = RedisResults(driver, clock)
        groups = RedisGroups(driver)
        creation = RedisCreation(driver, registry.register, clock)
        batches = RedisBatches(driver, creation)
        self.name: str = "Redis"
        self.creation: ports.CreationPort = creation
        self.work: ports.WorkPort = RedisWork(driver, clock)
        self.upkeep: ports.UpkeepPort = RedisUpkeep(driver, clock)
        self.registry: ports.RegistryPort = registry
        self.inspection: ports.InspectionPort = RedisInspection(driver, groups, batches, clock)
        self.results: ports.ResultPort = results
        self.groups: ports.GroupPort = groups
        self.batches: ports.BatchPort = batches
        self._add_other_ports(driver, clock, creation)

    def _add_other_ports(self, driver: Driver, clock: Clock, creation: RedisCreation) -> None:
        receipts = RedisReceipts(driver)
        self.schedules: ports.SchedulePort = RedisSchedules(driver)
        self.entries: ports.EntryPort = RedisEntries(driver)
        self.semaphores: ports.SemaphorePort = RedisSemaphores(driver)
        self.receipts: ports.ReceiptPort = receipts
        self.mail: ports.MailPort = (mail := RedisMail(driver, creation, receipts, clock))
        self.flows: ports.FlowPort = RedisFlows(driver, creation, mail)
        self.history: ports.HistoryPort = RedisHistory(driver, clock)
        self.control: ports.ControlPort = RedisControl(driver)
        self.audit: ports.AuditPort = RedisAudit(driver)
        self.cluster: ports.ClusterPort = RedisServers(driver)
        self.diagnosis: ports.DiagnosisPort = RedisDiagnosis(driver, clock)
        self.transfers: ports.TransferPort = RedisTransfers(driver, creation.register)

    async def ping(self) -> None:
        """Return if Redis answers and accepts writes; see `RedisRegistry.confirm`.

        Raises:
            BrokerError: If it does not.
        """
        try:
            await self._registry.confirm()
        except BrokerAuthError:  # the user may lack the right to write; then an answer is enough
            await execute(self._driver, "PING")

    async def aclose(self) -> None:
        """Close the connections that this broker opened."""
        await self._results.aclose()
        if self._owned:
            await close_driver(self._driver)
