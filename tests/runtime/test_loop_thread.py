"""A sync client never waits forever for a thread that has ended, or that is no real one."""

import asyncio
import gc
import os
import sys
import threading
from types import SimpleNamespace

import pytest

from pyasynq import SyncClient, Task, TaskInfo, ThreadError
from tests.support.waiting import wait_until

PATIENCE_S = 60.0


def end_thread(client: SyncClient) -> None:
    """End the thread of *client*, as an error in its loop does."""
    assert client._calls._thread is not None
    client._calls._thread.stop()


async def outcome_of(script: str, *args: str) -> tuple[int, list[str]]:
    """Return exit code and output lines of a Python process that runs *script* with *args*."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "ignore", "-c", script, *args),
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await asyncio.wait_for(process.communicate(), PATIENCE_S)
    assert process.returncode is not None
    return process.returncode, output.decode().splitlines()


@pytest.fixture
def waiting(redis_url: str) -> TaskInfo:
    """Return a task that nobody runs."""
    with SyncClient(redis_url) as client:
        return client.enqueue(Task("t"))


def test_a_call_to_a_thread_that_dies_fails(redis_url: str, waiting: TaskInfo) -> None:
    client = SyncClient(redis_url)
    client.ping()
    threading.Timer(0.1, end_thread, [client]).start()
    with pytest.raises(ThreadError, match="has ended; the call may have been made"):
        client.result(waiting)
    client.close()


def test_a_sync_client_whose_thread_has_died_begins_another(redis_url: str) -> None:
    with SyncClient(redis_url) as client:
        client.ping()
        first = client._calls._thread
        assert first is not None
        end_thread(client)
        first._thread.join()
        assert client.enqueue(Task("t")).id
        assert client._calls._thread is not first


def test_an_interruption_cancels_the_call(redis_url: str, waiting: TaskInfo) -> None:
    with SyncClient(redis_url) as client:
        client.ping()
        thread = client._calls._thread
        assert thread is not None
        call = thread.send(client._calls._target.result(waiting))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(call, "result", lambda _: interrupt())
            with pytest.raises(KeyboardInterrupt):
                thread.wait(call)
        assert call.cancelled()


def interrupt() -> None:
    raise KeyboardInterrupt


async def test_the_thread_of_a_garbage_collected_sync_client_ends(redis_url: str) -> None:
    client = SyncClient(redis_url)
    client.ping()
    assert client._calls._thread is not None
    thread = client._calls._thread
    del client
    gc.collect()
    await wait_until(lambda: not thread.alive)


def test_sync_clients_leave_nothing_behind(redis_url: str) -> None:
    def make() -> tuple[int, int]:
        for _ in range(20):
            with SyncClient(redis_url) as client:
                client.ping()
        gc.collect()
        return threading.active_count(), len(os.listdir("/proc/self/fd"))

    assert make() == make()


LAST = """
import atexit, sys
from pyasynq import SyncClient, Task

client = SyncClient(sys.argv[1])
atexit.register(lambda: print(client.enqueue(Task("t")).type, flush=True))
client.ping()
"""


async def test_a_call_at_the_exit_of_a_program_is_answered(redis_url: str) -> None:
    assert await outcome_of(LAST, redis_url) == (0, ["t"])


FINALIZING = """
import sys
from pyasynq import SyncClient, Task

class Last:
    def __init__(self, client, task):
        self.client, self.task = client, task

    def __del__(self):
        try:
            self.client.enqueue(self.task)
        except Exception as error:
            print(error, flush=True)

client = SyncClient(sys.argv[1])
client.ping()
sys.last = Last(client, Task("t"))
"""


async def test_a_call_after_the_end_of_a_program_is_refused(redis_url: str) -> None:
    code, lines = await outcome_of(FINALIZING, redis_url)
    assert code == 0
    text = (
        "the thread of this SyncClient or SyncInspector has ended with the interpreter: make the "
        "call before that"
    )
    assert lines in ([], [text])


# -- greenlets -------------------------------------------------------------------------------------


GEVENT = """
from gevent import monkey
monkey.patch_all()
import sys
import gevent
from pyasynq import SyncClient, Task

clients = [SyncClient(sys.argv[1]) for _ in range(2)]
turns = []

def take_turns():
    while True:
        turns.append(1)
        gevent.sleep(0.001)

gevent.spawn(take_turns)
jobs = [gevent.spawn(clients[i % 2].enqueue, Task("t")) for i in range(20)]
gevent.joinall(jobs)
print(len({job.value.id for job in jobs}), len(turns) > 1, flush=True)
"""

FORKING = """
import os
if (child := os.fork()) == 0:
    clients[0].enqueue(Task("t"))
    os._exit(7)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), clients[0].enqueue(Task("t")).type)
"""

CLOSING = "[client.close() for client in clients]"


@pytest.mark.parametrize("end", ["", CLOSING], ids=["left open", "closed"])
async def test_sync_clients_serve_greenlets_while_others_run(end: str, redis_url: str) -> None:
    assert await outcome_of(GEVENT + end, redis_url) == (0, ["20 True"])


async def test_a_sync_client_serves_both_sides_of_a_fork_under_gevent(redis_url: str) -> None:
    code, lines = await outcome_of(GEVENT + FORKING + CLOSING, redis_url)
    assert (code, lines[1:]) == (0, ["7 t"])


PATCHED_AFTER_FORK = """
import os, sys
from pyasynq import SyncClient, Task

client = SyncClient(sys.argv[1])
client.ping()
if os.fork() == 0:
    from gevent import monkey
    monkey.patch_all()
    import gevent
    jobs = [gevent.spawn(client.enqueue, Task("t")) for _ in range(5)]
    gevent.joinall(jobs)
    print(len({job.value.id for job in jobs}), flush=True)
    os._exit(0)
os.wait()
client.close()
"""


async def test_greenlets_share_a_sync_client_that_was_used_before_the_fork(redis_url: str) -> None:
    assert await outcome_of(PATCHED_AFTER_FORK, redis_url) == (0, ["5"])


def test_under_eventlet_a_sync_client_is_refused_and_says_what_helps(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    patcher = SimpleNamespace(is_monkey_patched=lambda what: what == "thread")
    monkeypatch.setitem(sys.modules, "eventlet.patcher", patcher)
    with pytest.raises(ThreadError, match="eventlet has replaced threads: use gevent, or"):
        SyncClient(redis_url)
