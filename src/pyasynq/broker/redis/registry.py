"""Who is there: queues, servers, the tasks they run, and cancelations."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import aclosing
from typing import Any, cast

from redis.asyncio import RedisCluster

from pyasynq.broker.redis import keys, pipeline
from pyasynq.broker.redis.connection import ANSWER_S, Driver, answered, execute
from pyasynq.broker.redis.lua import registry as scripts
from pyasynq.broker.redis.scripts import Each, blob
from pyasynq.core.message import ServerInfo, WorkerInfo

LISTEN_S = 2
"""Longest silence of a subscription that is not looked into."""


class RedisRegistry:
    """The registry port."""

    def __init__(self, driver: Driver) -> None:
        """Send to *driver*."""
        self._driver = driver

    async def confirm(self) -> None:
        """Return when Redis has taken a write, which changes nothing.

        A replica answers a ``PING`` like any other, and managed services may refuse ``ROLE``.

        Raises:
            BrokerError: If there is no answer, or Redis takes no writes.
        """
        await execute(self._driver, "SREM", keys.QUEUES, "")

    async def register(self, queues: Collection[str]) -> None:
        """Make *queues* known to inspectors."""
        await execute(self._driver, "SADD", keys.QUEUES, *queues)

    async def write_server(
        self, server: ServerInfo, workers: Sequence[WorkerInfo], *, ttl_s: int
    ) -> None:
        """Show *server* and its *workers* for *ttl_s* seconds.

        Source:
            Protocol section 3.18 (asynq v0.26.0 ``RDB.WriteServerState``).

        Differs:
            Names of servers that died are dropped here and not only when somebody lists (D57). How
            long a server is listed goes by the clock of Redis.
        """
        server_key, workers_key = _keys(server)
        each: list[Each] = []
        for worker in workers:
            each += (worker.task_id, blob(worker.SerializeToString()))
        record = server.SerializeToString()
        await pipeline.run(
            self._driver,
            scripts.beat(each, server=server_key, workers=workers_key, ttl_s=ttl_s, record=record),
        )
        for index, name in ((keys.SERVERS, server_key), (keys.WORKERS, workers_key)):
            await pipeline.run(self._driver, scripts.present(index=index, name=name, ttl_s=ttl_s))

    async def clear_server(self, server: ServerInfo) -> None:
        """Stop showing *server*."""
        server_key, workers_key = _keys(server)
        await execute(self._driver, "ZREM", keys.SERVERS, server_key)
        await execute(self._driver, "ZREM", keys.WORKERS, workers_key)
        await execute(self._driver, "DEL", server_key, workers_key)

    async def cancelations(self) -> AsyncIterator[str | None]:
        """Yield the ids of tasks an operator cancels, until the connection breaks.

        None comes first, and after every 2 s without a cancelation: still listening. A connection
        that only listens would not notice that nothing comes through any more, so silence is
        answered with a ping.

        Raises:
            BrokerError: If Redis cannot be listened to.
        """
        pubsub: Any = self._driver.pubsub()
        async with aclosing(pubsub):
            async with answered(self._driver):
                if isinstance(self._driver, RedisCluster):
                    await self._driver.initialize()  # learns which node to listen to
                await pubsub.subscribe(keys.CANCEL)
            yield None
            pinged = False
            while True:
                patience_s = ANSWER_S if pinged else LISTEN_S
                async with answered(self._driver, patience_s + ANSWER_S):
                    note = await pubsub.get_message(timeout=patience_s)
                    if note is None and pinged:
                        msg = "no sign of life where cancelations are heard"
                        raise TimeoutError(msg)
                    if note is None:
                        await pubsub.ping()
                pinged = note is None
                yield _canceled(note)

    async def cancel(self, task_id: str) -> None:
        """Ask every server to cancel *task_id*.

        A replica would take the call, and tell only who listens there.
        """
        await self.confirm()
        await execute(self._driver, "PUBLISH", keys.CANCEL, task_id)


def _keys(server: ServerInfo) -> tuple[str, str]:
    who = (server.host, server.pid, server.server_id)
    return keys.server(*who), keys.workers(*who)


def _canceled(note: Mapping[str, Any] | None) -> str | None:
    """Return the id in what was heard, if it is a cancelation."""
    if note is None or note["type"] != "message":
        return None
    return cast("bytes", note["data"]).decode(errors="replace")
