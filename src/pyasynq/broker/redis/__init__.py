"""Everything that knows Redis."""

from pyasynq.broker.redis.address import close_driver, open_driver
from pyasynq.broker.redis.connection import Driver, execute
from pyasynq.broker.redis.create import RedisCreate
from pyasynq.broker.redis.groups import RedisGroups
from pyasynq.broker.redis.inspection import RedisInspection
from pyasynq.broker.redis.registry import RedisRegistry
from pyasynq.broker.redis.results import RedisResults
from pyasynq.broker.redis.schedules import RedisSchedules
from pyasynq.broker.redis.semaphores import RedisSemaphores
from pyasynq.broker.redis.upkeep import RedisUpkeep
from pyasynq.broker.redis.work import RedisWork
from pyasynq.core.errors import BrokerAuthError
from pyasynq.runtime.clock import Clock

__all__ = ["Driver", "RedisBroker"]


class RedisBroker:
    """All ports over one client and its connection pool."""

    def __init__(self, driver: Driver, clock: Clock, *, owned: bool) -> None:
        """Use *driver* and *clock*; *owned* says whether closing is up to us."""
        self._driver = driver
        self._owned = owned
        self.registry: RedisRegistry = RedisRegistry(driver)
        self.creating: RedisCreate = RedisCreate(driver, self.registry.register, clock)
        self.processing: RedisWork = RedisWork(driver, clock)
        self.maintenance: RedisUpkeep = RedisUpkeep(driver, clock)
        self.grouping: RedisGroups = RedisGroups(driver)
        self.scheduling: RedisSchedules = RedisSchedules(driver)
        self.inspecting: RedisInspection = RedisInspection(driver)
        self.results: RedisResults = RedisResults(driver)
        self.semaphores: RedisSemaphores = RedisSemaphores(driver)

    @classmethod
    def connect(cls, broker: str | Driver, clock: Clock | None = None) -> "RedisBroker":
        """Return the broker that *broker* names or is.

        Raises:
            OptionError: If it cannot be used.
        """
        return cls(open_driver(broker), clock or Clock(), owned=isinstance(broker, str))

    async def ping(self) -> None:
        """Return when Redis answers, and takes what is written; see `RedisRegistry.confirm`.

        Raises:
            BrokerError: If it does not.
        """
        try:
            await self.registry.confirm()
        except BrokerAuthError:  # who may only read is content with an answer
            await execute(self._driver, "PING")

    async def aclose(self) -> None:
        """Close the connections that this broker opened."""
        if self._owned:
            await close_driver(self._driver)
