"""Tasks whose worker died run again."""

import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Unpack

import pytest
from redis.asyncio import Redis

from pyasynq import BrokerUnavailableError, Client, RetryIn, Server, Task, TaskInfo
from pyasynq.broker import Broker, open_broker
from pyasynq.core.verdict import Retry
from pyasynq.server import ServerOptions
from tests.server.handlers import Handler, actors_of, first_queue_of
from tests.support.queue_view import QueueView, RedisQueue
from tests.support.waiting import wait_until

HOUR = timedelta(hours=1)
EXPIRED = "asynq: task lease expired"


@pytest.fixture
async def broker(redis_url: str) -> AsyncIterator[Broker]:
    """Yield the broker with which a dying worker takes its tasks."""
    broker = open_broker(redis_url)
    yield broker
    await broker.aclose()


async def die(broker: Broker, *, server_id: str = "dead") -> None:
    """Take all tasks of the queue as the server *server_id*, which then does nothing more."""
    await broker.work.dequeue({"default": 100}, owner=f"{server_id}/1", lease_s=30)


async def test_a_task_whose_lease_is_over_runs_again(
    client: Client, redis_url: str, queue: QueueView, broker: Broker
) -> None:
    info = await client.enqueue(Task("t"))
    await die(broker)
    await queue.end_leases()
    handler = Handler()
    async with Server(redis_url).running(handler):
        [task] = await handler.wait_for_tasks()
    assert (task.id, task.retried) == (info.id, 1)


async def test_a_lease_that_ended_by_itself_is_seen_within_seconds(
    client: Client, redis_url: str, broker: Broker
) -> None:
    info = await client.enqueue(Task("t"))
    await broker.work.dequeue({"default": 1}, owner="dead/1", lease_s=1)
    handler = Handler()
    async with Server(redis_url).running(handler):
        [task] = await handler.wait_for_tasks()
    assert task.id == info.id


async def test_a_recovered_task_has_the_reason_and_counts_as_failed(
    client: Client, redis_url: str, queue: QueueView, broker: Broker
) -> None:
    info = await client.enqueue(Task("t"))
    await die(broker)
    await queue.end_leases()
    handler = Handler(hold=True)
    async with Server(redis_url).running(handler):
        await handler.wait_for_tasks()
        message = await queue.message(info.id)
        handler.release()
    assert message.error_msg == EXPIRED
    assert await queue.count("failed") == 1


async def test_on_error_is_not_called_for_a_recovered_task(
    client: Client, redis_url: str, queue: QueueView, broker: Broker
) -> None:
    await client.enqueue(Task("t"), max_retry=0)
    await die(broker)
    await queue.end_leases()
    ids: list[str] = []
    server = Server(redis_url, on_error=lambda task, _error: ids.append(task.id))
    async with server.running(Handler()):
        await wait_until(lambda: queue.ids("archived"))
    assert ids == []


async def test_leases_are_extended_every_five_seconds(redis_url: str) -> None:
    async with Server(redis_url).running(Handler()) as server:
        assert await actors_of(server).heartbeater.step() == 5


async def test_a_recovered_task_does_not_wait_for_its_retry_delay(
    client: Client, redis_url: str, queue: QueueView, broker: Broker
) -> None:
    await client.enqueue(Task("t"))
    await die(broker)
    await queue.end_leases()
    handler = Handler()
    async with Server(redis_url, retry_delay=lambda *_: timedelta(hours=1)).running(handler):
        await handler.wait_for_tasks()


async def test_a_task_whose_lease_is_not_over_is_left_to_its_worker(
    client: Client, redis_url: str, queue: QueueView, broker: Broker
) -> None:
    info = await client.enqueue(Task("t"))
    await die(broker)
    async with Server(redis_url).running(Handler()) as server:
        await first_queue_of(server).recoverer.step()
    assert await queue.ids("active") == [info.id]


