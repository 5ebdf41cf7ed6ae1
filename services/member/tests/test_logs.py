"""Logs show events, and no secret."""

import json
import logging
from collections.abc import Generator

import pytest
import structlog

from member import audit
from member.logs import set_up_logs


@pytest.fixture(autouse=True)
def logging_as_before() -> Generator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    for name in ("uvicorn", "uvicorn.error"):  # a server in another test may have set them
        logging.getLogger(name).setLevel(logging.NOTSET)
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name in ("member", "member.audit", "pyasynq", "alembic"):
        logging.getLogger(name).setLevel(logging.NOTSET)
    structlog.reset_defaults()


def test_a_line_for_machines_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logs(json=True)
    structlog.get_logger("member").info("enqueued task", queue="critical", max_retry=10)
    line = json.loads(capsys.readouterr().err)
    assert {"event": "enqueued task", "queue": "critical", "max_retry": 10}.items() <= line.items()
    assert line["timestamp"].endswith("Z")


def test_the_service_logs_more_at_level_debug(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logs(json=True, level="debug")
    structlog.get_logger("member").debug("a detail")
    assert json.loads(capsys.readouterr().err)["event"] == "a detail"


def test_other_packages_never_log_below_info(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logs(json=True, level="debug")
    logging.getLogger("aiosqlite").debug("INSERT … VALUES ('hunter2')")
    assert not capsys.readouterr().err


@pytest.mark.parametrize("logger", ["member", "pyasynq", "uvicorn.error"])
def test_a_higher_level_applies_to_all_loggers(
    capsys: pytest.CaptureFixture[str], logger: str
) -> None:
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


def test_lines_of_libraries_look_the_same(capsys: pytest.CaptureFixture[str]) -> None:
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


FORGED = "text\r\n2026-01-01T00:00:00Z [info     ] forged\x1b[2K\x85\u2028\u202e\ud800 end"


def lines_of(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [line for line in capsys.readouterr().err.split("\n") if line]


def test_nobody_forges_a_line_on_the_console(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logs(json=False)
    structlog.get_logger("member").info("refused", reason=FORGED, others=[FORGED])
    logging.getLogger("pyasynq").warning("refused: %s", FORGED)
    structlog.get_logger("member").error("failed", exc_info=ValueError(FORGED))
    lines = lines_of(capsys)
    assert all(line.isprintable() for line in lines)
    begun = [line for line in lines if not line.startswith("    ")]
    assert [line.partition("] ")[2][:7] for line in begun] == ["refused", "refused", "failed "]


def test_nobody_forges_a_line_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logs(json=True)
    structlog.get_logger("member").info("refused", reason=FORGED)
    (line,) = lines_of(capsys)
    assert line.isprintable()
    assert json.loads(line)["reason"] == FORGED


@pytest.mark.parametrize("level", ["warning", "critical"])
def test_the_audit_trail_is_written_whatever_the_level(
    capsys: pytest.CaptureFixture[str], level: str
) -> None:
    set_up_logs(json=True, level=level)
    structlog.get_logger(audit.LOGGER).info("DeleteMember")
    line = json.loads(capsys.readouterr().err)
    assert (line["logger"], line["event"]) == ("member.audit", "DeleteMember")
