"""Everything that knows Redis."""

from pyasynq.broker.redis.connection import Driver, close_driver, execute, open_driver
from pyasynq.broker.redis.enqueue import RedisEnqueue
from pyasynq.broker.redis.group import RedisGroup
from pyasynq.broker.redis.inspect import RedisInspect
from pyasynq.broker.redis.maintain import RedisMaintain
from pyasynq.broker.redis.process import RedisProcess
from pyasynq.broker.redis.registry import RedisRegistry
from pyasynq.broker.redis.result import RedisResult

__all__ = ["Driver", "RedisBroker"]


class RedisBroker:
    """All paths over one client and its connection pool."""

    def __init__(self, driver: Driver, *, owned: bool) -> None:
        """Use *driver*; *owned* says whether closing is up to us."""
        self._driver = driver
        self._owned = owned
        self.registry = RedisRegistry(driver)
        self.enqueueing = RedisEnqueue(driver, self.registry.register)
        self.processing = RedisProcess(driver)
        self.maintenance = RedisMaintain(driver)
        self.grouping = RedisGroup(driver)
        self.inspecting = RedisInspect(driver)
        self.results = RedisResult(driver)

    @classmethod
    def connect(cls, broker: str | Driver) -> "RedisBroker":
        """Return the broker that *broker* names or is.

        Raises:
            OptionError: If it cannot be used.
        """
        return cls(open_driver(broker), owned=isinstance(broker, str))

    async def ping(self) -> None:
        """Return when Redis answers.

        Raises:
            BrokerError: If it does not.
        """
        await execute(self._driver, "PING")

    async def aclose(self) -> None:
        """Close the connections that this broker opened."""
        if self._owned:
            await close_driver(self._driver)
