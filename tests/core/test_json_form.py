"""What users read has one JSON form."""

from datetime import UTC, date, datetime, timedelta, timezone

from pyasynq import TaskInfo, TaskState
from pyasynq.core.json_form import to_json_types

NOON = datetime(2040, 1, 2, 12, tzinfo=UTC)


def test_json_has_seconds_instants_and_both_forms_of_bytes() -> None:
    plain = to_json_types(
        {
            "for": timedelta(seconds=1.5),
            "at": NOON.astimezone(timezone(timedelta(hours=2))),
            "day": date(2040, 1, 2),
            "text": b"a",
            "bytes": b"\xff",
            "state": TaskState.RETRY,
        }
    )
    assert plain == {
        "for": 1.5,
        "at": "2040-01-02T12:00:00Z",
        "day": "2040-01-02",
        "text": "a",
        "text_base64": "YQ==",
        "bytes": None,
        "bytes_base64": "/w==",
        "state": "retry",
    }


def test_json_has_every_member_of_a_value() -> None:
    task = TaskInfo(id="1", queue="q", type="t", payload=b"", state=TaskState.PENDING, max_retry=25)
    plain = to_json_types([task])
    assert isinstance(plain, list)
    assert plain[0].keys() == {*TaskInfo.__struct_fields__, "payload_base64"}
