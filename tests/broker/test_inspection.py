"""Every broker shows what is in its queues, and moves it by hand."""

from datetime import UTC, datetime

import pytest

from pyasynq.broker import Broker, Found, Place, Removed, Updated
from pyasynq.core.message import ServerInfo, TaskMessage, WorkerInfo
from pyasynq.core.states import Order, TaskState
from tests.broker.making import (
    FUTURE_S,
    LOCK,
    a_grouped,
    a_lease,
    a_pending,
    a_scheduled,
    enqueue,
    take,
)

PENDING = Place(queue="q", state=TaskState.PENDING)
SCHEDULED = Place(queue="q", state=TaskState.SCHEDULED)
ARCHIVED = Place(queue="q", state=TaskState.ARCHIVED)
GROUP = Place(queue="q", state=TaskState.AGGREGATING, group="g")
SERVER = ServerInfo(host="h", pid=1, server_id="s", status="active", queues={"q": 2})
WORKER = WorkerInfo(host="h", pid=1, server_id="s", task_id="1", task_type="t")


async def found(broker: Broker, task_id: str = "1") -> Found:
    task = await broker.inspecting.task("q", task_id)
    assert task is not None
    return task


async def test_queues_are_known_once_they_were_used(broker: Broker) -> None:
    assert not await broker.inspecting.is_known("q")
    await enqueue(broker, a_pending(), a_pending(queue="p"))
    assert await broker.inspecting.is_known("q")
    assert await broker.inspecting.queues() == ["p", "q"]


async def test_a_queue_that_is_not_there_is_empty(broker: Broker) -> None:
    info = await broker.inspecting.queue_info("q")
    assert (info.size, info.processed, info.memory_usage, info.paused) == (0, 0, 0, False)
    assert await broker.inspecting.groups("q") == []
    assert await broker.inspecting.tasks(PENDING, 0, 10) == []


async def test_a_queue_is_counted(broker: Broker) -> None:
    await a_lease(broker)
    await enqueue(broker, a_pending("2"), a_scheduled("3"), a_grouped("4"))
    info = await broker.inspecting.queue_info("q")
    assert (info.active, info.pending, info.scheduled, info.aggregating) == (1, 1, 1, 1)


async def test_a_queue_whose_name_is_no_text_can_be_asked_for(broker: Broker) -> None:
    assert await broker.inspecting.pause("\udcff")
    info = await broker.inspecting.queue_info("\udcff")
    assert (info.size, info.paused) == (0, True)
    assert await broker.inspecting.unpause("\udcff")


async def test_many_groups_are_all_counted(broker: Broker) -> None:
    await enqueue(broker, *[a_grouped(str(n), group=f"g{n:04}") for n in range(700)])
    groups = await broker.inspecting.groups("q")
    assert [(group.group, group.size) for group in groups] == [(f"g{n:04}", 1) for n in range(700)]


async def test_a_task_is_found_where_it_is(broker: Broker) -> None:
    await enqueue(broker, a_scheduled())
    task = await found(broker)
    assert (task.place, task.staged, task.info.id) == (SCHEDULED, False, "1")
    assert task.info.next_process_at == datetime.fromtimestamp(FUTURE_S, UTC)


async def test_ids_come_in_the_order_they_run(broker: Broker) -> None:
    await enqueue(broker, a_pending("1"), a_pending("2"), a_pending("3"))
    assert await broker.inspecting.ids(PENDING, 2) == ["1", "2"]
    assert await broker.inspecting.size(PENDING) == 3


async def test_run_tasks_follow_those_that_are_pending(broker: Broker) -> None:
    await enqueue(broker, a_grouped("1"), a_grouped("2"), a_pending("3"))
    assert await broker.inspecting.order(Order.RUN, GROUP, ["1", "2", "4"]) == [True, True, False]
    assert [lease.id for lease in await take(broker, 5)] == ["3", "1", "2"]


@pytest.mark.parametrize("order", [Order.ARCHIVE, Order.DELETE])
async def test_pending_tasks_are_taken_out_of_the_list(order: Order, broker: Broker) -> None:
    await enqueue(broker, *[a_pending(str(n)) for n in range(5)])
    assert await broker.inspecting.order(order, PENDING, ["3"]) == [True]
    assert await broker.inspecting.order(order, PENDING, ["0", "2"]) == [True, True]
    assert await broker.inspecting.ids(PENDING, 5) == ["1", "4"]


