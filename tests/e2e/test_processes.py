"""Tasks that compute run in processes: these fail alone, and are killed when they must stop."""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from pyasynq import Client, Inspector, Task, TaskInfo, TaskState
from tests.cli.processes import ROOT, worker
from tests.e2e.apps import computing
from tests.support.waiting import wait_until

APP = "tests.e2e.apps.computing:app"
HOUR = timedelta(hours=1)


class Site:
    """A broker, the folder of the tasks, and the environment of workers."""

    def __init__(self, url: str, folder: Path, client: Client, inspector: Inspector) -> None:
        self.client = client
        self.inspector = inspector
        self.folder = folder
        self.environ: Mapping[str, str] = {
            "COMPUTING_BROKER": url,
            "COMPUTING_FOLDER": str(folder),
        }

    async def state(self, info: TaskInfo) -> TaskState:
        """Return the state of a task."""
        return (await self.inspector.task_info("default", info.id)).state

    async def last_error(self, info: TaskInfo) -> str | None:
        """Return the last error of a task."""
        return (await self.inspector.task_info("default", info.id)).last_error

    async def pids(self, name: str) -> list[int]:
        """Wait for the file *name* of a task; return the process ids in it."""
        await wait_until((self.folder / name).exists)
        return [int(pid) for pid in (self.folder / name).read_text().split()]


@pytest.fixture(params=["redis", "sqlite"])
async def site(
    request: pytest.FixtureRequest, redis_url: str, tmp_path: Path
) -> AsyncIterator[Site]:
    """Yield an empty broker."""
    url = redis_url if request.param == "redis" else f"sqlite:///{tmp_path}/tasks.db"
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(Client(url))
        inspector = await stack.enter_async_context(Inspector(url))
        yield Site(url, tmp_path, client, inspector)


def has_ended(pid: int) -> bool:
    """Return whether a process has ended; its parent may not have waited for it yet."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return True
    return state == "Z"


async def wait_for_ends(*pids: int) -> None:
    """Return when all processes have ended."""
    await wait_until(lambda: all(map(has_ended, pids)))


# -- stops -----------------------------------------------------------------------------------------


async def test_a_timeout_kills_the_process_and_its_programs_and_the_next_task_runs(
    site: Site,
) -> None:
    task = computing.hang.options(timeout=timedelta(seconds=2)).task("pids")
    hanging = await site.client.enqueue(task)
    async with worker(APP, "--task-processes", "1", environ=site.environ):
        child, program = await site.pids("pids")
        adding = await site.client.enqueue(computing.add.task(computing.Point(1, 2)))
        await wait_for_ends(child, program)
        await wait_until(lambda: is_in(site, adding, TaskState.COMPLETED))
        await wait_until(lambda: is_in(site, hanging, TaskState.RETRY))
    assert await site.last_error(hanging) == "context deadline exceeded"


async def test_a_cancelled_task_ends_with_its_process(site: Site) -> None:
    info = await site.client.enqueue(computing.hang.task("pids"))
    async with worker(APP, environ=site.environ):
        pids = await site.pids("pids")
        await site.inspector.cancel(info.id)
        await wait_for_ends(*pids)
        await wait_until(lambda: is_in(site, info, TaskState.RETRY))
    assert await site.last_error(info) == "context canceled"


async def test_a_shutdown_puts_the_task_back_and_leaves_no_process(site: Site) -> None:
    info = await site.client.enqueue(computing.hang.task("pids"))
    async with worker(APP, "--shutdown-timeout", "1s", environ=site.environ) as running:
        pids = await site.pids("pids")
        running.send(signal.SIGTERM)
        assert await running.wait_for_end() == 0
    await wait_for_ends(*pids)
    found = await site.inspector.task_info("default", info.id)
    assert (found.state, found.retried) == (TaskState.PENDING, 0)


async def test_signals_of_the_whole_group_do_not_interrupt_a_task(site: Site) -> None:
    info = await site.client.enqueue(computing.wait.task("pid"))
    async with worker(APP, "--shutdown-timeout", "1m", environ=site.environ) as running:
        (child,) = await site.pids("pid")
        running.send(signal.SIGTERM)
        os.kill(child, signal.SIGTERM)  # as systemd does
        os.kill(child, signal.SIGINT)
        await running.wait_for_line("shutting down")
        (site.folder / "go").touch()
        assert await running.wait_for_end() == 0
    assert await site.state(info) is TaskState.COMPLETED
    await wait_for_ends(child)


async def test_no_process_outlives_a_worker_that_is_killed(site: Site) -> None:
    await site.client.enqueue(computing.hang.task("pids"))
    await site.client.enqueue(computing.wait.task("waiting"))
    async with worker(APP, "--task-processes", "3", environ=site.environ) as running:
        hanging, program = await site.pids("pids")
        (waiting,) = await site.pids("waiting")
        running.send(signal.SIGKILL)
        await wait_for_ends(hanging, waiting)
        os.kill(program, signal.SIGKILL)  # nobody is left who could end it


async def test_a_lost_lease_kills_the_process(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMPUTING_FOLDER", str(site.folder))
    await site.client.enqueue(computing.hang.task("pids"))
    server = computing.app.server(site.environ["COMPUTING_BROKER"])
    async with server.running():
        pids = await site.pids("pids")
        assert server._actors is not None
        runner = server._actors.runner
        runner.stop_lost(list(runner.leases()))
        await wait_for_ends(*pids)


async def test_a_task_in_a_process_enqueues_at_the_broker_of_its_worker(site: Site) -> None:
    await site.client.enqueue(computing.enqueue_another.task())
    url = site.environ["COMPUTING_BROKER"]
    elsewhere = {**site.environ, "COMPUTING_BROKER": "redis://127.0.0.1:1"}
    async with worker(APP, "--burst", "-u", url, environ=elsewhere) as running:
        assert await running.wait_for_end() == 0
    (added,) = await site.inspector.list_tasks("default", "completed")
    assert (added.type, msgspec.json.decode(added.result or b"")["sum"]) == ("add", 7)


# -- processes of the command line -----------------------------------------------------------------


async def test_replaced_worker_processes_take_their_processes_with_them(site: Site) -> None:
    add = computing.add.task(computing.Point(1, 2))
    async with worker(APP, "-p", "1", "--max-tasks", "1", environ=site.environ):
        first = await pid_of(site, await site.client.enqueue(add))
        await wait_for_ends(first)
        assert await pid_of(site, await site.client.enqueue(add)) != first


RELOADED = """
import os
from datetime import timedelta
from pyasynq import App

