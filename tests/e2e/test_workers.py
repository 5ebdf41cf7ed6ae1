"""Workers are killed or stopped: every task is still done."""

import itertools
import os
import resource
import signal
import time
from collections import Counter
from collections.abc import Sequence

import pytest

from pyasynq import Client, Task, TaskInfo
from tests.cli.processes import WorkerProcess, worker
from tests.e2e.recording import Recording
from tests.support.queue_view import QueueView, RedisQueue
from tests.support.servers import RedisServer
from tests.support.waiting import wait_until

APP = "tests.e2e.apps.recording:app"
CRASHING = "tests.e2e.apps.crashing:app"


@pytest.fixture
def own_redis(workers_redis: RedisServer) -> RedisServer:
    """Return a Redis that no test here stops."""
    return workers_redis


async def enqueue(client: Client, type: str, count: int, payload: bytes = b"{}") -> list[str]:
    """Enqueue *count* tasks and return their ids, sorted."""
    infos = await client.enqueue_many([Task(type, payload) for _ in range(count)])
    return sorted(info.id for info in infos if isinstance(info, TaskInfo))


async def test_every_task_of_a_killed_worker_is_done_by_another(
    client: Client, queue: RedisQueue, recording: Recording
) -> None:
    ids = await enqueue(client, "hang once", 100)
    async with worker(APP, "-c", "100", environ=recording.environ) as first:
        await wait_until(lambda: len(recording.notes("began")) == 100)
        first.send(signal.SIGKILL)
        await first.wait_for_end()
    await queue.end_leases()
    await queue.end_upkeep()
    async with worker(APP, "-c", "100", environ=recording.environ):
        await wait_until(lambda: recording.ids("ended") == ids)
        await wait_until(lambda: _has_none(queue, "active"))


async def test_the_tasks_of_a_killed_worker_run_again_once_their_leases_are_over(
    client: Client, recording: Recording
) -> None:
    enqueued_s = time.time()
    ids = await enqueue(client, "hang once", 10)
    environ = {**recording.environ, "RECORDING_LEASE_S": "10"}
    async with worker(APP, "-c", "10", environ=environ) as first:
        await wait_until(lambda: len(recording.notes("began")) == 10)
        async with worker(APP, "-c", "10", environ=environ) as second:
            first.send(signal.SIGKILL)
            await wait_until(lambda: recording.ids("ended") == ids, 45)
    again = recording.notes("ended")
    assert {note.pid for note in again} == {second.pid}
    assert min(note.at for note in again) > enqueued_s + 10


async def test_the_tasks_of_a_killed_child_run_again_before_their_leases_are_over(
    client: Client, recording: Recording
) -> None:
    ids = await enqueue(client, "hang once", 6)
    async with worker(
        APP, "-p", "2", "-c", "3", environ={**recording.environ, "RECORDING_LEASE_S": "300"}
    ):
        await wait_until(lambda: len(recording.notes("began")) == 6)
        victim = recording.notes("began")[0].pid
        lost = {note.task_id for note in recording.notes("began") if note.pid == victim}
        os.kill(victim, signal.SIGKILL)
        await wait_until(lambda: set(recording.ids("ended")) == lost)
    assert lost < set(ids)


async def test_a_child_that_cannot_be_started_is_started_later(
    client: Client, recording: Recording
) -> None:
    await enqueue(client, "hang once", 6)
    environ = {**recording.environ, "RECORDING_LEASE_S": "300"}
    async with worker(APP, "-p", "2", "-c", "3", environ=environ) as supervisor:
        await wait_until(lambda: len(recording.notes("began")) == 6)
        victim = recording.notes("began")[0].pid
        lost = {note.task_id for note in recording.notes("began") if note.pid == victim}
        files, limits = resource.RLIMIT_NOFILE, resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.prlimit(supervisor.pid, files, (3, limits[1]))
        os.kill(victim, signal.SIGKILL)
        await supervisor.wait_for_line("no worker could be started")
        resource.prlimit(supervisor.pid, files, limits)
        await wait_until(lambda: set(recording.ids("ended")) == lost)


