"""Rows become tasks soon after their commit; they wait while a server is unreachable."""

import asyncio
import logging
import zlib
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import anyio
import pytest
from redis.asyncio import Redis
from sqlalchemy import create_engine, event, insert, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from pyasynq import CallNext, Client, Clock, Options, Task, TaskInfo
from pyasynq.broker import Broker
from pyasynq.core.codec import HEADER
from pyasynq.core.errors import BrokerError
from pyasynq.core.message import encode
from pyasynq.outbox import Outbox, Relay
from pyasynq.outbox.row_relay import (
    MAX_BYTES,
    PACE_S,
    RECEIPT_TTL_S,
    SENT_RECEIPT_TTL_S,
    StaleError,
    limit_bytes,
)
from pyasynq.runtime.waiting import wait_for_first
from tests.outbox.outbox_rows import TASK, count, errors, run_pending, write, write_many
from tests.support.clocks import SteeredClock
from tests.support.codecs import Envelope, Zlib
from tests.support.factories import a_message
from tests.support.queue_view import RedisQueue
from tests.support.servers import RedisServer
from tests.support.waiting import wait_until

NEVER = timedelta(hours=1)
NOW = datetime(2026, 1, 1, tzinfo=UTC)

only_sqlite = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
only_postgresql = pytest.mark.parametrize("database", ["postgresql"], indirect=True)


async def test_a_row_becomes_a_task_and_is_gone(
    outbox: Outbox, engine: AsyncEngine, relay: Relay, broker: Broker
) -> None:
    task_id = await write(outbox, engine)
    await relay.step()
    assert await run_pending(broker) == [task_id]
    assert await count(outbox, engine) == 0


async def test_rows_are_relayed_in_their_order_however_many(
    outbox: Outbox, engine: AsyncEngine, relay: Relay, broker: Broker
) -> None:
    written = await write_many(outbox, engine, [TASK] * 300)
    await relay.step()
    assert await run_pending(broker) == written


async def test_a_commit_wakes_the_relay_in_the_same_process(
    outbox: Outbox, engine: AsyncEngine, client: Client, broker: Broker
) -> None:
    relay = Relay(outbox, engine, client, poll_interval=NEVER)
    async with relay.running():
        await relay.passes.next()
        task_id = await write(outbox, engine)
        await wait_until(lambda: count_is(outbox, engine, 0))
    assert await run_pending(broker) == [task_id]


@only_sqlite
async def test_a_pass_that_has_begun_ends_though_the_scope_is_cancelled(
    outbox: Outbox, engine: AsyncEngine, client: Client, broker: Broker, relay: Relay
) -> None:
    begun, goes_on = asyncio.Event(), asyncio.Event()
    send = relay._send

    async def slow(rows: Any) -> Any:  # noqa: ANN401 - any arguments of the relay
        begun.set()
        await goes_on.wait()
        return await send(rows)

    cast("Any", relay)._send = slow
    task_id = await write(outbox, engine)
    with anyio.CancelScope() as scope:
        async with relay.running():
            await begun.wait()
            asyncio.get_running_loop().call_later(0.05, goes_on.set)
            scope.cancel()
            await anyio.sleep_forever()
    assert await run_pending(broker) == [task_id]
    assert await count(outbox, engine) == 0


@only_postgresql
async def test_a_commit_elsewhere_wakes_the_relay_on_postgresql(
    outbox: Outbox, engine: AsyncEngine, client: Client, broker: Broker
) -> None:
    relay = Relay(outbox, engine, client, poll_interval=NEVER)
    async with relay.running():
        await wait_until(lambda: listeners(engine, "ready"))
        task_id = await write(Outbox(), engine)  # no relay of this process is woken
        await wait_until(lambda: count_is(outbox, engine, 0))
    assert await run_pending(broker) == [task_id]


@only_postgresql
async def test_an_outbox_without_notify_does_not_notify(engine: AsyncEngine) -> None:
    sent: list[str] = []
    event.listen(
        engine.sync_engine, "before_cursor_execute", lambda *words: sent.append(str(words[2]))
    )
    await write(Outbox(notify=False), engine)
    assert [words for words in sent if "pg_notify" in words] == []
    await write(Outbox(), engine)
    assert len([words for words in sent if "pg_notify" in words]) == 1