app = App(os.environ["COMPUTING_BROKER"])

@app.task("value", executor="process", retention=timedelta(hours=1))
def value() -> int:
    return {}
"""


async def test_a_reload_runs_the_new_code_in_processes_too(site: Site, tmp_path: Path) -> None:
    file = tmp_path / "reloaded.py"
    file.write_text(RELOADED.format(1))
    async with worker("reloaded:app", "--reload", cwd=tmp_path, environ=site.environ) as running:
        await assert_result(site, b"1")
        file.write_text(RELOADED.format(22))
        await running.wait_for_line("starts: ", times=2)
        await assert_result(site, b"22")


async def assert_result(site: Site, value: bytes) -> None:
    """Assert the result of the task ``value``."""
    info = await site.client.enqueue(Task("value", b"{}", retention=HOUR))
    assert await site.client.result(info, timeout=timedelta(minutes=1)) == value


async def is_in(site: Site, info: TaskInfo, state: TaskState) -> bool:
    """Return whether a task is in *state*."""
    return await site.state(info) is state


async def pid_of(site: Site, info: TaskInfo) -> int:
    """Wait for the result of a task; return the process that made it."""
    result = await site.client.result(info, timeout=timedelta(minutes=1))
    return msgspec.json.decode(result, type=dict[str, int])["pid"]


# -- results, errors, logs -------------------------------------------------------------------------


class Ended:
    """A task that has run once, in a server in this process."""

    def __init__(self, info: TaskInfo) -> None:
        self.info = info

    @property
    def traceback(self) -> str:
        """The traceback of its try."""
        return self.info.attempts[-1].traceback


@pytest.fixture
def run_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> "Runner":
    """Return what runs one task in a process."""
    monkeypatch.setenv("COMPUTING_FOLDER", str(tmp_path))
    return Runner(f"sqlite:///{tmp_path}/tasks.db")


class Runner:
    """Runs tasks."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def __call__(self, task: Task) -> Ended:
        """Run one task."""
        async with Client(self._url) as client, Inspector(self._url) as inspector:
            info = await client.enqueue(task)
            server = computing.app.server(self._url, burst=True, task_processes=1)
            await server.run()
            return Ended(await inspector.task_info("default", info.id))


async def test_a_task_runs_in_another_process_and_returns_a_result(run_once: Runner) -> None:
    ended = await run_once(computing.add.task(computing.Point(1, 2)))
    result = msgspec.json.decode(ended.info.result or b"", type=dict[str, int])
    assert result["sum"] == 3
    assert result["pid"] != os.getpid()