async def test_only_the_task_that_kills_its_workers_is_archived(
    client: Client, queue: QueueView, own_redis: RedisServer
) -> None:
    innocent = [f"innocent-{n}" for n in range(3)]
    await client.enqueue_many([Task("work", b"{}", max_retry=3, task_id=it) for it in innocent])
    await client.enqueue(Task("kill", b"{}", max_retry=3), task_id="poison")
    environ = {"CRASHING_REDIS": own_redis.url}
    async with worker(CRASHING, "-p", "1", "-c", "4", environ=environ):
        await wait_until(lambda: queue.ids("archived"), 45)
        await wait_until(lambda: _none_is_left(queue, innocent), 45)
    assert await queue.ids("archived") == ["poison"]
    message = await queue.message("poison")
    assert (message.retried, message.error_msg) == (1, "crashed its worker 2 times in a row")


async def test_a_worker_that_gets_sigterm_ends_its_tasks_first(
    client: Client, queue: QueueView, recording: Recording
) -> None:
    ids = await enqueue(client, "work", 10, b'{"seconds":1}')
    async with worker(APP, "-c", "5", environ=recording.environ) as process:
        await wait_until(lambda: len(recording.notes("began")) == 5)
        process.send(signal.SIGTERM)
        assert await process.wait_for_end() == 0
    assert (
        recording.ids("began")
        == recording.ids("ended")
        == sorted(set(ids) - set(await queue.pending_ids()))
    )
    assert await queue.ids("active") == []


async def test_tasks_that_do_not_end_in_time_go_to_the_next_worker(
    client: Client, recording: Recording, queue: QueueView
) -> None:
    ids = await enqueue(client, "work", 10, b'{"seconds":2}')
    args = (APP, "-c", "10", "--shutdown-timeout", "100ms")
    async with worker(*args, environ=recording.environ) as first:
        await wait_until(lambda: len(recording.notes("began")) == 10)
        first.send(signal.SIGTERM)
        assert await first.wait_for_end() == 0
    assert sorted(await queue.pending_ids()) == ids
    async with worker(*args, "--burst", environ=recording.environ) as second:
        assert await second.wait_for_end() == 0
    assert recording.ids("ended") == ids


@pytest.mark.parametrize("args", [(), ("-p", "1")], ids=["alone", "supervised"])
async def test_a_second_signal_ends_even_a_worker_whose_thread_hangs(
    args: tuple[str, ...], client: Client, queue: QueueView, recording: Recording
) -> None:
    ids = await enqueue(client, "hang in thread", 1)
    async with worker(APP, *args, environ=recording.environ) as process:
        await wait_until(lambda: recording.notes("began"))
        process.send(signal.SIGTERM)
        await process.wait_for_line("SIGTERM: shutting down")
        process.send(signal.SIGTERM)
        await process.wait_for_end()
    assert await queue.pending_ids() == ids


async def test_a_worker_whose_thread_hangs_ends_after_its_shutdown_timeout(
    client: Client, queue: QueueView, recording: Recording
) -> None:
    ids = await enqueue(client, "hang in thread", 1)
    args = (APP, "--shutdown-timeout", "100ms")
    async with worker(*args, environ=recording.environ) as process:
        await wait_until(lambda: recording.notes("began"))
        process.send(signal.SIGTERM)
        await process.wait_for_end()
    assert await queue.pending_ids() == ids


async def test_tasks_begin_in_the_next_worker_while_a_long_one_ends_in_the_one_before(
    client: Client, recording: Recording
) -> None:
    long = await enqueue(client, "work until told", 1)
    args = (APP, "-p", "1", "-c", "1", "--shutdown-timeout", "10m")
    async with worker(*args, environ=recording.environ) as process:
        await wait_until(lambda: recording.ids("began") == long)
        process.send(signal.SIGHUP)
        await process.wait_for_line("replaces")
        [short] = await enqueue(client, "work", 1)
        await wait_until(lambda: recording.ids("ended") == [short])
        recording.tell()
        await wait_until(lambda: recording.ids("ended") == sorted([*long, short]))
    pids = {note.task_id: note.pid for note in recording.notes("began")}
    assert len(recording.notes("began")) == len(set(pids.values())) == 2
    assert [note.pid for note in recording.notes("ended")] == [pids[short], pids[long[0]]]


async def test_a_stop_does_not_interrupt_the_last_tasks_of_a_worker_that_was_replaced(
    client: Client, recording: Recording
) -> None:
    long = await enqueue(client, "work until told", 1)
    args = (APP, "-p", "1", "--shutdown-timeout", "10m")
    async with worker(*args, environ=recording.environ) as process:
        await wait_until(lambda: recording.ids("began") == long)
        process.send(signal.SIGHUP)
        await process.wait_for_line("replaces")
        process.send(signal.SIGTERM)
        await process.wait_for_line("SIGTERM: stopping the workers")
        await process.wait_for_line("has stopped")  # the one that replaced it
        recording.tell()
        assert await process.wait_for_end() == 0
    assert recording.ids("ended") == long


