"""Infos are frozen values; a missing value is None."""

import pickle

import pytest
from msgspec.structs import asdict

from pyasynq import TaskInfo, TaskState
from pyasynq.core.info import info_of_message
from pyasynq.core.message import TaskMessage

INFO = TaskInfo(id="1", queue="q", type="t", payload=b"", state=TaskState.PENDING, max_retry=25)


def test_info_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        INFO.id = "2"  # type: ignore[misc]


def test_a_missing_value_is_none() -> None:
    absent = {name for name, value in asdict(INFO).items() if value is None}
    assert absent == {
        "last_error",
        "last_failed_at",
        "timeout",
        "deadline",
        "group",
        "next_process_at",
        "retention",
        "completed_at",
        "result",
    }


def test_a_state_reads_as_its_word() -> None:
    assert f"{INFO.state}" == "pending"


def test_infos_of_one_task_are_equal() -> None:
    assert TaskInfo(**asdict(INFO)) == INFO


def test_an_info_travels_to_other_processes() -> None:
    assert pickle.loads(pickle.dumps(INFO)) == INFO


def test_an_info_names_its_fields() -> None:
    assert repr(INFO).startswith("TaskInfo(id='1', queue='q', type='t', payload=b'', headers={}, ")


def test_a_bare_message_describes_a_task_with_little() -> None:
    message = TaskMessage(id="1", queue="q", type="t", retry=25)
    assert info_of_message(message, state=TaskState.PENDING) == INFO


def test_a_message_with_times_that_no_calendar_knows_is_described() -> None:
    message = TaskMessage(id="1", queue="q", type="t", deadline=2**62, timeout=2**62)
    info = info_of_message(message, state=TaskState.PENDING)
    assert info.deadline is not None
    assert info.deadline.year == 9999