@only_postgresql
async def test_a_relay_listens_again_after_its_connection_was_lost(
    outbox: Outbox, engine: AsyncEngine, client: Client
) -> None:
    relay = Relay(outbox, engine, client, poll_interval=NEVER)
    async with relay.running():
        await wait_until(lambda: listeners(engine, "ready"))
        await listeners(engine, "pg_terminate_backend(pid)")
        await wait_until(lambda: listeners(engine, "ready"))
        await write(Outbox(), engine)
        await wait_until(lambda: count_is(outbox, engine, 0))


async def test_a_row_without_a_notification_is_found(
    outbox: Outbox, engine: AsyncEngine, client: Client
) -> None:
    relay = Relay(outbox, engine, client, poll_interval=timedelta(milliseconds=20))
    async with relay.running():
        await relay.passes.next()
        await write(Outbox(notify=False), engine)
        await wait_until(lambda: count_is(outbox, engine, 0))


async def test_a_relay_runs_again_after_it_was_stopped(
    outbox: Outbox, engine: AsyncEngine, relay: Relay
) -> None:
    async with relay.running():
        await relay.passes.next()
    await write(outbox, engine)
    async with relay.running():
        await wait_until(lambda: count_is(outbox, engine, 0))


async def test_an_id_that_the_queue_holds_counts_as_enqueued(
    outbox: Outbox, engine: AsyncEngine, relay: Relay, client: Client, broker: Broker
) -> None:
    await client.enqueue(TASK, task_id="mine")
    await write(outbox, engine, task_id="mine")
    await relay.step()
    assert await run_pending(broker) == ["mine"]
    assert await count(outbox, engine) == 0


async def test_a_task_id_may_be_written_again_when_the_first_is_done(
    outbox: Outbox, engine: AsyncEngine, relay: Relay, broker: Broker
) -> None:
    await write(outbox, engine, task_id="mine")
    await relay.step()
    await run_pending(broker)
    await write(outbox, engine, task_id="mine")
    await relay.step()
    assert await run_pending(broker) == ["mine"]


async def test_a_held_unique_lock_counts_as_enqueued(
    outbox: Outbox, engine: AsyncEngine, relay: Relay, broker: Broker
) -> None:
    first = await write(outbox, engine, unique=timedelta(minutes=1))
    await write(outbox, engine, unique=timedelta(minutes=1))
    await relay.step()
    assert await run_pending(broker) == [first]
    assert await count(outbox, engine) == 0


@pytest.mark.parametrize(
    "odd",
    [{"lock_digest": "0cc1", "lock_ttl_s": 0}, {"lock_digest": "0cc1", "lock_ttl_s": 2**62}],
    ids=["no time", "too much time"],
)
async def test_a_row_that_nobody_could_have_written_holds_up_no_other(
    odd: dict[str, object], outbox: Outbox, engine: AsyncEngine, relay: Relay, broker: Broker
) -> None:
    message = encode(a_message("p"))
    row = {"id": "p", "queue": "q", "type": "t", "message": message, "created_at": NOW}
    async with engine.begin() as connection:
        await connection.execute(insert(outbox.table).values(row | odd))
    task_id = await write(outbox, engine)
    await relay.step()
    assert task_id in await run_pending(broker)
    assert await errors(outbox, engine) == [f"undecodable message of {len(message)} bytes"]


async def test_bytes_that_are_no_task_are_kept_with_their_error(
    outbox: Outbox,
    engine: AsyncEngine,
    relay: Relay,
    broker: Broker,
    caplog: pytest.LogCaptureFixture,
) -> None:
    await write(outbox, engine)
    async with engine.begin() as connection:
        poison = {"id": "p", "queue": "q", "type": "t", "message": b"\xff", "created_at": NOW}
        await connection.execute(insert(outbox.table).values(poison))
    task_id = await write(outbox, engine)
    await relay.step()
    await relay.step()
    assert task_id in await run_pending(broker)
    assert await errors(outbox, engine) == ["undecodable message of 1 bytes"]
    assert len([record for record in caplog.records if record.levelno == logging.ERROR]) == 1


