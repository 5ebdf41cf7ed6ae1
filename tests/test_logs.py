"""Every log record of a handler can name its task."""

import asyncio
import logging
import logging.handlers
import queue
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyasynq import ActiveTask, App, Client, Scheduler, Server, Task
from pyasynq.logs import TaskFields, task_fields
from pyasynq.runtime.loggers import enable_loggers, get_logger
from tests.server.handlers import actors_of

log = logging.getLogger("shop")

SOURCES = sorted((Path(__file__).parents[1] / "src/pyasynq").rglob("*.py"))


class OddError(Exception):
    """An error whose text raises."""

    def __str__(self) -> str:
        """Fail."""
        raise ValueError


class Lines(logging.Handler):
    """A logging handler that keeps the formatted records."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.addFilter(TaskFields())
        form = "%(message)s|%(task_type)s|%(task_id)s|%(task_queue)s|%(task_try)s"
        self.setFormatter(logging.Formatter(form))

    def emit(self, record: logging.LogRecord) -> None:
        """Keep *record*."""
        self.lines.append(self.format(record))


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Iterator[list[str]]:
    """Yield the lines that are logged."""
    caplog.set_level(logging.INFO)
    handler = Lines()
    logging.root.addHandler(handler)
    yield handler.lines
    logging.root.removeHandler(handler)


async def run(redis_url: str, handler: object) -> None:
    """Run one task with *handler*."""
    async with Client(redis_url) as client:
        await client.enqueue(Task("mail"), task_id="id", queue="high", max_retry=0)
    await Server(redis_url, burst=True, queues={"high": 1}).run(handler)  # type: ignore[arg-type]


NAMED = "sent|mail|id|high|1"


async def test_a_line_of_a_handler_names_its_task(redis_url: str, lines: list[str]) -> None:
    async def handle(_task: ActiveTask) -> None:
        log.info("sent")

    await run(redis_url, handle)
    assert NAMED in lines


async def test_a_line_of_a_plain_handler_names_its_task(redis_url: str, lines: list[str]) -> None:
    await run(redis_url, lambda _task: log.info("sent"))
    assert NAMED in lines


async def test_a_line_of_what_a_handler_starts_names_its_task(
    redis_url: str, lines: list[str]
) -> None:
    async def handle(_task: ActiveTask) -> None:
        async def child() -> None:
            await asyncio.to_thread(log.info, "sent")

        async with asyncio.TaskGroup() as group:
            group.create_task(child())

    await run(redis_url, handle)
    assert NAMED in lines


async def test_a_line_of_ours_about_a_task_names_it(redis_url: str, lines: list[str]) -> None:
    def fail(_task: ActiveTask) -> None:
        raise ValueError

    await run(redis_url, fail)
    [line] = [line for line in lines if "archived" in line]
    assert "; archived|mail|id|high|1\n" in line


async def test_a_typed_task_is_named_as_well(redis_url: str, lines: list[str]) -> None:
    app = App(redis_url, burst=True)

    @app.task("mail")
    def mail() -> None:
        log.info("sent")

    async with app:
        await mail.options(task_id="id").enqueue()
    await app.server().run()
    assert "sent|mail|id|default|1" in lines


def test_a_line_from_elsewhere_has_empty_fields(lines: list[str]) -> None:
    log.info("sent")
    assert lines == ["sent||||"]
    assert task_fields() == {}


async def test_a_listener_in_another_thread_does_not_lose_the_names(
    redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    shown, records = Lines(), queue.SimpleQueue[logging.LogRecord]()
    sender = logging.handlers.QueueHandler(records)
    sender.addFilter(TaskFields())
    listener = logging.handlers.QueueListener(records, shown)
    log.addHandler(sender)
    listener.start()
    await run(redis_url, lambda _task: log.info("sent"))
    listener.stop()
    log.removeHandler(sender)
    assert shown.lines == [NAMED]


async def test_a_configuration_before_the_start_does_not_silence_a_server(
    redis_url: str, lines: list[str]
) -> None:
    logging.getLogger("pyasynq.server").disabled = True
    await run(redis_url, lambda _task: None)
    assert any(line.startswith("server ") for line in lines)


async def test_a_configuration_in_a_task_does_not_silence_its_failure(
    redis_url: str, lines: list[str]
) -> None:
    def migrate(_task: ActiveTask) -> None:
        logging.getLogger("pyasynq.server").disabled = True
        raise ValueError("no such table")

    await run(redis_url, migrate)
    assert any("no such table; archived" in line for line in lines)


async def test_a_configuration_elsewhere_silences_a_server_until_its_next_beat(
    redis_url: str, lines: list[str]
) -> None:
    logger = logging.getLogger("pyasynq.actor")
    server = Server(redis_url)
    async with server.running(lambda _task: None):
        logger.disabled = True
        await actors_of(server).heartbeater.step()
        assert not logger.disabled
    assert lines


async def test_a_configuration_before_the_start_does_not_silence_a_scheduler(
    redis_url: str,
) -> None:
    logger = logging.getLogger("pyasynq.scheduler")
    logger.disabled = True
    async with Scheduler(redis_url).running():
        assert not logger.disabled


def test_a_logger_of_another_library_stays_as_it_is() -> None:
    other = logging.getLogger("pyasynqlike")
    other.disabled = True
    enable_loggers()
    assert other.disabled


def test_a_line_of_ours_holds_nothing_that_a_file_cannot(lines: list[str]) -> None:
    error = ValueError("caf\udce9")
    get_logger("pyasynq.server").error("failed: %s", error, exc_info=error)
    assert lines == ["failed: caf\\udce9||||\nValueError: caf\\udce9"]


def test_the_arguments_of_a_record_are_kept(caplog: pytest.LogCaptureFixture) -> None:
    error = ValueError("caf\udce9")
    get_logger("pyasynq.server").error("%s failed", "café", exc_info=error)
    [record] = caplog.records
    assert record.args == ("café",)
    assert record.exc_info == (ValueError, error, None)


def test_an_error_that_cannot_be_shown_ends_no_actor_of_ours(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(logging.root, "handlers", [logging.NullHandler()])
    get_logger("pyasynq.server").error("failed: %s", OddError())


OTHERS_LOGGERS = {"loggers.py", "child.py", "process.py"}
"""Files that also look up loggers of users: those of records that a process of tasks has sent."""


def test_every_logger_of_ours_writes_so() -> None:
    assert [
        path.name
        for path in SOURCES
        if "logging.getLogger(" in path.read_text() and path.name not in OTHERS_LOGGERS
    ] == []