async def test_a_worker_is_replaced_after_its_tasks_and_ends_when_the_last_has_ended(
    client: Client, recording: Recording
) -> None:
    long = await enqueue(client, "work until told", 1)
    # The shutdown timeout does not apply: a task that takes longer would never end.
    args = (APP, "-p", "1", "-c", "1", "--max-tasks", "1", "--shutdown-timeout", "0s")
    async with worker(*args, environ=recording.environ) as process:
        await process.wait_for_line("replaces")
        [short] = await enqueue(client, "work", 1)
        await wait_until(lambda: recording.ids("ended") == [short])
        recording.tell()
        await wait_until(lambda: recording.ids("ended") == sorted([*long, short]))
        await process.wait_for_line("running tasks have ended: shutting down")
        await process.wait_for_line("replaces", times=2)
    assert "it is replaced" not in "\n".join(process.lines)
    pids = {note.task_id: note.pid for note in recording.notes("began")}
    assert len(recording.notes("began")) == len(set(pids.values())) == 2


async def test_no_task_is_lost_while_workers_are_replaced_again_and_again(
    client: Client, recording: Recording, queue: QueueView
) -> None:
    args = (APP, "-p", "1", "-c", "2", "--max-tasks", "10")
    async with worker(*args, environ=recording.environ) as process:
        rounds = [await _enqueue_until_replaced(client, process, number) for number in (1, 2)]
        ids = sorted(itertools.chain(*rounds))
        await wait_until(lambda: recording.ids("ended") == ids)
        await wait_until(lambda: _has_none(queue, "active"))
    assert recording.ids("began") == ids
    assert len({note.pid for note in recording.notes("began")}) >= 2


async def test_a_worker_without_a_supervisor_ends_after_its_tasks(
    client: Client, recording: Recording, queue: QueueView
) -> None:
    ids = await enqueue(client, "work", 20, b'{"seconds":0.5}')
    args = (APP, "-c", "2", "--max-tasks", "2", "--shutdown-timeout", "0s")
    async with worker(*args, environ=recording.environ) as process:
        await process.wait_for_line("tasks taken (--max-tasks): this process is to be replaced")
        assert await process.wait_for_end() == 0
    assert recording.ids("began") == recording.ids("ended")
    assert sorted([*recording.ids("ended"), *await queue.pending_ids()]) == ids


async def test_a_worker_that_uses_much_memory_is_replaced(
    client: Client, recording: Recording
) -> None:
    await enqueue(client, "grow", 1, b'{"mib":300}')
    args = (APP, "-p", "1", "--max-memory", "200M")
    async with worker(*args, environ=recording.environ) as process:
        await process.wait_for_line("MiB of memory in use (--max-memory)")
        await process.wait_for_line("replaces")
        await process.wait_for_line("has stopped")
        [small] = await enqueue(client, "work", 1)
        await wait_until(lambda: small in recording.ids("ended"))
    pids = [note.pid for note in recording.notes("began")]
    assert len(set(pids)) == 2


async def test_two_of_everything_do_each_task_once(
    client: Client, recording: Recording, queue: QueueView
) -> None:
    args = (APP, "-p", "2", "-c", "20")
    async with worker(*args, environ=recording.environ), worker(*args, environ=recording.environ):
        async with Client(recording.environ["RECORDING_REDIS"]) as other:
            ids = await enqueue(client, "work", 1000) + await enqueue(other, "work", 1000)
        await wait_until(lambda: len(recording.notes("ended")) >= 2000, 30)
        await wait_until(lambda: _has_none(queue, "active"))
    runs = Counter(recording.ids("began"))
    assert (sorted(runs), set(runs.values())) == (sorted(ids), {1})
    assert len({note.pid for note in recording.notes("began")}) > 1


async def _enqueue_until_replaced(client: Client, process: WorkerProcess, number: int) -> list[str]:
    ids = await enqueue(client, "work", 50, b'{"seconds":0.05}')
    await process.wait_for_line("replaces", times=number)
    return ids


async def _has_none(queue: QueueView, state: str) -> bool:
    return not await queue.ids(state)


async def _none_is_left(queue: QueueView, ids: Sequence[str]) -> bool:
    return not any([await queue.exists(task_id) for task_id in ids])
