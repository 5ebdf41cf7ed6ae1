"""Worker, scheduler and relay log; the app's own configuration of logging wins."""

import json
import logging
import signal
from pathlib import Path

import pytest

from pyasynq import Client, Task
from pyasynq.cli import logs
from tests.cli.processes import WorkerProcess, command, worker

APP = """
import logging, logging.config, os, pyasynq
{configuration}
app = pyasynq.App("{url}")
log = logging.getLogger("shop")

@app.task("mail")
async def mail() -> None:
    log.warning("sent")

@app.task("fail")
def fail() -> None:
    raise ValueError("no such address")

@app.task("migrate")
def migrate() -> None:
    logging.config.fileConfig("{ini}")
    raise ValueError("no such table")
"""

INI = """
[loggers]
keys = root
[handlers]
keys = console
[formatters]
keys = generic
[logger_root]
level = WARNING
handlers = console
[handler_console]
class = StreamHandler
args = (sys.stderr,)
formatter = generic
[formatter_generic]
format = alembic %(message)s
"""

DICT_CONFIG = """
logging.config.dictConfig({
    "version": 1,
    "formatters": {"own": {"format": "own %(levelname)s %(message)s"}},
    "handlers": {"own": {"class": "logging.StreamHandler", "formatter": "own"}},
    "root": {"level": "INFO", "handlers": ["own"]},
})
"""
BASIC_CONFIG = 'logging.basicConfig(format="own %(levelname)s %(message)s")'


class Apps:
    """Writes an app and names it."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self._url = url

    def __call__(self, configuration: str) -> str:
        """Write an app that runs *configuration* when it is loaded; return its name."""
        ini = self.folder / "alembic.ini"
        ini.write_text(INI)
        text = APP.format(configuration=configuration, url=self._url, ini=ini)
        (self.folder / "shop.py").write_text(text)
        return "shop:app"


@pytest.fixture
async def app(tmp_path: Path, redis_url: str) -> Apps:
    """Return a function that writes an app; one task ``mail`` is pending."""
    async with Client(redis_url) as client:
        await client.enqueue(Task("mail"), task_id="1")
    return Apps(tmp_path, redis_url)


async def wait_for_lines(process: WorkerProcess) -> list[str]:
    """Wait for the end of *process*; return its lines."""
    assert await process.wait_for_end() == 0
    return process.lines


@pytest.mark.parametrize("configuration", [DICT_CONFIG, BASIC_CONFIG])
async def test_a_worker_speaks_as_its_app_configures_it_and_once(
    configuration: str, app: Apps
) -> None:
    async with worker(app(configuration), "--burst", cwd=app.folder) as process:
        lines = await wait_for_lines(process)
    assert lines.count("own WARNING sent") == 1
    assert [line for line in lines if line.endswith(" runs shop:app")] == [
        line for line in lines if line.startswith("own INFO pid ")
    ]
    assert [line for line in lines if not line.startswith("own ")] == []


@pytest.mark.parametrize(
    "configuration", ["", 'logging.warning("loading")', "logging.basicConfig()"]
)
async def test_a_worker_has_its_own_format_where_the_app_chooses_none(
    configuration: str, app: Apps
) -> None:
    async with worker(app(configuration), "--burst", cwd=app.folder) as process:
        lines = await wait_for_lines(process)
    [sent] = [line for line in lines if "sent" in line]
    assert sent.endswith(" WARNING sent [mail 1 in 'default', try 1]")
    assert any("runs shop:app" in line for line in lines)


async def test_lines_are_shown_while_the_app_is_loaded(app: Apps) -> None:
    name = app('logging.getLogger("shop").info("loading")')
    async with worker(name, "--burst", cwd=app.folder) as process:
        lines = await wait_for_lines(process)
    assert [line[12:] for line in lines if "loading" in line] == [" INFO    loading"]


def test_the_least_important_level_is_what_the_option_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    root = logging.RootLogger(logging.NOTSET)
    monkeypatch.setattr(logging, "root", root)
    monkeypatch.setattr(logging, "lastResort", None)
    logs.Logs(None, "warning").begin()
    assert root.level == logging.WARNING
    logs.Logs(None, None).begin()
    assert root.level == logging.INFO


async def test_json_lines_name_the_task(app: Apps) -> None:
    args = ("--burst", "--log-format", "json")
    async with worker(app(""), *args, cwd=app.folder) as process:
        entries = [json.loads(line) for line in await wait_for_lines(process)]
    [sent] = [entry for entry in entries if entry["message"] == "sent"]
    fields = {key: value for key, value in sent.items() if key.startswith("task")}
    assert fields == {
        "task_id": "1",
        "task_type": "mail",
        "task_queue": "default",
        "task_try": 1,
    }
    assert "task_id" not in entries[0]


async def test_a_configuration_in_a_task_leaves_a_worker_its_voice(
    app: Apps, redis_url: str
) -> None:
    async with Client(redis_url) as client:
        await client.enqueue(Task("migrate"), task_id="2")
    async with worker(app(""), "-c", "1", cwd=app.folder) as process:
        line = await process.wait_for_line("no such table")
        process.send(signal.SIGTERM)
        await process.wait_for_end()
    assert line.startswith("alembic task 2 (migrate in 'default')")


async def test_an_option_that_the_app_overrules_is_named(app: Apps) -> None:
    args = ("--burst", "--log-level", "debug", "--log-format", "json")
    async with worker(app(DICT_CONFIG), *args, cwd=app.folder) as process:
        lines = await wait_for_lines(process)
    text = "the app configures logging, without regard to --log-format json, --log-level debug"
    assert lines.count(f"own WARNING {text}") == 1


async def test_a_supervisor_speaks_and_its_children_begin_where_it_did(app: Apps) -> None:
    name = app(DICT_CONFIG + 'os.chdir("/")')
    async with worker(name, "--burst", "-p", "1", cwd=app.folder) as process:
        lines = await wait_for_lines(process)
    assert any(line.startswith("own INFO") and "supervises 1 worker" in line for line in lines)
    assert "own WARNING sent" in lines


async def test_lines_of_several_processes_name_theirs(app: Apps) -> None:
    args = ("--burst", "-p", "1")
    async with worker(app(""), *args, cwd=app.folder) as process:
        supervisor, child = [
            int(line.split()[1]) for line in await wait_for_lines(process) if " pid " in line
        ]
    assert supervisor == process.pid != child


async def test_json_lines_name_their_process(app: Apps) -> None:
    args = ("--burst", "--log-format", "json")
    async with worker(app(""), *args, cwd=app.folder) as process:
        assert {json.loads(line)["pid"] for line in await wait_for_lines(process)} == {process.pid}


async def test_a_scheduler_speaks_as_its_app_configures_it(app: Apps) -> None:
    async with command("scheduler", app(DICT_CONFIG), cwd=app.folder) as process:
        line = await process.wait_for_line("the scheduler starts")
        process.send(signal.SIGTERM)
        await process.wait_for_end()
    assert line.startswith("own INFO the scheduler starts")