async def test_a_lease_that_a_go_worker_wrote_is_over_half_a_minute_after_its_end(
    client: Client, redis_url: str, queue: RedisQueue, broker: Broker, r: Redis
) -> None:
    info = await client.enqueue(Task("t"))
    await die(broker)
    await r.hdel(queue.key(f"t:{info.id}"), "owner")
    await queue.end_leases(ago_s=20)
    handler = Handler()
    async with Server(redis_url).running(handler) as server:
        await first_queue_of(server).recoverer.step()
        left_alone = await queue.ids("active")
        await queue.end_leases(ago_s=32)
        await first_queue_of(server).recoverer.step()
        await handler.wait_for_tasks()
    assert left_alone == [info.id]


async def test_a_crashed_task_without_retries_left_is_archived(
    client: Client, redis_url: str, queue: QueueView, broker: Broker
) -> None:
    info = await client.enqueue(Task("t"), max_retry=0)
    await die(broker)
    await queue.end_leases()
    async with Server(redis_url).running(Handler()):
        await wait_until(lambda: queue.ids("archived"))
    assert (await queue.message(info.id)).error_msg == EXPIRED
    assert await queue.ids("active") == await queue.leased_ids() == []


# -- several crashes in a row ----------------------------------------------------------------------


async def die_again(broker: Broker, crashes: int, *, started: bool = True) -> None:
    """Take all tasks, which have crashed *crashes* workers, with leases that have ended."""
    [taken] = await broker.work.dequeue({"default": 100}, owner="dead/1", lease_s=30)
    at = datetime(2001, 9, 9, tzinfo=UTC)
    back = [
        (lease, Retry(message=lease.message, at=at, failed=False, crashes=crashes))
        for lease in taken.leases
    ]
    await broker.work.settle(back)
    await broker.upkeep.forward("default")
    [taken] = await broker.work.dequeue({"default": 100}, owner="dead/2", lease_s=-1)
    for lease in taken.leases if started else ():
        assert await broker.work.mark_started(lease)


async def recover(redis_url: str, **options: Unpack[ServerOptions]) -> None:
    """Let a server recover the tasks; those that run again fail."""
    async with Server(redis_url, **options).running(Handler(RetryIn(HOUR))) as server:
        await first_queue_of(server).recoverer.step()


async def test_a_task_that_crashes_a_second_worker_in_a_row_waits_for_its_delay(
    client: Client, redis_url: str, queue: QueueView, broker: Broker
) -> None:
    info = await client.enqueue(Task("t"))
    before = time.time()
    await die_again(broker, crashes=1)
    await recover(redis_url, retry_delay=lambda *_: HOUR)
    assert (await queue.due_at(info.id) or 0) >= before + 3600
    assert await queue.crashes(info.id) == 2


async def test_tasks_that_crashed_a_second_worker_together_come_back_one_after_another(
    client: Client, redis_url: str, queue: QueueView, broker: Broker
) -> None:
    infos = await client.enqueue_many([Task("t") for _ in range(30)])
    await die_again(broker, crashes=1)
    await recover(redis_url, retry_delay=lambda *_: HOUR)
    ids = [info.id for info in infos if isinstance(info, TaskInfo)]
    assert len({await queue.due_at(task_id) for task_id in ids}) > 4


async def test_a_task_that_crashes_a_third_worker_in_a_row_is_archived_with_the_reason(
    client: Client, redis_url: str, queue: RedisQueue, broker: Broker
) -> None:
    info = await client.enqueue(Task("t"))
    await die_again(broker, crashes=2)
    await recover(redis_url)
    fields = await queue.fields(info.id)
    assert (fields["state"], fields.keys()) == ("archived", {"state", "attempt:0"})
    assert (await queue.message(info.id)).error_msg == "crashed its worker 3 times in a row"


async def test_a_task_may_crash_as_many_workers_as_the_server_says(
    client: Client, redis_url: str, queue: QueueView, broker: Broker
) -> None:
    info = await client.enqueue(Task("t"))
    await die_again(broker, crashes=2)
    await recover(redis_url, max_crashes=4, retry_delay=lambda *_: HOUR)
    assert await queue.crashes(info.id) == 3


