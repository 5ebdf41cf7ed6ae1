"""``pyasynq worker`` runs an app, alone or supervised."""

import asyncio
import itertools
import json
import os
import pty
import signal
import socket
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Collection
from datetime import timedelta
from pathlib import Path
from typing import cast

import anyio
import pytest
from redis.asyncio import Redis

from pyasynq import Client, Task
from pyasynq.broker import redact_url
from pyasynq.cli.commands.worker import make_server
from pyasynq.cli.commands.worker import worker as command
from pyasynq.cli.supervisor import lengthen_wait
from pyasynq.cli.worker_options import WorkerOptions
from pyasynq.proto.asynq_pb2 import ServerInfo
from tests.cli.processes import WorkerProcess, worker
from tests.support.servers import free_port
from tests.support.waiting import wait_until

APP = "tests.cli.apps:app"


@pytest.fixture
async def client(redis_url: str, r: Redis) -> AsyncIterator[Client]:
    """Yield a client."""
    async with Client(redis_url) as client:
        yield client


async def servers(r: Redis) -> list[ServerInfo]:
    """Return the running servers."""
    keys = [key async for key in r.scan_iter("asynq:servers:*")]
    records = [await r.get(key) for key in keys]
    return [ServerInfo.FromString(cast("bytes", record)) for record in records if record]


async def test_a_burst_runs_what_is_there_and_ends(client: Client, redis_url: str) -> None:
    info = await client.enqueue(Task("print"))
    async with worker(APP, "--burst", "-u", redis_url) as process:
        assert await process.wait_for_end() == 0
    assert f"ran {info.id}" in process.lines


async def test_the_options_reach_the_server(redis_url: str, r: Redis) -> None:
    args = ("-c", "7", "-Q", "high=6,low=1", "--strict", "-u", redis_url)
    async with worker(APP, *args):
        await wait_until(lambda: servers(r))
        [server] = await servers(r)
    assert (server.concurrency, dict(server.queues)) == (7, {"high": 6, "low": 1})
    assert server.strict_priority


def test_every_option_of_a_server_is_passed_on(redis_url: str) -> None:
    args = [
        "--threads",
        "5",
        "--task-processes",
        "3",
        "--max-crashes",
        "9",
        "--unknown",
        "retry",
        "--shutdown-timeout",
        "1m30s",
        "--burst",
    ]
    given = command.make_context("worker", [APP, "-u", redis_url, *args]).params
    config = make_server(WorkerOptions(**given))._config
    assert (config.threads, config.task_processes) == (5, 3)
    assert (config.max_crashes, config.unknown) == (9, "retry")
    assert (config.shutdown_timeout, config.burst) == (timedelta(seconds=90), True)


