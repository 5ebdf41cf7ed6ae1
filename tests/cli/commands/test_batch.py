"""``pyasynq batch`` shows batches and their failed members."""

import asyncio

import pytest

from pyasynq import ActiveTask, Batch, BatchInfo, Server, SkipRetry, SyncClient, Task
from pyasynq.cli.exit_codes import Exit
from tests.cli.command_runner import CommandRunner
from tests.support.servers import RedisServer


def enqueue(server: RedisServer, count: int) -> BatchInfo:
    with SyncClient(server.url) as client:
        return client.enqueue_batch(
            Batch([Task("t", queue="q")] * count, then=Task("t", queue="q"))
        )


@pytest.mark.parametrize("verb", ["list", "ls"])
def test_batches_are_listed(run_cli: CommandRunner, redis_server: RedisServer, verb: str) -> None:
    over, running = enqueue(redis_server, 0), enqueue(redis_server, 3)
    _, *rows = run_cli("batch", verb, "-q", "q").out.splitlines()
    assert [row.split()[:5] for row in rows] == [
        [running.id, "running", "3", "0", "0"],
        [over.id, "succeeded", "0", "0", "0"],
    ]


def test_batches_can_be_json(run_cli: CommandRunner, redis_server: RedisServer) -> None:
    info = enqueue(redis_server, 3)
    [found] = run_cli("batch", "list", "-q", "q", "-o", "json").json
    assert (found["id"], found["state"], found["total"], found["ended_at"]) == (
        info.id,
        "running",
        3,
        None,
    )


def test_no_batches_are_named(run_cli: CommandRunner, redis_server: RedisServer) -> None:
    with SyncClient(redis_server.url) as client:
        client.enqueue(Task("t", queue="q"))
    assert run_cli("batch", "list", "-q", "q").err == 'No batches found in queue "q"\n'


def test_a_batch_is_shown_with_its_failed_members(
    run_cli: CommandRunner, redis_server: RedisServer
) -> None:
    info = enqueue(redis_server, 30)
    with redis_server.client() as client:
        client.sadd(f"asynq:{{q}}:batch_failed:{info.id}", *range(25))
        client.hset(f"asynq:{{q}}:batch:{info.id}", mapping={"left": 5, "failed": 25})
    shown = run_cli("batch", "inspect", "-q", "q", info.id).out
    assert "Members: 30, 25 have ended, 25 have failed\n" in shown
    assert f"\n{info.id}:0\n{info.id}:1\n" in shown
    assert "and 5 more; -o json has all" in shown
    document = run_cli("batch", "inspect", "-q", "q", info.id, "-o", "json").json
    assert len(document["failed_members"]) == 25
    assert (document["id"], document["failed"]) == (info.id, 25)


def test_a_batch_that_is_not_there_is_named(run_cli: CommandRunner) -> None:
    result = run_cli("batch", "inspect", "-q", "q", "gone")
    assert (result.code, "batch not found: 'gone'" in result.err) == (Exit.NOT_FOUND, True)


def test_a_batch_is_cancelled(run_cli: CommandRunner, redis_server: RedisServer) -> None:
    info = enqueue(redis_server, 3)
    assert run_cli("batch", "cancel", "-q", "q", info.id).err == f"Cancelled batch {info.id}\n"
    assert (
        run_cli("batch", "inspect", "-q", "q", info.id, "-o", "json").json["state"] == "cancelled"
    )
    again = run_cli("batch", "cancel", "-q", "q", info.id)
    assert (again.code, "it is cancelled; it does not run" in again.err) == (Exit.CONFLICT, True)
    gone = run_cli("batch", "cancel", "-q", "q", "gone")
    assert gone.code == Exit.NOT_FOUND


def test_the_failed_members_of_a_batch_run_again(
    run_cli: CommandRunner, redis_server: RedisServer
) -> None:
    info = enqueue(redis_server, 3)
    refused = run_cli("batch", "retry", "-q", "q", info.id)
    assert (refused.code, "only one that has failed" in refused.err) == (Exit.CONFLICT, True)
    fail_all(redis_server)
    again = run_cli("batch", "retry", "-q", "q", info.id)
    assert again.err == f"3 members of batch {info.id} run again\n"


def test_one_member_is_not_named_as_many(run_cli: CommandRunner, redis_server: RedisServer) -> None:
    info = enqueue(redis_server, 1)
    fail_all(redis_server)
    shown = run_cli("batch", "inspect", "-q", "q", info.id).out
    assert "Members: 1, 1 has ended, 1 has failed\n" in shown
    again = run_cli("batch", "retry", "-q", "q", info.id)
    assert again.err == f"1 member of batch {info.id} runs again\n"


def fail_all(server: RedisServer) -> None:
    """Run the tasks of the queue; each fails."""

    async def fail(_: ActiveTask) -> None:
        raise SkipRetry("unlucky")

    asyncio.run(Server(server.url, handler=fail, queues={"q": 1}, burst=True).run())
