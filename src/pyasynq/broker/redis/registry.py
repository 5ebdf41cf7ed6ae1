"""The registry: queues, servers, their running tasks, and cancelations."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any, Final, cast

from redis.asyncio import RedisCluster

from pyasynq.broker.ports.registry import News, Notice, Vacancy
from pyasynq.broker.protobuf_records import (
    server_details,
    server_info,
    server_record,
    worker_info,
    worker_record,
)
from pyasynq.broker.records import decode_name, read_records
from pyasynq.broker.redis import pipeline, shared_keys
from pyasynq.broker.redis.connection import ANSWER_S, Driver, broker_errors, execute, execute_all
from pyasynq.broker.redis.lua import registry as scripts
from pyasynq.broker.redis.scripts import Each, blob
from pyasynq.core.info import ServerInfo, WorkerInfo
from pyasynq.core.policy import MAX_BYTES, MAX_SHARES
from pyasynq.proto import asynq_pb2 as wire

_NOTICES: Final = (shared_keys.CANCEL, shared_keys.CONTROL_CHANNEL)

STEP: Final = 250
"""Running tasks that one call reads."""

LISTEN_S = 10
"""Time without a message after which a subscription is checked with a ping."""


class RedisRegistry:
    """The registry port."""

    def __init__(self, driver: Driver) -> None:
        """Send calls over *driver*."""
        self._driver = driver

    async def confirm(self) -> None:
        """Return if Redis accepts a write, which changes nothing.

        A replica also answers ``PING``, and managed services may refuse ``ROLE``.

        Raises:
            BrokerError: If there is no answer, or Redis accepts no writes.
        """
        await execute(self._driver, "SREM", shared_keys.QUEUES, "")

    async def register(self, queues: Collection[str]) -> None:
        """Make *queues* known to inspectors."""
        await execute(self._driver, "SADD", shared_keys.QUEUES, *queues)

    async def write_server(
        self, server: ServerInfo, *, ttl_s: int, found: Collection[str] = ()
    ) -> None:
        """Write the record of *server* for *ttl_s* seconds, and add its queues; with 0 delete it.

        Queues in *found* are not added.

        Source:
            Protocol section 3.18 (asynq v0.26.0 ``RDB.WriteServerState``).

        Differs:
            This drops the names of dead servers; asynq does so only when somebody lists them (D57).
            The clock of Redis decides how long a server is listed.
        """
        if not ttl_s:
            await self._clear(server)
            return
        queues = [queue for queue in server.queues if queue not in found]
        server_key, workers_key = _keys(server)
        each: list[Each] = []
        for worker in server.active_workers:
            each += (worker.task_id, blob(worker_record(server, worker).SerializeToString()))
        record = server_record(server).SerializeToString()
        calls = [
            *([scripts.add_queues(queues, queues=shared_keys.QUEUES)] if queues else []),
            scripts.write_server(
                each,
                server=server_key,
                workers=workers_key,
                details=shared_keys.details_of(server_key),
                ttl_s=ttl_s,
                record=record,
                more=server_details(server),
            ),
            scripts.add_to_index(index=shared_keys.SERVERS, name=server_key, ttl_s=ttl_s, kept_s=0),
            scripts.add_to_index(
                index=shared_keys.WORKERS, name=workers_key, ttl_s=ttl_s, kept_s=0
            ),
        ]
        pipeline.raise_first(await pipeline.run_all(self._driver, calls))

    async def servers(self) -> list[ServerInfo]:
        """Return the servers whose record has not expired, ordered by start.

        Source:
            Protocol sections 3.18 and 8.7 (asynq v0.26.0 ``RDB.ListServers``, ``ListWorkers``).
        """
        workers: dict[str, list[WorkerInfo]] = {}
        for key in await self._live_keys(shared_keys.WORKERS):
            for worker in read_records(wire.WorkerInfo, await self._worker_records(key)):
                workers.setdefault(worker.server_id, []).append(worker_info(worker))
        names = await self._live_keys(shared_keys.SERVERS)
        found = await self._records([*names, *map(shared_keys.details_of, names)])
        servers = [
            server_info(server, workers.get(server.server_id, []), details)
            for record, details in zip(found[: len(names)], found[len(names) :], strict=True)
            for server in read_records(wire.ServerInfo, [record])
        ]
        latest = datetime.max.replace(tzinfo=UTC)
        return sorted(servers, key=lambda server: (server.started or latest, server.id))

    async def notices(self) -> AsyncIterator[News | None]:
        """Yield ids of tasks that an operator cancels, and notices, until the connection breaks.

        Yield None first, and after every 10 s without anything else: still listening. A connection
        that only listens does not notice a dead network, so after such a silence a ping is sent.

        Raises:
            BrokerError: If the subscription fails.
        """
        pubsub: Any = self._driver.pubsub()
        async with aclosing(pubsub):
            async with broker_errors(self._driver):
                if isinstance(self._driver, RedisCluster):
                    await self._driver.initialize()  # learns which node to listen to
                await pubsub.subscribe(*_NOTICES)
            yield None
            pinged = False
            while True:
                timeout_s = ANSWER_S if pinged else LISTEN_S
                async with broker_errors(self._driver, timeout_s + ANSWER_S):
                    notice = await pubsub.get_message(timeout=timeout_s)
                    if notice is None and pinged:
                        msg = "no sign of life on the connection for notices"
                        raise TimeoutError(msg)
                    if notice is None:
                        await pubsub.ping()
                pinged = notice is None
                if notice is None or notice["type"] == "message":
                    yield _read_notice(notice)

    async def cancel(self, task_id: str) -> None:
        """Ask every server to cancel *task_id*.

        A replica would accept the call, but only its own subscribers would get the id.
        """
        await self.confirm()
        await execute(self._driver, "PUBLISH", shared_keys.CANCEL, task_id)

    async def _clear(self, server: ServerInfo) -> None:
        server_key, workers_key = _keys(server)
        await execute(self._driver, "ZREM", shared_keys.SERVERS, server_key)
        await execute(self._driver, "ZREM", shared_keys.WORKERS, workers_key)
        details_key = shared_keys.details_of(server_key)
        await execute(self._driver, "DEL", server_key, workers_key, details_key)

    async def _live_keys(self, index: str) -> list[str]:
        names = await pipeline.run(self._driver, scripts.live_keys(index=index, kept_s=0))
        return [decode_name(name) for name in cast("list[bytes]", names)]

    async def _records(self, names: Sequence[str]) -> list[bytes | None]:
        """Return the values of the keys *names*."""
        answers: list[object] = []
        for at in range(0, len(names), MAX_SHARES):
            commands = [("GET", name) for name in names[at : at + MAX_SHARES]]
            answers += await execute_all(self._driver, commands)
        return cast("list[bytes | None]", answers)

    async def _worker_records(self, key: str) -> list[bytes | None]:
        """Return the records of the tasks that one server runs; read them in steps."""
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
    identity = (server.host, server.pid, server.id)
    return shared_keys.server(*identity), shared_keys.workers(*identity)


def _read_notice(notice: Mapping[str, Any] | None) -> News | None:
    """Return the task id in a cancelation, or other news; None without any."""
    if notice is None:
        return None
    data = cast("bytes", notice["data"])
    if notice["channel"] == shared_keys.CONTROL_CHANNEL.encode():
        return Vacancy(decode_name(data)) if data else Notice.CONTROL
    return data.decode(errors="replace")
