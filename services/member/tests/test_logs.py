"""Logs tell what happens, and no secret."""

import json
import logging
from collections.abc import Generator

import pytest
import structlog

from member.logs import set_up_logs


@pytest.fixture(autouse=True)
def logging_as_before() -> Generator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name in ("member", "pyasynq", "alembic"):
        logging.getLogger(name).setLevel(logging.NOTSET)
    structlog.reset_defaults()


def test_a_line_for_machines_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logs(json=True)
    structlog.get_logger("member").info("enqueued task", queue="critical", max_retry=10)
    line = json.loads(capsys.readouterr().err)
    assert {"event": "enqueued task", "queue": "critical", "max_retry": 10}.items() <= line.items()


def test_the_service_tells_more_when_it_is_told_to(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logs(json=True, level="debug")
    structlog.get_logger("member").debug("a detail")
    assert json.loads(capsys.readouterr().err)["event"] == "a detail"


def test_other_packages_tell_no_more_then(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logs(json=True, level="debug")
    logging.getLogger("aiosqlite").debug("INSERT … VALUES ('hunter2')")
    assert not capsys.readouterr().err


@pytest.mark.parametrize("logger", ["member", "pyasynq", "uvicorn.error"])
def test_less_is_told_by_everybody(capsys: pytest.CaptureFixture[str], logger: str) -> None:
    set_up_logs(json=True, level="error")
    logging.getLogger(logger).warning("a warning")
    assert not capsys.readouterr().err


@pytest.mark.parametrize("as_json", [True, False], ids=["json", "console"])
def test_secrets_are_blanked(capsys: pytest.CaptureFixture[str], as_json: bool) -> None:  # noqa: FBT001
    set_up_logs(json=as_json)
    structlog.get_logger("member").info("sign-up", password="hunter2", token="T0K3N")
    said = capsys.readouterr().err
    assert "sign-up" in said
    assert "hunter2" not in said
    assert "T0K3N" not in said


def test_what_libraries_log_looks_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logs(json=True)
    logging.getLogger("pyasynq").warning("Redis is %s", "away")
    line = json.loads(capsys.readouterr().err)
    assert (line["event"], line["logger"], line["level"]) == ("Redis is away", "pyasynq", "warning")


@pytest.mark.parametrize("as_json", [True, False], ids=["json", "console"])
def test_a_trace_shows_no_values(capsys: pytest.CaptureFixture[str], as_json: bool) -> None:  # noqa: FBT001
    set_up_logs(json=as_json)
    password = "hunter" + "2"
    try:
        {}[len(password)]
    except KeyError:
        structlog.get_logger("member").exception("sign-up failed")
    said = capsys.readouterr().err
    assert "KeyError" in said
    assert "hunter2" not in said