async def test_a_task_that_was_taken_meanwhile_is_left_alone(broker: Broker) -> None:
    await enqueue(broker, a_pending("1"), a_pending("2"))
    await take(broker, 1)
    assert await broker.inspecting.order(Order.DELETE, PENDING, ["1", "2"]) == [False, True]
    assert await broker.inspecting.order(Order.ARCHIVE, PENDING, ["1"]) == [False]
    assert (await found(broker)).info.state is TaskState.ACTIVE


async def test_a_task_that_has_changed_is_not_updated(broker: Broker) -> None:
    await enqueue(broker, a_scheduled())
    task, revised = await found(broker), TaskMessage(id="1", queue="q", type="u")
    assert await broker.inspecting.update(task, revised) is Updated.DONE
    assert await broker.inspecting.update(task, revised) is Updated.CHANGED
    assert (await found(broker)).info.type == "u"


async def test_a_lock_moves_only_to_a_free_place(broker: Broker) -> None:
    await enqueue(broker, a_scheduled("1", lock=LOCK), a_scheduled("2"))
    task = await found(broker)
    revised = TaskMessage(id="1", queue="q", type="t", unique_key="asynq:{q}:unique:t:other")
    assert await broker.inspecting.update(task, revised) is Updated.DONE
    await enqueue(broker, a_pending("3", lock=LOCK))
    back = TaskMessage(id="1", queue="q", type="t", unique_key="asynq:{q}:unique:t:0cc1")
    assert await broker.inspecting.update(await found(broker), back) is Updated.LOCKED


async def test_a_task_that_is_due_already_is_not_rescheduled(broker: Broker) -> None:
    await enqueue(broker, a_scheduled())
    assert await broker.inspecting.reschedule(SCHEDULED, "1", FUTURE_S + 1)
    await broker.inspecting.order(Order.RUN, SCHEDULED, ["1"])
    assert not await broker.inspecting.reschedule(SCHEDULED, "1", FUTURE_S)


async def test_a_queue_is_paused_once(broker: Broker) -> None:
    inspecting = broker.inspecting
    assert [await inspecting.pause("q"), await inspecting.pause("q")] == [True, False]
    assert [await inspecting.unpause("q"), await inspecting.unpause("q")] == [True, False]


async def test_a_removed_queue_leaves_nothing(broker: Broker) -> None:
    await enqueue(broker, a_pending("1", lock=LOCK), a_scheduled("2"), a_grouped("3"))
    assert await broker.inspecting.remove("q", force=False) is Removed.NOT_EMPTY
    assert await broker.inspecting.remove("q", force=True) is Removed.DONE
    assert await broker.inspecting.queues() == []
    assert await broker.inspecting.task("q", "1") is None


async def test_a_queue_with_running_tasks_is_not_removed(broker: Broker) -> None:
    await a_lease(broker)
    assert await broker.inspecting.remove("q", force=True) is Removed.ACTIVE


async def test_servers_are_shown_with_what_they_run(broker: Broker) -> None:
    await broker.registry.write_server(SERVER, [WORKER], ttl_s=10)
    [server] = await broker.inspecting.servers()
    assert (server.id, server.queues, server.started) == ("s", {"q": 2}, None)
    assert [worker.task_id for worker in server.active_workers] == ["1"]


async def test_a_server_that_left_is_not_shown(broker: Broker) -> None:
    await broker.registry.write_server(SERVER, [WORKER], ttl_s=10)
    await broker.registry.clear_server(SERVER)
    assert await broker.inspecting.servers() == []


async def test_many_servers_are_all_shown(broker: Broker) -> None:
    servers = [ServerInfo(host="h", pid=1, server_id=f"{n:02}") for n in range(20)]
    for server in servers:
        await broker.registry.write_server(server, [], ttl_s=10)
    shown = await broker.inspecting.servers()
    assert sorted(server.id for server in shown) == [f"{n:02}" for n in range(20)]


async def test_a_queue_has_a_slot(broker: Broker) -> None:
    assert await broker.inspecting.slot("q") == 11958
