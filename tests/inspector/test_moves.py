"""Tasks move from one broker to another, in either direction, and none is lost or doubled."""

import re
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import TypeAlias

import pytest

from pyasynq.broker import Broker, Container, TaskCopy, open_broker
from pyasynq.core.errors import BrokerUnavailableError, DuplicateTaskError
from pyasynq.core.states import TaskState
from pyasynq.core.verdict import DONE
from pyasynq.inspector.moves import (
    ENDED_THERE,
    ID_TAKEN,
    LOCK_TAKEN,
    PART,
    QueueMove,
    SameBrokerError,
    ServersRunningError,
    StayingTask,
    check_move,
    deliver_mail,
    move_queue,
)
from tests.broker.test_counted_batches import end, fail, start
from tests.broker.test_following_tasks import followed
from tests.support.factories import (
    LOCK,
    a_grouped,
    a_lease,
    a_message,
    a_pending,
    a_server,
    a_staged_set,
    completed,
    create,
    enqueue,
    ids,
    many_pending,
    one_of_each,
    settle,
    take,
)
from tests.support.flows import a_flow, damage_flow, end_step, open_flow
from tests.support.servers import free_port

Pair: TypeAlias = tuple[Broker, Broker]

DIRECTIONS = ["sqlite to redis", "redis to sqlite", "sqlite to sqlite"]
PENDING = Container(queue="q", state=TaskState.PENDING)
WAITING_OR_ENDED = sorted({*TaskState} - {TaskState.ACTIVE})


@pytest.fixture(params=DIRECTIONS)
async def pair(
    request: pytest.FixtureRequest, redis_url: str, tmp_path: Path
) -> AsyncIterator[Pair]:
    """Yield two empty brokers: the source and the target of moves."""
    urls = {"redis": redis_url, "sqlite": f"sqlite:///{tmp_path}/tasks.db"}
    first, _, second = str(request.param).split()
    source = open_broker(urls[first])
    target = open_broker(urls[second] if first != second else f"sqlite:///{tmp_path}/other.db")
    yield source, target
    await source.aclose()
    await target.aclose()


async def all_copies(broker: Broker) -> dict[str, list[TaskCopy | None]]:
    """Return the tasks of the queue ``q`` by state; not those that run."""
    group = {TaskState.AGGREGATING: "g"}
    containers = [
        Container(queue="q", state=state, group=group.get(state, "")) for state in WAITING_OR_ENDED
    ]
    return {it.state.value: await broker.transfers.read(it, 0, 100) for it in containers}


def put_places(url: str, places: Mapping[str, str]) -> str:
    """Return *url* with the places that it names."""
    return re.sub("|".join(places), lambda name: places[name.group()], url)


async def size_of(broker: Broker) -> int:
    return (await broker.inspection.queue_info("q")).size


async def test_every_task_that_waits_or_has_ended_is_moved_as_it_is(pair: Pair) -> None:
    source, target = pair
    await one_of_each(source)
    before = await all_copies(source)
    move = await move_queue(source, target, "q")
    assert move == QueueMove(
        queue="q",
        moved=dict.fromkeys(move.moved, 1),
        staying=[],
        left={TaskState.ACTIVE: 1},
    )
    assert sorted(move.moved) == WAITING_OR_ENDED
    assert await all_copies(target) == before
    assert await size_of(source) == 1


async def test_pending_tasks_stay_in_order(pair: Pair) -> None:
    source, target = pair
    await enqueue(source, *many_pending(300))
    assert (await move_queue(source, target, "q")).moved == {TaskState.PENDING: 300}
    assert ids(await take(target, 300)) == [str(n) for n in range(300)]


async def test_a_lock_goes_along(pair: Pair) -> None:
    source, target = pair
    await enqueue(source, a_pending(lock=LOCK))
    await move_queue(source, target, "q")
    (refusal,) = await create(target, [a_pending("2", lock=LOCK)])
    assert isinstance(refusal, DuplicateTaskError)
    assert await create(source, [a_pending("2", lock=LOCK)]) == [None]


async def test_a_paused_queue_is_paused_there_too(pair: Pair) -> None:
    source, target = pair
    await enqueue(source, a_pending())
    await source.inspection.pause("q", paused=True)
    await move_queue(source, target, "q")
    assert (await target.inspection.queue_info("q")).paused


async def test_the_number_of_moved_tasks_is_reported_after_each_batch(pair: Pair) -> None:
    source, target = pair
    await enqueue(source, *many_pending(300))
    counts: list[int] = []
    await move_queue(source, target, "q", counts.append)
    assert counts == [128, 256, 300]