async def test_a_lease_that_ended_while_redis_was_away_is_no_crash(
    client: Client,
    redis_url: str,
    queue: QueueView,
    broker: Broker,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with Server(redis_url).running(Handler()) as server:
        recoverer = first_queue_of(server).recoverer
        with monkeypatch.context() as away:
            away.setattr(recoverer._upkeep, "expired", _away)
            with pytest.raises(BrokerUnavailableError):
                await recoverer.step()
        server.stop()
        info = await client.enqueue(Task("t"))
        await die_again(broker, crashes=2)
        await recoverer.step()
    assert await queue.crashes(info.id) == 2


async def test_a_lease_that_ended_while_looks_failed_is_no_crash(
    client: Client,
    redis_url: str,
    queue: QueueView,
    broker: Broker,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with Server(redis_url).running(Handler()) as server:
        actors = first_queue_of(server)
        with monkeypatch.context() as away:
            away.setattr(actors.maintainer._port, "look", _away)
            with pytest.raises(BrokerUnavailableError):
                await actors.maintainer.step()
        server.stop()
        info = await client.enqueue(Task("t"))
        await die_again(broker, crashes=2)
        await actors.recoverer.step()
    assert await queue.crashes(info.id) == 2


async def test_a_task_that_a_dead_worker_had_not_begun_spends_no_retry_and_no_crash(
    client: Client, redis_url: str, queue: RedisQueue, broker: Broker
) -> None:
    info = await client.enqueue(Task("t"))
    await die_again(broker, crashes=2, started=False)
    handler = Handler(hold=True)
    async with Server(redis_url).running(handler):
        [task] = await handler.wait_for_tasks()
        fields = await queue.fields(info.id)
        handler.release()
    assert (task.retried, fields["crashes"]) == (0, "2")


async def test_a_task_that_kills_every_worker_before_it_begins_is_archived_too(
    client: Client, redis_url: str, queue: QueueView, broker: Broker
) -> None:
    info = await client.enqueue(Task("t"))
    await die_again(broker, crashes=2, started=False)
    async with Server(redis_url).running(Handler()) as server:
        server.stop()
        recoverer = first_queue_of(server).recoverer
        await recoverer.step()
        await broker.work.dequeue({"default": 1}, owner="dead/3", lease_s=-1)
        await recoverer.step()
    assert await queue.ids("archived") == [info.id]


async def _away(_queue: str, **_options: object) -> int:
    msg = "gone"
    raise BrokerUnavailableError(msg)


async def test_hundreds_of_crashed_tasks_are_recovered(
    client: Client, redis_url: str, queue: QueueView, broker: Broker
) -> None:
    await client.enqueue_many([Task("t") for _ in range(700)])
    await broker.work.dequeue({"default": 700}, owner="dead/1", lease_s=30)
    await queue.end_leases()
    handler = Handler()
    async with Server(redis_url, concurrency=50).running(handler):
        await handler.wait_for_tasks(700)
    assert await queue.ids("active") == []


async def test_the_server_that_replaces_a_dead_one_does_not_wait_for_its_leases(
    client: Client, redis_url: str, broker: Broker
) -> None:
    info = await client.enqueue(Task("t"))
    await die(broker, server_id="dead")
    handler = Handler()
    async with Server(redis_url, replaces="dead").running(handler):
        [task] = await handler.wait_for_tasks()
    assert task.id == info.id


async def test_the_server_that_replaces_a_dead_one_leaves_the_tasks_of_others_alone(
    client: Client, redis_url: str, queue: QueueView, broker: Broker
) -> None:
    info = await client.enqueue(Task("t"))
    await die(broker, server_id="alive")
    async with Server(redis_url, replaces="dead").running(Handler()) as server:
        await first_queue_of(server).recoverer.step()
    assert await queue.ids("active") == [info.id]


async def test_poison_of_a_dead_worker_is_archived_and_the_others_are_recovered(
    client: Client, redis_url: str, queue: RedisQueue, broker: Broker
) -> None:
    info = await client.enqueue(Task("t"))
    await client.enqueue(Task("t"), task_id="bad")
    await die(broker)
    await queue.corrupt("bad")
    await queue.end_leases()
    handler = Handler()
    async with Server(redis_url).running(handler):
        await handler.wait_for_tasks()
        await wait_until(lambda: queue.ids("archived"))
    assert handler.ids == [info.id]
    assert await queue.ids("archived") == ["bad"]


async def test_poison_whose_id_is_no_text_does_not_stop_the_recovery(
    client: Client, redis_url: str, queue: RedisQueue, broker: Broker, r: Redis
) -> None:
    info = await client.enqueue(Task("t"))
    await die(broker)
    await r.lpush(queue.key("active"), b"\xff\xfe")
    await r.hset(
        queue.key("t:").encode() + b"\xff\xfe", mapping={"msg": b"\xff", "state": "active"}
    )
    await queue.end_leases()
    handler = Handler()
    async with Server(redis_url).running(handler):
        await handler.wait_for_tasks()
    assert handler.ids == [info.id]


async def test_an_active_task_without_lease_is_recovered(
    client: Client, redis_url: str, queue: RedisQueue, broker: Broker, r: Redis
) -> None:
    info = await client.enqueue(Task("t"))
    await die(broker)
    await r.delete(queue.key("lease"))
    handler = Handler()
    async with Server(redis_url).running(handler):
        await handler.wait_for_tasks()
    assert handler.ids == [info.id]


async def test_an_active_id_without_task_is_dropped(
    redis_url: str, queue: RedisQueue, r: Redis
) -> None:
    await r.lpush(queue.key("active"), "missing")
    async with Server(redis_url).running(Handler()):
        await wait_until(lambda: _is_empty(queue, "active"))


async def test_a_lease_without_task_is_dropped(redis_url: str, queue: RedisQueue, r: Redis) -> None:
    await r.zadd(queue.key("lease"), {"missing": 1})
    async with Server(redis_url).running(Handler()):
        await wait_until(lambda: _is_empty(queue, "lease"))


async def test_a_recovered_task_is_named_in_the_log(
    client: Client,
    redis_url: str,
    queue: QueueView,
    broker: Broker,
    caplog: pytest.LogCaptureFixture,
) -> None:
    await client.enqueue(Task("t"), task_id="x")
    await die(broker)
    await queue.end_leases()
    handler = Handler()
    async with Server(redis_url).running(handler):
        await handler.wait_for_tasks()
    text = "task x (t in 'default'): its worker is gone; recovered"
    assert log_lines(caplog, "task x") == [("WARNING", text)]


async def test_a_task_archived_for_its_crashes_is_logged_as_an_error(
    client: Client,
    redis_url: str,
    queue: QueueView,
    broker: Broker,
    caplog: pytest.LogCaptureFixture,
) -> None:
    await client.enqueue(Task("t"), task_id="x", max_retry=3)
    await die(broker)
    await queue.end_leases()
    async with Server(redis_url, max_crashes=1).running(Handler()):
        await wait_until(lambda: queue.ids("archived"))
    text = "task x (t in 'default'), retried 0 of 3: crashed its worker 1 time in a row; archived"
    assert log_lines(caplog, "task x") == [("ERROR", text)]


def log_lines(caplog: pytest.LogCaptureFixture, start: str) -> list[tuple[str, str]]:
    """Return level and text of the log lines that begin with *start*."""
    lines = [(record.levelname, record.getMessage()) for record in caplog.records]
    return [(level, text) for level, text in lines if text.startswith(start)]


async def _is_empty(queue: QueueView, state: str) -> bool:
    return not await queue.ids(state)