async def test_a_queue_that_fails_does_not_hold_up_others(
    outbox: Outbox, engine: AsyncEngine, relay: Relay, broker: Broker, r: Redis
) -> None:
    await r.set("asynq:{broken}:pending", "no list")
    await write_many(outbox, engine, [Task("t", queue="broken")] * 200)
    task_id = await write(outbox, engine)
    with pytest.raises(BrokerError):
        await relay.step()
    assert await run_pending(broker) == [task_id]
    await r.delete("asynq:{broken}:pending")
    await relay.step()
    assert len(await run_pending(broker, "broken")) == 200


async def test_a_receipt_whose_row_is_gone_ends_soon(
    outbox: Outbox, engine: AsyncEngine, relay: Relay, r: Redis
) -> None:
    row = await write(outbox, engine)
    await relay.step()
    assert 0 < await r.ttl(f"asynq:{{default}}:relayed:{row}") <= SENT_RECEIPT_TTL_S


@only_sqlite
async def test_a_receipt_whose_row_may_be_there_stays_for_a_week(
    outbox: Outbox, engine: AsyncEngine, relay: Relay, r: Redis
) -> None:
    row = await write(outbox, engine)
    async with engine.connect() as connection:
        rows, _ = await relay._read(connection, [])
    await relay._send(rows)  # and dies before it deletes them
    assert RECEIPT_TTL_S == 7 * 24 * 3600
    assert await r.ttl(f"asynq:{{default}}:relayed:{row}") > RECEIPT_TTL_S - 60


@only_postgresql
async def test_rows_that_one_relay_moves_are_passed_over_by_others(
    outbox: Outbox, engine: AsyncEngine, relay: Relay
) -> None:
    await write(outbox, engine)
    async with engine.connect() as first, engine.connect() as second:
        assert len((await relay._read(first, []))[0]) == 1
        assert await relay._read(second, []) == ([], False)


@only_sqlite
async def test_sqlite_can_be_written_while_redis_is_asked(
    outbox: Outbox, engine: AsyncEngine, relay: Relay
) -> None:
    await write(outbox, engine)
    async with engine.connect() as connection:
        await relay._read(connection, [])
        await write(outbox, engine)
    assert await count(outbox, engine) == 2


@only_sqlite
async def test_rows_wait_while_redis_is_away(
    outbox: Outbox, engine: AsyncEngine, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "pyasynq.outbox")
    with RedisServer() as redis:
        async with Client(redis.url) as client:
            relay = Relay(outbox, engine, client)
            redis.stop()
            async with relay.running():
                await write_many(outbox, engine, [TASK] * 3)
                await wait_until(lambda: "trying again until it works" in caplog.text)
                assert await count(outbox, engine) == 3
                redis.start()
                await wait_until(lambda: count_is(outbox, engine, 0))
                with closing(redis.client()) as r:
                    assert r.llen("asynq:{default}:pending") == 3
    said = [r.message for r in caplog.records if r.levelno >= logging.INFO]
    assert (len(said), said[-1]) == (2, "the relay works again")


async def test_a_relay_waits_for_its_table(
    outbox: Outbox, engine: AsyncEngine, client: Client
) -> None:
    async with engine.begin() as connection:
        await connection.run_sync(outbox.table.metadata.drop_all)
    relay = Relay(outbox, engine, client)
    async with relay.running():
        await relay.passes.next()
        async with engine.begin() as connection:
            await connection.run_sync(outbox.table.metadata.create_all)
        await write(outbox, engine)
        await wait_until(lambda: count_is(outbox, engine, 0))


@only_sqlite
async def test_after_a_pass_there_is_a_short_pause_however_much_is_committed(
    outbox: Outbox, engine: AsyncEngine, client: Client
) -> None:
    clock = SteeredClock()
    relay = Relay(outbox, engine, client, poll_interval=NEVER, clock=clock)
    async with relay.running():
        assert await clock.next_sleep() == PACE_S
        await write(outbox, engine)
        assert not await wait_for_first(relay.passes.next(), within_s=0.05)
        clock.advance(seconds=PACE_S)
        await relay.passes.next()