@pytest.mark.parametrize(("workers", "processes"), [(1, 8), (2, 4), (16, 1)])
def test_worker_processes_share_the_cpus_for_their_processes(
    workers: int, processes: int, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pyasynq.server.config.default_processes", lambda: 8)
    args = [APP, "-u", redis_url, "-p", str(workers)]
    given = command.make_context("worker", args).params
    assert make_server(WorkerOptions(**given))._config.task_processes == processes


async def test_variables_stand_for_options(redis_url: str, r: Redis) -> None:
    environ = {"PYASYNQ_CONCURRENCY": "9", "PYASYNQ_URI": redis_url, "PYASYNQ_QUEUES": "a"}
    async with worker(APP, environ=environ):
        await wait_until(lambda: servers(r))
        [server] = await servers(r)
    assert (server.concurrency, dict(server.queues)) == (9, {"a": 1})


async def test_what_the_app_says_holds_where_the_command_says_nothing(
    redis_url: str, r: Redis
) -> None:
    async with worker(APP, environ={"TEST_REDIS_URL": redis_url}):
        await wait_until(lambda: servers(r))
        [server] = await servers(r)
    assert (server.concurrency, dict(server.queues)) == (3, {"default": 1})


async def test_an_address_in_the_code_wins_over_the_variable_and_says_so(
    redis_url: str, r: Redis
) -> None:
    environ = {"TEST_REDIS_URL": redis_url, "PYASYNQ_URI": "redis://:secret@elsewhere"}
    async with worker(APP, environ=environ) as process:
        await process.wait_for_line(f"Redis: {redact_url(redis_url)} (named by the app)")
        await process.wait_for_line(
            "PYASYNQ_URI is not used: an address in the code of the app wins"
        )
        await wait_until(lambda: servers(r))
    assert "secret" not in str(process.lines)


async def test_an_option_wins_over_the_address_in_the_code_and_says_so(
    redis_url: str, r: Redis
) -> None:
    environ = {"TEST_REDIS_URL": "redis://:secret@elsewhere"}
    async with worker(APP, "-u", redis_url, environ=environ) as process:
        await process.wait_for_line(f"Redis: {redact_url(redis_url)} (named by --uri)")
        await process.wait_for_line(
            "--uri stands for this process alone: elsewhere the app uses redis://e"
        )
        await wait_until(lambda: servers(r))
    assert "secret" not in str(process.lines)


async def test_each_call_that_a_handler_forgets_to_await_is_logged(
    client: Client, redis_url: str
) -> None:
    await client.enqueue_many([Task("forget"), Task("forget")])
    async with worker(APP, "-u", redis_url, "--log-format", "json") as process:
        line = await process.wait_for_line("coroutine 'Client.enqueue' was never awaited", times=2)
    assert line.startswith("{")


async def test_an_app_without_an_address_has_that_of_the_variable(redis_url: str) -> None:
    async with worker(APP, environ={"PYASYNQ_URI": redis_url}) as process:
        await process.wait_for_line(f"Redis: {redact_url(redis_url)} (named by PYASYNQ_URI)")


async def test_a_variable_that_holds_no_address_is_named() -> None:
    async with worker(APP, environ={"PYASYNQ_URI": "http://x"}) as process:
        await process.wait_for_line("PYASYNQ_URI must be host:port, or a redis://")
        assert await process.wait_for_end() == 2


@pytest.mark.parametrize(
    ("args", "code", "text"),
    [
        (["tests.cli.apps:nothing"], 3, "has no pyasynq.App called 'nothing'"),
        ([APP, "-c", "0"], 2, "concurrency must be a whole number from 1"),
        ([APP, "-u", "http://x"], 2, "--uri must be host:port, or a redis://"),
        ([APP, "-p", "0"], 2, "0 is not in the range"),
        ([APP, "-p", "2", "-c", "0"], 2, "concurrency must be a whole number from 1"),
    ],
    ids=["app", "option", "uri", "processes", "supervised"],
)
async def test_a_mistake_ends_the_command_with_its_code(
    args: list[str], code: int, text: str
) -> None:
    async with worker(*args) as process:
        assert await process.wait_for_end() == code
    assert text in "\n".join(process.lines)
    assert "Traceback" not in "\n".join(process.lines)


async def test_an_option_of_the_app_that_cannot_work_is_shown_where_it_stands(
    tmp_path: Path,
) -> None:
    (tmp_path / "mistaken.py").write_text("from pyasynq import App\napp = App(threads=0)\n")
    async with worker("mistaken:app", cwd=tmp_path) as process:
        assert await process.wait_for_end() == 1
    text = "\n".join(process.lines)
    assert 'mistaken.py", line 2' in text
    assert "threads must be a whole number from 1" in text
    assert "usage:" not in text


async def test_a_signal_ends_the_worker_well(client: Client, redis_url: str) -> None:
    await client.enqueue(Task("print"))
    async with worker(APP, "-u", redis_url) as process:
        await process.wait_for_line("ran")
        process.send(signal.SIGTERM)
        assert await process.wait_for_end() == 0


async def test_log_lines_can_be_json(client: Client, redis_url: str) -> None:
    await client.enqueue(Task("print"))
    async with worker(APP, "-u", redis_url, "--log-format", "json") as process:
        await process.wait_for_line("ran")
        process.send(signal.SIGTERM)
        entry = json.loads(await process.wait_for_line("SIGTERM"))
    assert (entry["level"], entry["logger"]) == ("info", "pyasynq.server")
    assert entry["message"].startswith("SIGTERM: shutting down server")


async def test_health_can_be_asked_for(redis_url: str) -> None:
    address = f"127.0.0.1:{free_port()}"
    async with worker(APP, "-u", redis_url, "--health-addr", address):
        await wait_until(lambda: anyio.to_thread.run_sync(_is_healthy, address))


async def test_a_hangup_ends_the_worker_well(client: Client, redis_url: str) -> None:
    await client.enqueue(Task("print"))
    async with worker(APP, "-u", redis_url) as process:
        await process.wait_for_line("ran")
        process.send(signal.SIGHUP)
        await process.wait_for_line("SIGHUP: shutting down server")
        assert await process.wait_for_end() == 0


# -- supervised ------------------------------------------------------------------------------------


async def test_a_hangup_replaces_the_workers_and_reaches_none_of_them(
    redis_url: str, r: Redis
) -> None:
    async with worker(APP, "-p", "2", "-u", redis_url) as process:
        await wait_until(lambda: _count(r, 2), 15)
        before = {server.pid for server in await servers(r)}
        _ = [os.kill(pid, signal.SIGHUP) for pid in before]
        process.send(signal.SIGHUP)
        await wait_until(lambda: _are_others(r, before), 15)
        process.send(signal.SIGTERM)
        assert await process.wait_for_end() == 0
    assert "SIGHUP: shutting down" not in "\n".join(process.lines)


async def test_no_worker_is_stopped_for_one_that_is_not_healthy(
    redis_url: str, tmp_path: Path, r: Redis
) -> None:
    source = tmp_path / "breaking.py"
    source.write_text(_source(redis_url, "first"))
    async with worker("breaking:app", "-p", "2", cwd=tmp_path) as process:
        await wait_until(lambda: _count(r, 2), 15)
        source.write_text("1 / 0\n")
        process.send(signal.SIGHUP)
        await process.wait_for_line("the workers that are left are not replaced")
        assert len([line for line in process.lines if "is not healthy" in line]) == 1
        assert await _count(r, 2)
        assert "has stopped" not in "\n".join(process.lines)


async def test_a_hangup_of_the_terminal_ends_the_workers(redis_url: str, r: Redis) -> None:
    controller, terminal = pty.openpty()
    async with worker(APP, "-p", "1", "-u", redis_url, stdin=terminal) as process:
        await wait_until(lambda: _count(r, 1), 15)
        process.send(signal.SIGHUP)
        assert await process.wait_for_end() == 0
    _ = [os.close(end) for end in (controller, terminal)]


async def test_the_health_of_all_processes_is_served_in_one_place(redis_url: str, r: Redis) -> None:
    address = f"127.0.0.1:{free_port()}"
    async with worker(APP, "-p", "2", "-u", redis_url, "--health-addr", address) as process:
        await wait_until(lambda: anyio.to_thread.run_sync(_is_healthy, address), 15)
        os.kill((await servers(r))[0].pid, signal.SIGTSTP)
        await process.wait_for_line("taking no more tasks")
        await wait_until(lambda: anyio.to_thread.run_sync(_is_unwell, address), 5)
        status, body = _answer(address, "/healthz")
    assert status == 503
    assert json.loads(body)["problem"] == "the server is stopped"
    assert len(json.loads(body)["workers"]) == 2


async def test_the_numbers_of_all_processes_are_added_up(
    client: Client, redis_url: str, r: Redis
) -> None:
    address = f"127.0.0.1:{free_port()}"
    args = ("-p", "2", "-c", "1", "-u", redis_url, "--health-addr", address, "--metrics")
    async with worker(APP, *args) as process:
        await wait_until(lambda: anyio.to_thread.run_sync(_is_healthy, address), 15)
        await client.enqueue_many([Task("print")] * 20)
        total = 'pyasynq_tasks_total{outcome="succeeded",queue="default",type="print"} 20.0'
        await wait_until(lambda: anyio.to_thread.run_sync(_shows, address, total), 15)
        _ = [os.kill(server.pid, signal.SIGKILL) for server in await servers(r)]
        await process.wait_for_line("ended with signal SIGKILL; it is replaced", times=2)
        assert _shows(address, total)
        assert not _shows(address, "pid=")


async def test_the_slots_of_all_processes_are_added_up(
    client: Client, redis_url: str, r: Redis
) -> None:
    address = f"127.0.0.1:{free_port()}"
    args = ("-p", "2", "-c", "3", "-u", redis_url, "--health-addr", address, "--metrics")
    async with worker(APP, *args):
        await wait_until(lambda: _count(r, 2))
        slots = "pyasynq_worker_slots 6.0"
        await wait_until(lambda: anyio.to_thread.run_sync(_shows, address, slots))
        assert _shows(address, "pyasynq_worker_slots_busy 0.0")
        assert _shows(address, "pyasynq_worker_slots_overdue 0.0")
        lag = 'pyasynq_worker_loop_lag_seconds_bucket{le="+Inf"}'
        await wait_until(lambda: anyio.to_thread.run_sync(_shows, address, lag))


async def test_processes_that_are_replaced_leave_no_more_files_of_metrics(
    client: Client, redis_url: str, tmp_path: Path, r: Redis
) -> None:
    address = f"127.0.0.1:{free_port()}"
    args = ("-p", "1", "-u", redis_url, "--health-addr", address, "--metrics")
    environ = {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    async with worker(APP, *args, environ=environ) as process:
        await wait_until(lambda: _count(r, 1))
        _ = [await _replace_after_a_task(client, r, process, address, n) for n in (1, 2, 3)]
    files = [name for name in os.listdir(tmp_path) if name.startswith("counter_")]
    assert len(files) == 2  # the old and the new process take turns


async def test_a_supervisor_is_not_alive_while_a_process_is_blocked(
    redis_url: str, r: Redis
) -> None:
    address = f"127.0.0.1:{free_port()}"
    async with worker(APP, "-p", "2", "-u", redis_url, "--health-addr", address):
        await wait_until(lambda: _count(r, 2))
        assert _answer(address, "/livez")[0] == 200
        pid = (await servers(r))[0].pid
        os.kill(pid, signal.SIGSTOP)
        await wait_until(lambda: _answer(address, "/livez")[0] == 503)
        problem = json.loads(_answer(address, "/livez")[1])["problem"]
        os.kill(pid, signal.SIGCONT)
        await wait_until(lambda: _answer(address, "/livez")[0] == 200)
    assert problem.startswith(f"the event loop of pid {pid} has been blocked for ")


async def test_a_supervisor_stays_ready_while_its_processes_are_replaced(
    redis_url: str, r: Redis
) -> None:
    address = f"127.0.0.1:{free_port()}"
    async with worker(APP, "-p", "1", "-u", redis_url, "--health-addr", address) as process:
        await wait_until(lambda: _answers(address, "/readyz", 200))
        before = {server.pid for server in await servers(r)}
        process.send(signal.SIGHUP)
        seen: set[int] = set()
        await wait_until(lambda: _note_until_replaced(seen, address, r, before))
    assert seen == {200}


async def test_memory_that_an_app_uses_from_the_start_is_too_little(redis_url: str) -> None:
    async with worker(APP, "-p", "2", "-u", redis_url, "--max-memory", "1M") as process:
        assert await process.wait_for_end() == 2
    assert "--max-memory must be more than the" in process.lines[-1]


STARTING = """
import sys
from pyasynq.cli import main
sys.exit(main(["worker", "tests.cli.apps:app", "-p", "1", "--burst", "-u", sys.argv[1]]))
"""


async def test_another_programs_workers_are_what_it_asked_for(
    client: Client, redis_url: str
) -> None:
    info = await client.enqueue(Task("print"))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", STARTING, redis_url),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    said, _ = await process.communicate()
    assert (process.returncode, said.decode()) == (0, f"ran {info.id}\n")


async def test_as_many_processes_run_as_asked_for(redis_url: str, r: Redis) -> None:
    async with worker(APP, "-p", "2", "-u", redis_url) as process:
        await wait_until(lambda: _count(r, 2))
        pids = {server.pid for server in await servers(r)}
        process.send(signal.SIGTERM)
        assert await process.wait_for_end() == 0
    assert len(pids) == 2
    assert process.pid not in pids
    assert await servers(r) == []


async def test_a_killed_child_is_replaced(redis_url: str, r: Redis) -> None:
    async with worker(APP, "-p", "1", "-u", redis_url) as process:
        await wait_until(lambda: _count(r, 1))
        [first] = await servers(r)
        os.kill(first.pid, signal.SIGKILL)
        await process.wait_for_line(
            f"worker {first.server_id} ended with signal SIGKILL; it is replaced"
        )
        await wait_until(lambda: _is_there(r, not_id=first.server_id))
        process.send(signal.SIGTERM)
        assert await process.wait_for_end() == 0


def test_a_child_that_keeps_ending_is_replaced_after_growing_waits() -> None:
    waits = list(
        itertools.accumulate(range(6), lambda wait_s, _: lengthen_wait(wait_s), initial=0.0)
    )
    assert waits == [0, 0.5, 1, 2, 4, 8, 10]


async def test_a_burst_of_several_processes_ends(client: Client, redis_url: str) -> None:
    await client.enqueue_many([Task("print") for _ in range(20)])
    async with worker(APP, "-p", "2", "--burst", "-u", redis_url) as process:
        assert await process.wait_for_end() == 0
    # Two processes share the pipe, so two texts may meet on one line.
    assert "".join(process.lines).count("ran") == 20


async def test_children_end_when_their_supervisor_is_killed(redis_url: str, r: Redis) -> None:
    async with worker(APP, "-p", "2", "-u", redis_url) as process:
        await wait_until(lambda: _count(r, 2))
        process.send(signal.SIGKILL)
        await wait_until(lambda: _count(r, 0))


async def test_sigtstp_reaches_the_children(redis_url: str, r: Redis) -> None:
    async with worker(APP, "-p", "1", "-u", redis_url) as process:
        await wait_until(lambda: _count(r, 1))
        process.send(signal.SIGTSTP)
        await process.wait_for_line("taking no more tasks")


async def test_a_changed_source_file_restarts_the_worker(
    client: Client, redis_url: str, tmp_path: Path
) -> None:
    source = tmp_path / "changing.py"
    source.write_text(_source(redis_url, "first"))
    async with worker("changing:app", "--reload", cwd=tmp_path) as process:
        await client.enqueue(Task("t"))
        await process.wait_for_line("the first")
        source.write_text(_source(redis_url, "second version"))
        await process.wait_for_line("reloading")
        await process.wait_for_line("has stopped")  # or the first version could take this one
        await client.enqueue(Task("t"))
        await process.wait_for_line("the second version")


def _source(redis_url: str, word: str) -> str:
    return f"""
from pyasynq import App
app = App({redis_url!r})

@app.task("t")
async def say() -> None:
    print("the {word}", flush=True)
"""


def _answer(address: str, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://{address}{path}", timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def _is_healthy(address: str) -> bool:
    try:
        return _answer(address, "/healthz")[0] == 200
    except OSError:
        return False


def _is_unwell(address: str) -> bool:
    return _answer(address, "/healthz")[0] == 503


def _shows(address: str, text: str) -> bool:
    return text in _answer(address, "/metrics")[1]


def _answers(address: str, path: str, status: int) -> bool:
    try:
        return _answer(address, path)[0] == status
    except OSError:
        return False


async def _note_until_replaced(
    seen: set[int], address: str, r: Redis, before: Collection[int]
) -> bool:
    status, _ = await anyio.to_thread.run_sync(_answer, address, "/readyz")
    seen.add(status)
    return await _are_others(r, before)


async def _replace_after_a_task(
    client: Client, r: Redis, process: WorkerProcess, address: str, number: int
) -> None:
    [before] = await servers(r)
    await client.enqueue(Task("print"))
    total = f'pyasynq_tasks_total{{outcome="succeeded",queue="default",type="print"}} {number}.0'
    await wait_until(lambda: anyio.to_thread.run_sync(_shows, address, total))
    process.send(signal.SIGHUP)
    await wait_until(lambda: not Path(f"/proc/{before.pid}").exists())


async def _count(r: Redis, count: int) -> bool:
    return len(await servers(r)) == count


async def _are_others(r: Redis, before: Collection[int]) -> bool:
    pids = {server.pid for server in await servers(r)}
    return len(pids) == len(before) and pids.isdisjoint(before)


async def _is_there(r: Redis, *, not_id: str) -> bool:
    return any(server.server_id != not_id for server in await servers(r))


async def test_a_broken_module_is_shown_once_and_waits_for_a_change(
    redis_url: str, tmp_path: Path
) -> None:
    source = tmp_path / "mending.py"
    source.write_text("1 / 0\n")
    async with worker("mending:app", "--reload", cwd=tmp_path) as process:
        await process.wait_for_line("waiting for a change")
        source.write_text(_source(redis_url, "mended"))
        await process.wait_for_line("runs mending:app")
    assert "\n".join(process.lines).count("ZeroDivisionError") == 1


async def test_a_health_address_that_is_taken_is_told(redis_url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        async with worker(APP, "-u", redis_url, "--health-addr", address) as process:
            assert await process.wait_for_end() == 2
    assert process.lines[-1].endswith(f"cannot listen at {address}: Address already in use")


async def test_a_burst_without_redis_ends() -> None:
    address = f"127.0.0.1:{free_port()}"
    async with worker(APP, "-u", address, "--burst") as process:
        assert await process.wait_for_end() == 4
    assert process.lines[-1].startswith(f"pyasynq: Redis: Error 111 connecting to {address}")


async def test_a_worker_that_waits_for_redis_says_what_is_wrong(redis_url: str) -> None:
    async with worker(APP, "-u", f"{redis_url}?db=99") as process:
        line = await process.wait_for_line("trying again until it works")
    assert "WARNING Redis: DB index is out of range; trying again" in line
