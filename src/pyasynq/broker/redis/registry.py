"""Who is there: queues, servers, the tasks they run, and cancelations."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any, Final, cast

from redis.asyncio import RedisCluster

from pyasynq.broker.redis import keys, pipeline
from pyasynq.broker.redis.connection import ANSWER_S, Driver, broker_errors, execute, execute_all
from pyasynq.broker.redis.lua import registry as scripts
from pyasynq.broker.redis.protobuf_records import (
    server_info,
    server_record,
    worker_info,
    worker_record,
)
from pyasynq.broker.redis.records import decode_name, read_records
from pyasynq.broker.redis.scripts import Each, blob
from pyasynq.core.errors import BrokerError
from pyasynq.core.info import ServerInfo, WorkerInfo
from pyasynq.core.policy import MAX_BYTES, MAX_SHARES
from pyasynq.proto import asynq_pb2 as wire

STEP: Final = 250
"""Running tasks read in one call."""

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

    async def write_server(self, server: ServerInfo, *, ttl_s: int) -> None:
        """Show *server* with what it runs, and its queues, for *ttl_s* seconds; not, with 0.

        Source:
            Protocol section 3.18 (asynq v0.26.0 ``RDB.WriteServerState``).

        Differs:
            Names of servers that died are dropped here and not only when somebody lists (D57). How
            long a server is listed goes by the clock of Redis.
        """
        if not ttl_s:
            await self._clear(server)
            return
        failure: BrokerError | None = None
        try:
            if server.queues:
                await self.register(server.queues)
        except BrokerError as error:  # a broken key; who gives up waiting gives up the rest, too
            failure = error
        await self._show(server, ttl_s)
        if failure is not None:
            raise failure

    async def _show(self, server: ServerInfo, ttl_s: int) -> None:
        server_key, workers_key = _keys(server)
        each: list[Each] = []
        for worker in server.active_workers:
            each += (worker.task_id, blob(worker_record(server, worker).SerializeToString()))
        record = server_record(server).SerializeToString()
        await pipeline.run(
            self._driver,
            scripts.write_server(
                each, server=server_key, workers=workers_key, ttl_s=ttl_s, record=record
            ),
        )
        for index, name in ((keys.SERVERS, server_key), (keys.WORKERS, workers_key)):
            await pipeline.run(
                self._driver, scripts.add_to_index(index=index, name=name, ttl_s=ttl_s)
            )

    async def servers(self) -> list[ServerInfo]:
        """Return the servers that have shown themselves in the last seconds, by start.

        Source:
            Protocol sections 3.18 and 8.7 (asynq v0.26.0 ``RDB.ListServers``, ``ListWorkers``).
        """
        workers: dict[str, list[WorkerInfo]] = {}
        for key in await self._living(keys.WORKERS):
            for worker in read_records(wire.WorkerInfo, await self._workers(key)):
                workers.setdefault(worker.server_id, []).append(worker_info(worker))
        shown = read_records(wire.ServerInfo, await self._records(await self._living(keys.SERVERS)))
        servers = [server_info(server, workers.get(server.server_id, [])) for server in shown]
        latest = datetime.max.replace(tzinfo=UTC)
        return sorted(servers, key=lambda server: (server.started or latest, server.id))

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
            async with broker_errors(self._driver):
                if isinstance(self._driver, RedisCluster):
                    await self._driver.initialize()  # learns which node to listen to
                await pubsub.subscribe(keys.CANCEL)
            yield None
            pinged = False
            while True:
                patience_s = ANSWER_S if pinged else LISTEN_S
                async with broker_errors(self._driver, patience_s + ANSWER_S):
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

    async def _clear(self, server: ServerInfo) -> None:
        server_key, workers_key = _keys(server)
        await execute(self._driver, "ZREM", keys.SERVERS, server_key)
        await execute(self._driver, "ZREM", keys.WORKERS, workers_key)
        await execute(self._driver, "DEL", server_key, workers_key)

    async def _living(self, index: str) -> list[str]:
        names = await pipeline.run(self._driver, scripts.live_keys(index=index))
        return [decode_name(name) for name in cast("list[bytes]", names)]

    async def _records(self, names: Sequence[str]) -> list[bytes | None]:
        """Return what stands under the keys *names*."""
        answers: list[object] = []
        for at in range(0, len(names), MAX_SHARES):
            commands = [("GET", name) for name in names[at : at + MAX_SHARES]]
            answers += await execute_all(self._driver, commands)
        return cast("list[bytes | None]", answers)

    async def _workers(self, key: str) -> list[bytes | None]:
        """Return the records of what runs on one server, read in steps."""
        ids = cast("list[bytes]", await execute(self._driver, "HKEYS", key))
        found: list[bytes | None] = []
        while ids:
            each = [decode_name(task_id) for task_id in ids[:STEP]]
            call = scripts.read_workers(each, workers=key, max_bytes=MAX_BYTES)
            step = cast("list[bytes | None]", await pipeline.run(self._driver, call))
            found += step
            ids = ids[len(step) :]
        return found


def _keys(server: ServerInfo) -> tuple[str, str]:
    who = (server.host, server.pid, server.id)
    return keys.server(*who), keys.workers(*who)


def _canceled(note: Mapping[str, Any] | None) -> str | None:
    """Return the id in what was heard, if it is a cancelation."""
    if note is None or note["type"] != "message":
        return None
    return cast("bytes", note["data"]).decode(errors="replace")