@only_sqlite
async def test_commits_do_not_make_a_relay_try_more_often_what_fails(
    engine: AsyncEngine, client: Client
) -> None:
    clock = SteeredClock()
    relay = Relay(Outbox(table="elsewhere"), engine, client, clock=clock)
    async with relay.running():
        await clock.next_sleep()
        relay._mover.wake()
        assert not await wait_for_first(relay.passes.next(), within_s=0.05)
        clock.advance(hours=1)
        await relay.passes.next()


async def test_a_relay_may_be_left_while_it_waits_for_what_is_away(
    engine: AsyncEngine, client: Client
) -> None:
    clock = SteeredClock()
    async with Relay(Outbox(table="elsewhere"), engine, client, clock=clock).running():
        await clock.next_sleep()


class LeapingClock(Clock):
    """Moves ahead an hour at each reading, as in a process that was frozen."""

    def __init__(self) -> None:
        self._now = 0.0

    def monotonic(self) -> float:
        self._now += 3600
        return self._now


@only_sqlite
async def test_a_batch_that_was_read_long_ago_is_not_sent(
    outbox: Outbox, engine: AsyncEngine, client: Client, broker: Broker
) -> None:
    await write(outbox, engine)
    with pytest.raises(StaleError):
        await Relay(outbox, engine, client, clock=LeapingClock()).step()
    assert await run_pending(broker) == []
    assert await count(outbox, engine) == 1


def test_a_batch_is_bounded_by_its_bytes_but_never_empty() -> None:
    assert limit_bytes([(1, 10), (2, MAX_BYTES - 10), (3, 1)]) == [1, 2]
    assert limit_bytes([(1, 2 * MAX_BYTES), (2, 1)]) == [1]


async def count_is(outbox: Outbox, engine: AsyncEngine, wanted: int) -> bool:
    return await count(outbox, engine) == wanted


async def listeners(engine: AsyncEngine, column: str) -> int:
    """Select *column* for every listening connection; return the number of rows."""
    query = f"""
        SELECT {column} FROM (
            SELECT pid, true AS ready FROM pg_stat_activity
            WHERE query LIKE 'LISTEN%' AND datname = current_database()
        ) AS listening
    """
    async with engine.connect() as connection:
        return len((await connection.execute(text(query))).all())


async def test_a_relay_needs_an_engine_of_asyncio(outbox: Outbox, client: Client) -> None:
    with pytest.raises(TypeError, match="make it with create_async_engine"):
        Relay(outbox, cast("Any", create_engine("sqlite://")), client)


async def test_a_relay_does_not_run_on_the_one_connection_of_all_sessions(
    outbox: Outbox, client: Client
) -> None:
    engine = create_async_engine("sqlite+aiosqlite://")
    async with engine.begin() as connection:
        await connection.run_sync(outbox.table.metadata.create_all)
    relay = Relay(outbox, engine, client)
    with pytest.raises(TypeError, match="use a file, or step"):
        async with relay.running():
            pytest.fail("it runs")
    await write(outbox, engine)
    await relay.step()
    assert await count(outbox, engine) == 0
    await engine.dispose()


async def test_a_relay_without_its_table_says_what_helps(
    engine: AsyncEngine, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    relay = Relay(Outbox(table="elsewhere"), engine, client)
    async with relay.running():
        await relay.passes.next()
    assert "make the table elsewhere by a migration" in caplog.text


async def test_a_relay_runs_no_middleware_again_and_opens_nothing(
    engine: AsyncEngine, redis_url: str, r: Redis
) -> None:
    passed: list[str] = []

    async def note(task: Task, options: Options, call_next: CallNext) -> TaskInfo:
        passed.append(task.type)
        return await call_next(task, options)

    outbox = Outbox(middleware=[note], codecs=[Zlib()])
    task_id = await write(outbox, engine, Task("t", b"p"))
    async with Client(redis_url, middleware=[note], codecs=[Envelope()]) as client:
        await Relay(outbox, engine, client).step()
    message = await RedisQueue(r).message(task_id)
    assert passed == ["t"]
    assert (zlib.decompress(message.payload), message.headers[HEADER]) == (b"p", "zlib")
