"""Write tasks, servers and entries into Redis, for commands that read them."""

import time
from contextlib import closing
from datetime import timedelta
from typing import TYPE_CHECKING

from pyasynq import SyncClient, Task
from pyasynq.proto.asynq_pb2 import (
    SchedulerEnqueueEvent,
    SchedulerEntry,
    ServerInfo,
    TaskMessage,
    WorkerInfo,
)
from tests.support.servers import RedisServer

if TYPE_CHECKING:
    from redis.typing import EncodableT, FieldT

HOUR = timedelta(hours=1)


def enqueue_one_of_each(client: SyncClient, server: RedisServer) -> None:
    """Put a task in every state into the queue ``q``; the id of each is its state."""
    client.enqueue(Task("t", b"p", task_id="pending", queue="q", headers={"trace": "1"}))
    client.enqueue(Task("t", b"p", task_id="scheduled", queue="q", process_in=HOUR))
    client.enqueue(Task("t", b"p", task_id="aggregating", queue="q", group="g"))
    now_s = int(time.time())
    for state in ("retry", "archived", "completed"):
        put_task(server, state, now_s + 3600 if state != "archived" else now_s - 60)


def put_task(server: RedisServer, state: str, score: int, task_id: str = "") -> None:
    """Write a task that has run, as a worker does."""
    task_id = task_id or state
    failed = state != "completed"
    now_s = int(time.time())
    message = TaskMessage(
        id=task_id,
        type="t",
        payload=b"p",
        queue="q",
        retry=25,
        retried=3 if failed else 0,
        error_msg="no route to host" if failed else "",
        last_failed_at=now_s - 60 if failed else 0,
        completed_at=0 if failed else now_s - 60,
        retention=0 if failed else 3660,
        timeout=1800,
    )
    fields: dict[FieldT, EncodableT] = {
        "msg": message.SerializeToString(),
        "state": state,
    }
    if not failed:
        fields["result"] = "result"
    with closing(server.client()) as client:
        client.hset(f"asynq:{{q}}:t:{task_id}", mapping=fields)
        client.zadd(f"asynq:{{q}}:{state}", {task_id: score})
        client.sadd("asynq:queues", "q")


def put_server(server: RedisServer, host: str = "h", pid: int = 1) -> None:
    """Write a server that serves three queues."""
    info = ServerInfo(
        host=host,
        pid=pid,
        server_id="s",
        concurrency=10,
        queues={"low": 1, "critical": 6, "also": 1},
        status="active",
        active_worker_count=0,
    )
    info.start_time.FromSeconds(int(time.time()) - 61)
    key = f"asynq:servers:{{{host}:{pid}:s}}"
    with closing(server.client()) as client:
        client.set(key, info.SerializeToString(), ex=10)
        client.zadd("asynq:servers", {key: int(time.time()) + 10})


def put_active_task(server: RedisServer, task_id: str) -> None:
    """Write an active task of the queue ``q``, with its lease."""
    message = TaskMessage(id=task_id, type="t", payload=b"p", queue="q", timeout=1800)
    with closing(server.client()) as client:
        fields: dict[FieldT, EncodableT] = {"msg": message.SerializeToString(), "state": "active"}
        client.hset(f"asynq:{{q}}:t:{task_id}", mapping=fields)
        client.rpush("asynq:{q}:active", task_id)
        client.zadd("asynq:{q}:lease", {task_id: int(time.time()) + 30})
        client.sadd("asynq:queues", "q")


def put_active_worker(server: RedisServer, task_id: str) -> None:
    """Write a server that runs a task."""
    put_server(server)
    key = "asynq:workers:{h:1:s}"
    info = WorkerInfo(host="h", pid=1, server_id="s", task_id=task_id, task_type="t", queue="q")
    with closing(server.client()) as client:
        client.hset(key, task_id, info.SerializeToString())
        client.expire(key, 10)
        client.zadd("asynq:workers", {key: int(time.time()) + 10})


def put_entry(server: RedisServer, entry_id: str = "e", spec: str = "@every 1h") -> None:
    """Write an entry of a scheduler, and the two tasks that it has enqueued."""
    entry = SchedulerEntry(
        id=entry_id,
        spec=spec,
        task_type="t",
        task_payload=b"p",
        enqueue_options=['Queue("q")', "MaxRetry(3)"],
    )
    entry.next_enqueue_time.FromSeconds(int(time.time()) + 3600)
    entry.prev_enqueue_time.FromSeconds(int(time.time()) - 60)
    key = "asynq:schedulers:{h:1:s}"
    with closing(server.client()) as client:
        client.rpush(key, entry.SerializeToString())
        client.expire(key, 20)
        client.zadd("asynq:schedulers", {key: int(time.time()) + 20})
        for n in (1, 2):
            event = SchedulerEnqueueEvent(task_id=f"task {n}")
            event.enqueue_time.FromSeconds(n)
            client.zadd(f"asynq:scheduler_history:{entry_id}", {event.SerializeToString(): n})