async def test_an_error_comes_with_its_class_cause_and_traceback(
    run_once: Runner, caplog: pytest.LogCaptureFixture
) -> None:
    ended = await run_once(computing.fail.task())
    assert ended.info.last_error == "CodeError: code 7 at inside"
    assert "ZeroDivisionError: integer division or modulo by zero" in ended.traceback
    assert 'raise CodeError(7, where="inside") from error' in ended.traceback
    assert "pyasynq/" not in ended.traceback  # it begins in the user's code
    (record,) = [it for it in caplog.records if it.levelno == logging.ERROR]
    assert record.exc_info is not None
    error = record.exc_info[1]
    assert isinstance(error, computing.CodeError)
    assert (error.code, error.where) == (7, "inside")


@pytest.mark.parametrize(
    ("task", "text"),
    [
        (computing.exit_at_once.task(5), "ended with exit code 5 before the function returned"),
        (computing.exit_at_once.task(0), "ended with exit code 0 before the function returned"),
        (computing.kill_itself.task(), "was killed by SIGKILL (by the system, if it used too much"),
        (computing.crash.task(), "was killed by SIGSEGV"),
        (computing.die_with_a_child.task(), "ended with exit code 9"),
        (computing.call_exit.task(), "RuntimeError: the handler called exit(3)"),
        (computing.interrupt.task(), "RuntimeError: the function raised KeyboardInterrupt()"),
        (computing.fail_locally.task(), "LocalError: only here' cannot be pickled"),
        (computing.return_locally.task(), "the result, of type 'function', cannot be pickled"),
        (computing.again.task(), "retry in 2:00:00"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_failure_is_that_of_its_task_alone(task: Task, text: str, run_once: Runner) -> None:
    ended = await run_once(task)
    assert ended.info.state is TaskState.RETRY
    assert text in (ended.info.last_error or "")


async def test_a_signal_of_a_function_decides_about_the_task(run_once: Runner) -> None:
    ended = await run_once(computing.skip.task())
    assert (ended.info.state, ended.info.last_error) == (TaskState.ARCHIVED, "not worth it")


async def test_records_are_handled_by_the_loggers_of_the_worker(
    run_once: Runner, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    ended = await run_once(computing.write_logs.task())
    (record,) = [it for it in caplog.records if it.name == "computing"]
    assert record.getMessage() == "hello there"
    assert record.process == msgspec.json.decode(ended.info.result or b"")


async def test_records_name_the_task(site: Site) -> None:
    info = await site.client.enqueue(computing.log_from_a_thread.task())
    async with worker(APP, "--log-format", "json", "--burst", environ=site.environ) as running:
        line = await running.wait_for_line("from a thread")
        await running.wait_for_end()
    assert info.id in line, line


SCRIPT = """
import asyncio, sys
from datetime import timedelta
from pyasynq import App

{}

app = App(sys.argv[1], burst=True, retry_delay=lambda *_: timedelta(hours=1))

@app.task("double", executor="process", retention=timedelta(hours=1))
def double(number: int) -> int:
    return 2 * number

async def main():
    async with app:
        info = await double.enqueue(21)
        await app.server().run()
        async with app.inspector() as inspector:
            found = await inspector.task_info("default", info.id)
    print(found.result, found.last_error)

{}
"""

GUARDED = 'if __name__ == "__main__": asyncio.run(main())'


@pytest.mark.parametrize(
    ("first", "text"),
    [
        ("", "b'42' None"),
        (
            'if __name__ == "__mp_main__": sys.exit(3)',
            "None the process for the task ended with exit code 3 before it could run a function",
        ),
    ],
    ids=["that can be imported", "that cannot"],
)
async def test_a_process_imports_the_script_that_runs_the_server(
    first: str, text: str, tmp_path: Path
) -> None:
    output, _ = await run_script(tmp_path, SCRIPT.format(first, GUARDED))
    assert output.startswith(text)


async def test_a_script_without_a_guard_is_told_so_and_does_not_start_itself_again(
    tmp_path: Path,
) -> None:
    output, errors = await run_script(tmp_path, SCRIPT.format("", "asyncio.run(main())"))
    assert output.startswith("None the process for the task ended with exit code 1 before it could")
    assert 'put the line that starts it under `if __name__ == "__main__":`' in errors


async def run_script(folder: Path, text: str) -> tuple[str, str]:
    """Run a program with a queue of its own; return what it prints and its errors."""
    script = folder / "script.py"
    script.write_text(text)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(script), f"sqlite:///{folder}/tasks.db"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=ROOT,
    )
    output, errors = await asyncio.wait_for(process.communicate(), 60)
    return output.decode(), errors.decode()
