"""Everything that knows Redis."""

from pyasynq.broker.redis.address import close_driver, open_driver
from pyasynq.broker.redis.connection import Driver, execute
from pyasynq.broker.redis.create import RedisCreate
from pyasynq.broker.redis.group import RedisGroup
from pyasynq.broker.redis.inspect import RedisInspect
from pyasynq.broker.redis.maintain import RedisMaintain
from pyasynq.broker.redis.process import RedisProcess
from pyasynq.broker.redis.registry import RedisRegistry
from pyasynq.broker.redis.result import RedisResult
from pyasynq.broker.redis.schedule import RedisSchedule
from pyasynq.broker.redis.semaphore import RedisSemaphore
from pyasynq.clock import Clock
from pyasynq.errors import BrokerAuthError

__all__ = ["Driver", "RedisBroker"]


class RedisBroker:
    """All paths over one client and its connection pool."""

    def __init__(self, driver: Driver, clock: Clock, *, owned: bool) -> None:
        """Use *driver* and *clock*; *owned* says whether closing is up to us."""
        self._driver = driver
        self._owned = owned
        self.registry = RedisRegistry(driver)
        self.creating = RedisCreate(driver, self.registry.register, clock)
        self.processing = RedisProcess(driver, clock)
        self.maintenance = RedisMaintain(driver, clock)
        self.grouping = RedisGroup(driver)
        self.scheduling = RedisSchedule(driver)
        self.inspecting = RedisInspect(driver)
        self.results = RedisResult(driver)
        self.semaphores = RedisSemaphore(driver)

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
