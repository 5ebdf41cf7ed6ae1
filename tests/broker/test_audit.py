"""Every broker keeps the last actions of operators."""

from datetime import UTC, datetime

import pytest

from pyasynq.broker import AuditEntry, Broker
from pyasynq.broker.redis import audit as redis_audit
from pyasynq.broker.redis import shared_keys
from pyasynq.broker.redis.audit import FIELD, RedisAudit
from pyasynq.broker.redis.connection import execute
from pyasynq.broker.sqlite import audit as sqlite_audit
from pyasynq.broker.sqlite.audit import SqliteAudit

pytestmark = pytest.mark.needs("audit")

NOON = datetime(2040, 1, 2, 12, tzinfo=UTC)


def an_entry(count: int = 1) -> AuditEntry:
    return AuditEntry(
        at=NOON,
        principal="ann",
        role="admin",
        action="task.delete",
        target="state:retry",
        count=count,
        outcome="done",
        detail="at noon",
    )


async def write(broker: Broker, *counts: int) -> None:
    for count in counts:
        await broker.audit.write(an_entry(count))


async def test_nothing_was_done_at_first(broker: Broker) -> None:
    assert await broker.audit.read(None, 10) == []


async def test_an_action_is_read_as_it_was_written(broker: Broker) -> None:
    await write(broker, 3)
    [(action_id, entry)] = await broker.audit.read(None, 10)
    assert entry == an_entry(3)
    assert action_id


async def test_actions_are_read_backwards_page_by_page(broker: Broker) -> None:
    await write(broker, 1, 2, 3)
    first = await broker.audit.read(None, 2)
    rest = await broker.audit.read(first[-1][0], 2)
    assert [entry.count for _, entry in [*first, *rest]] == [3, 2, 1]
    assert await broker.audit.read(rest[-1][0], 2) == []


async def test_an_entry_that_cannot_be_decoded_hides_no_other(broker: Broker) -> None:
    await write(broker, 1)
    for record in (b"", b"{", b"\xff", b'{"at": 3}'):
        await store(broker, record)
    await write(broker, 2)
    entries = [entry for _, entry in await broker.audit.read(None, 10)]
    assert [entry.outcome for entry in entries] == ["done", *["unreadable"] * 4, "done"]
    assert all(entry.detail for entry in entries)
    assert entries[1].at is None


async def store(broker: Broker, record: bytes) -> None:
    """Store *record* as an entry of the audit."""
    audit = broker.audit
    if isinstance(audit, SqliteAudit):
        sql = "INSERT INTO pyasynq_audit(entry) VALUES (?)"
        await audit._store.write(lambda tx: tx.execute(sql, (record,)))
    else:
        assert isinstance(audit, RedisAudit)
        await execute(audit._driver, "XADD", shared_keys.AUDIT, "*", FIELD, record)


async def test_only_the_last_actions_are_kept(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_audit, "MAX_AUDIT", 100)
    monkeypatch.setattr(sqlite_audit, "MAX_AUDIT", 100)
    await write(broker, *range(300))
    kept = await broker.audit.read(None, 300)
    assert kept[0][1].count == 299
    assert 100 <= len(kept) <= 200  # Redis removes a hundred at a time
