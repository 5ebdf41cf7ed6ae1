"""List the running servers and cancel tasks."""

from collections.abc import AsyncIterator, Collection
from datetime import UTC, datetime
from functools import partial
from typing import Final

from pyasynq.broker.ports.registry import Notice
from pyasynq.broker.protobuf_records import (
    server_details,
    server_info,
    server_record,
    worker_info,
    worker_record,
)
from pyasynq.broker.sqlite.schedules import read_reports, write_report
from pyasynq.broker.sqlite.schema import SERVER
from pyasynq.broker.sqlite.store import Store, Transaction
from pyasynq.broker.sqlite.wake import CANCEL_TOPIC, CONTROL_TOPIC, wait_for
from pyasynq.core.info import ServerInfo
from pyasynq.proto import asynq_pb2 as wire

LISTEN_S: Final = 2.0
"""Time after which `cancelations` yields None if there is no cancelation."""


class SqliteRegistry:
    """The registry port."""

    def __init__(self, store: Store) -> None:
        """Run transactions in *store*."""
        self._store = store

    async def write_server(
        self, server: ServerInfo, *, ttl_s: int, found: Collection[str] = ()
    ) -> None:
        """Write the record of *server* for *ttl_s* seconds and add its queues; with 0 delete it.

        Queues in *found* are not added.
        """
        records = [
            server_record(server).SerializeToString(),
            server_details(server),
            *(
                worker_record(server, worker).SerializeToString()
                for worker in server.active_workers
            ),
        ]

        def write(tx: Transaction) -> None:
            write_report(
                tx, SERVER, f"{server.host}:{server.pid}:{server.id}", records, ttl_s=ttl_s
            )
            if ttl_s:
                for queue in [queue for queue in server.queues if queue not in found]:
                    tx.register(queue)

        await self._store.write(write)

    async def servers(self) -> list[ServerInfo]:
        """Return the servers whose record has not expired, ordered by start."""
        reports = await self._store.read(lambda tx: read_reports(tx, SERVER))
        latest = datetime.max.replace(tzinfo=UTC)
        return sorted(
            (_server(*report) for report in reports),
            key=lambda server: (server.started or latest, server.id),
        )

    async def notices(self) -> AsyncIterator[str | Notice | None]:
        """Yield the ids of tasks that an operator cancels, and notices.

        Yield None first, and after every `LISTEN_S` without anything else.
        """
        with self._store.wake.listening(CANCEL_TOPIC, CONTROL_TOPIC) as changed:
            last = await self._store.read(_last_cancelation)
            controls = await self._store.read(_control_version)
            yield None
            while True:
                is_changed = await wait_for(changed, LISTEN_S)
                changed.clear()
                rows = await self._store.read(partial(_cancelations, last))
                for number, task_id in rows:
                    last = number
                    yield task_id
                version = await self._store.read(_control_version)
                if version != controls:
                    controls = version
                    yield Notice.CONTROL
                if not is_changed:
                    yield None

    async def cancel(self, task_id: str) -> None:
        """Ask every server to cancel *task_id*."""

        def cancel(tx: Transaction) -> None:
            row = (task_id, tx.now_us)
            tx.execute("INSERT INTO pyasynq_cancel(task_id, at) VALUES (?, ?)", row)
            tx.changed.add(CANCEL_TOPIC)

        await self._store.write(cancel)


def _last_cancelation(tx: Transaction) -> int:
    ((last,),) = tx.rows("SELECT coalesce(max(seq), 0) FROM pyasynq_cancel")
    return int(last)


def _control_version(tx: Transaction) -> tuple[int, int]:
    """Return numbers of which at least one changes whenever operators want something else."""
    ((count, at),) = tx.rows("SELECT count(*), coalesce(max(at), 0) FROM pyasynq_control")
    return int(count), int(at)


def _cancelations(last: int, tx: Transaction) -> list[tuple[int, str]]:
    sql = "SELECT seq, task_id FROM pyasynq_cancel WHERE seq > ? ORDER BY seq"
    return [(seq, task_id) for seq, task_id in tx.rows(sql, last)]


def _server(record: bytes, details: bytes, *workers: bytes) -> ServerInfo:
    running = [worker_info(wire.WorkerInfo.FromString(worker)) for worker in workers]
    return server_info(wire.ServerInfo.FromString(record), running, details)
