"""A Go worker and a Python worker share a queue."""

from datetime import timedelta

from pyasynq import Client, Server, Task
from tests.interop.gopeer import Peer
from tests.interop.handlers import Handler
from tests.interop.outcomes import ids
from tests.interop.polling import until

TASKS = 400


async def test_every_task_runs_once_and_both_take_part(go_peer: Peer, redis_url: str) -> None:
    python = Handler(seconds=0.01)
    async with (
        Client(redis_url) as client,
        go_peer.work(queues="q", concurrency=5, sleep=timedelta(seconds=0.01)) as go,
        Server(redis_url, queues={"q": 1}, concurrency=5).running(python),
    ):
        mine = await client.enqueue_many([Task("t")] * (TASKS // 2), queue="q")
        gos = await go_peer.enqueue("t", queue="q", count=TASKS // 2)
        await until(lambda: len(python.tasks) + len(go.seen("done")) >= TASKS)
    by_python = [task.id for task in python.tasks]
    by_go = [event["id"] for event in go.seen("start")]
    assert sorted(by_python + by_go) == sorted(ids([*mine, *gos]))
    assert min(len(by_python), len(by_go)) > 0
    [queue] = await go_peer.inspect("queue", "q")
    assert (queue["size"], queue["processed"], queue["failed"]) == (0, TASKS, 0)