# -- once more -------------------------------------------------------------------------------------


async def test_tasks_that_a_killed_move_has_left_in_both_are_only_deleted(pair: Pair) -> None:
    source, target = pair
    await enqueue(source, *(a_pending(str(n), lock=LOCK if n == 0 else None) for n in range(3)))
    copies = [it for it in await source.transfers.read(PENDING, 0, 2) if it is not None]
    assert await target.transfers.write(PENDING, copies) == [None, None]
    move = await move_queue(source, target, "q")
    assert (move.moved, move.left) == ({TaskState.PENDING: 3}, {})
    assert ids(await take(target, 10)) == ["0", "1", "2"]


async def test_a_task_that_is_running_there_already_is_only_deleted(pair: Pair) -> None:
    source, target = pair
    await enqueue(source, a_pending())
    await a_lease(target)
    assert (await move_queue(source, target, "q")).left == {}
    assert await size_of(target) == 1


async def test_a_move_without_tasks_moves_nothing(pair: Pair) -> None:
    source, target = pair
    await enqueue(source, a_pending())
    await move_queue(source, target, "q")
    assert await move_queue(source, target, "q") == QueueMove(
        queue="q", moved={}, staying=[], left={}
    )


# -- what stays ------------------------------------------------------------------------------------


async def test_a_task_whose_id_another_one_has_there_stays(pair: Pair) -> None:
    source, target = pair
    await enqueue(source, a_pending("1", payload=b"ours"), a_pending("2"))
    await enqueue(target, a_pending("1", payload=b"theirs"))
    move = await move_queue(source, target, "q")
    assert move.staying == [StayingTask(id="1", state=TaskState.PENDING, reason=ID_TAKEN)]
    assert (move.moved, move.left) == ({TaskState.PENDING: 1}, {TaskState.PENDING: 1})
    assert ids(await take(source)) == ["1"]


async def test_a_task_that_has_ended_there_stays(pair: Pair) -> None:
    source, target = pair
    await enqueue(source, a_pending())
    lease = await a_lease(target)
    await settle(target, lease, completed(lease))
    move = await move_queue(source, target, "q")
    assert [task.reason for task in move.staying] == [ENDED_THERE]


async def test_a_task_whose_lock_another_one_holds_there_stays(pair: Pair) -> None:
    source, target = pair
    await enqueue(source, a_pending("1", lock=LOCK))
    await enqueue(target, a_pending("2", lock=LOCK))
    move = await move_queue(source, target, "q")
    assert [task.reason for task in move.staying] == [LOCK_TAKEN]
    (lease,) = await take(target)
    await settle(target, lease, DONE)
    assert (await move_queue(source, target, "q")).left == {}


async def test_tasks_that_stay_keep_no_others_from_being_moved(pair: Pair) -> None:
    source, target = pair
    await enqueue(source, *many_pending(300))
    await enqueue(target, *(a_pending(str(n), payload=b"other") for n in range(200)))
    move = await move_queue(source, target, "q")
    assert (len(move.staying), move.moved) == (200, {TaskState.PENDING: 100})


async def test_tasks_that_are_being_combined_are_left(pair: Pair) -> None:
    source, target = pair
    await a_staged_set(source, a_grouped("1"))
    await enqueue(source, a_grouped("2"))
    move = await move_queue(source, target, "q")
    assert (move.moved, move.left) == ({TaskState.AGGREGATING: 1}, {TaskState.AGGREGATING: 1})


# -- flows and batches -----------------------------------------------------------------------------


async def test_a_flow_that_runs_stays_with_its_tasks(pair: Pair) -> None:
    source, target = pair
    await enqueue(source, a_pending("plain"))
    await open_flow(source, a_flow(("succeeded", ()), ("succeeded", (0,))))
    move = await move_queue(source, target, "q")
    assert move.staying == [StayingTask(id="flow:0", state=TaskState.PENDING, reason=PART)]
    assert (move.moved, move.running) == ({TaskState.PENDING: 1}, {"flows": 1})
    await end_step(source)
    await end_step(source)
    last = await move_queue(source, target, "q")
    assert (last.left, last.running) == ({}, {})


