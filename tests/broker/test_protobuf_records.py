"""Infos of servers and schedulers become records as Go writes them, and are read back."""

from datetime import UTC, datetime, timedelta

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from pyasynq.broker.protobuf_records import (
    entry_infos,
    entry_record,
    event_info,
    event_record,
    server_info,
    server_record,
    to_datetime,
    to_timestamp,
    worker_info,
    worker_record,
)
from pyasynq.broker.records import read_records
from pyasynq.core.info import SchedulerEvent
from pyasynq.core.options import Options
from pyasynq.proto import asynq_pb2 as wire
from tests.support.factories import STARTED, a_server, a_worker, an_entry, entry_values

NOON_S = 1_767_268_800
ZERO_S = -62_135_596_800
"""Go's zero time, Unix seconds."""

ENTRY = an_entry(spec="@hourly", options=Options(max_retry=3), next=STARTED + timedelta(hours=1))

int32s = st.integers(-(2**31), 2**31 - 1)
int64s = st.integers(-(2**63), 2**63 - 1)


# -- instants --------------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [ZERO_S, -1, 0])
def test_a_timestamp_of_gos_zero_time_or_before_1970_is_never(seconds: int) -> None:
    assert to_datetime(Timestamp(seconds=seconds, nanos=5)) is None


def test_never_is_gos_zero_time() -> None:
    assert to_timestamp(None) == Timestamp(seconds=ZERO_S)


def test_a_timestamp_is_its_instant_to_the_microsecond() -> None:
    at = datetime(2026, 1, 1, 12, 0, 0, 123_456, tzinfo=UTC)
    assert to_datetime(to_timestamp(at)) == at
    assert to_datetime(Timestamp(seconds=NOON_S, nanos=123_456_999)) == at


@given(st.builds(Timestamp, seconds=int64s, nanos=int32s))
def test_every_timestamp_that_a_peer_can_write_is_read(stamp: Timestamp) -> None:
    at = to_datetime(stamp)
    assert at is None or 1969 <= at.year <= 9999


# -- servers ---------------------------------------------------------------------------------------


def test_a_server_and_what_it_runs_come_back() -> None:
    worker = a_worker()
    server = a_server("s", worker, active_worker_count=7)
    assert worker_info(worker_record(server, worker)) == worker
    assert server_info(server_record(server), [worker]) == server


def test_the_record_of_a_worker_names_its_server() -> None:
    record = worker_record(a_server("s", host="h", pid=7), a_worker())
    assert (record.host, record.pid, record.server_id) == ("h", 7, "s")


def test_a_server_that_never_started_has_gos_zero_time() -> None:
    server = a_server(started=None)
    assert server_record(server).start_time.seconds == ZERO_S
    assert server_info(server_record(server), []).started is None


@pytest.mark.parametrize(
    "process",
    [
        '{"tasks_per_s": 1, "loop_lag_s": 1e300}',
        '{"tasks_per_s": 1, "loop_lag_s": -1}',
        '{"tasks_per_s": -1, "loop_lag_s": 1}',
        '{"tasks_per_s": 1, "loop_lag_s": 1, "memory": -1}',
        '{"tasks_per_s": 1, "loop_lag_s": 1, "memory": 1e30}',
        "5",
    ],
)
def test_numbers_that_no_server_measures_are_dropped(process: str) -> None:
    server = a_server()
    details = f'{{"process": {process}}}'.encode()
    assert server_info(server_record(server), [], details) == server


# -- schedulers ------------------------------------------------------------------------------------


def test_an_entry_says_what_peers_read() -> None:
    record = entry_record(ENTRY)
    assert (record.id, record.spec) == ("e", "@hourly")
    assert (record.task_type, record.task_payload) == ("t", b"p")
    assert list(record.enqueue_options) == ["MaxRetry(3)"]
    assert record.next_enqueue_time.seconds == NOON_S + 3600
    assert record.prev_enqueue_time.seconds == ZERO_S


def test_an_entry_comes_back() -> None:
    assert entry_values(entry_infos([entry_record(ENTRY)])) == entry_values([ENTRY])


def test_an_entry_with_an_invalid_task_is_left_out() -> None:
    broken = wire.SchedulerEntry(id="x", task_type=" ")
    assert entry_values(entry_infos([broken, entry_record(ENTRY)])) == entry_values([ENTRY])


def test_an_event_comes_back() -> None:
    event = SchedulerEvent(task_id="1", enqueued_at=STARTED)
    assert event_info(event_record(event)) == event


def test_an_event_without_a_time_is_read_as_1970() -> None:
    assert event_info(wire.SchedulerEnqueueEvent(task_id="1")).enqueued_at.timestamp() == 0


# -- broken records --------------------------------------------------------------------------------


def test_missing_and_broken_records_are_dropped() -> None:
    sound = wire.ServerInfo(server_id="s")
    each = [None, b"", b"\xff", sound.SerializeToString()]
    assert read_records(wire.ServerInfo, each) == [sound]
