"""What is read is a value: frozen, and None where there is nothing."""

from dataclasses import FrozenInstanceError, asdict

import pytest

from pyasynq import TaskInfo, TaskState

INFO = TaskInfo(id="1", queue="q", type="t", payload=b"", state=TaskState.PENDING, max_retry=25)


def test_info_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        INFO.id = "2"  # type: ignore[misc]


def test_what_is_not_there_is_none() -> None:
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