async def test_a_flow_that_cannot_be_read_keeps_its_tasks_and_no_others(pair: Pair) -> None:
    source, target = pair
    await open_flow(source, a_flow(("succeeded", ()), ("succeeded", ())))
    await enqueue(source, a_pending("plain"))
    await damage_flow(source, "flow")
    move = await move_queue(source, target, "q")
    assert [it.id for it in move.staying] == ["flow:0", "flow:1"]
    assert all(
        "the record of flow 'flow' of 'q' cannot be read" in it.reason for it in move.staying
    )
    assert move.moved == {TaskState.PENDING: 1}


async def test_a_batch_that_runs_stays_with_its_members(pair: Pair) -> None:
    source, target = pair
    first, second = await start(source, 2)
    await fail(source, first)
    move = await move_queue(source, target, "q")
    assert [(it.id, it.reason) for it in move.staying] == [("b:0", PART)]
    assert (move.moved, move.running) == ({}, {"batches": 1})
    await end(source, second)
    last = await move_queue(source, target, "q")
    assert last.moved == {TaskState.PENDING: 1, TaskState.ARCHIVED: 1}  # what follows, and b:0
    assert (last.left, last.running) == ({}, {})


async def test_more_flows_than_are_read_at_a_time_are_counted(pair: Pair) -> None:
    source, target = pair
    for number in range(250):
        await open_flow(source, a_flow(("succeeded", ()), flow_id=f"{number}"))
    move = await move_queue(source, target, "q")
    assert (move.left, move.running) == ({TaskState.PENDING: 250}, {"flows": 250})


async def test_mail_is_delivered_so_that_its_tasks_are_moved(
    redis_url: str, tmp_path: Path
) -> None:
    source, target = open_broker(redis_url), open_broker(f"sqlite:///{tmp_path}/t.db")
    try:
        lease = await a_lease(source)
        await settle(source, lease, followed(DONE, a_pending("2", queue="r")))
        assert (await move_queue(source, target, "q")).running == {"letters": 1}
        await deliver_mail(source, ["q", "r"])
        assert (await move_queue(source, target, "r")).moved == {TaskState.PENDING: 1}
        assert (await move_queue(source, target, "q")).running == {}
    finally:
        await source.aclose()
        await target.aclose()


# -- refusals --------------------------------------------------------------------------------------


async def test_tasks_are_not_moved_while_a_server_runs_them(pair: Pair) -> None:
    source, target = pair
    await check_move(source, target)
    await enqueue(source, a_pending())
    await source.registry.write_server(a_server(host="h", pid=7), ttl_s=10)
    with pytest.raises(ServersRunningError, match=r"^stop the workers first: h:7 "):
        await check_move(source, target)
    with pytest.raises(ServersRunningError):
        await move_queue(source, target, "q")
    assert (await size_of(source), await size_of(target)) == (1, 0)


async def test_a_server_of_the_target_may_run(pair: Pair) -> None:
    source, target = pair
    await target.registry.write_server(a_server(), ttl_s=10)
    await check_move(source, target)


@pytest.mark.parametrize(
    ("url", "other"),
    [("redis", "redis?client_name=other"), ("sqlite:///folder/t.db", "sqlite:///link/t.db")],
)
async def test_a_broker_is_recognized_under_another_name(
    url: str, other: str, redis_url: str, tmp_path: Path
) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").symlink_to("a")
    places = {"redis": redis_url, "folder": f"{tmp_path}/a", "link": f"{tmp_path}/b"}
    source, target = (open_broker(put_places(it, places)) for it in (url, other))
    try:
        with pytest.raises(SameBrokerError):
            await check_move(source, target)
    finally:
        await source.aclose()
        await target.aclose()


async def test_a_target_that_is_away_is_told_before_anything_is_moved(tmp_path: Path) -> None:
    source = open_broker(f"sqlite:///{tmp_path}/t.db")
    target = open_broker(f"127.0.0.1:{free_port()}")
    try:
        with pytest.raises(BrokerUnavailableError):
            await check_move(source, target)
    finally:
        await source.aclose()
        await target.aclose()


async def test_a_message_that_cannot_be_decoded_stays(redis_url: str, tmp_path: Path) -> None:
    source, target = open_broker(redis_url), open_broker(f"sqlite:///{tmp_path}/t.db")
    try:
        wrong = TaskCopy(message=a_message("1", queue="another"))
        assert await source.transfers.write(PENDING, [wrong]) == [None]
        await enqueue(source, a_pending("2"))
        move = await move_queue(source, target, "q")
    finally:
        await source.aclose()
        await target.aclose()
    assert [(task.id, task.state) for task in move.staying] == [(None, TaskState.PENDING)]
    assert move.moved == {TaskState.PENDING: 1}
