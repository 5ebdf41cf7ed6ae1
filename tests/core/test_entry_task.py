"""What an entry enqueues is stored with all options, and composed like the task of a tick."""

from datetime import UTC, datetime, timedelta

import pytest

from pyasynq.core.codec import HEADER, NO_CODECS, Codecs
from pyasynq.core.compose import Composer, Lock, Pending, Scheduled
from pyasynq.core.entry_task import EntryTask
from pyasynq.core.extension_errors import CodecError
from pyasynq.core.options import NO_OPTIONS, Options
from pyasynq.core.task import Task
from tests.support.codecs import Envelope, Zlib

NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
SECRET = b"card 1234"
CODECS = Codecs([Zlib(), Envelope()])


def stored(task: Task, options: Options = NO_OPTIONS, codecs: Codecs = NO_CODECS) -> EntryTask:
    return EntryTask.of("e", "low", task, options, codecs, ttl_s=60)


TASKS = [
    (Task("t", b"p"), NO_OPTIONS),
    (Task("t"), Options(unique=HOUR)),
    (Task("t", b""), Options(unique=HOUR)),
    (Task("t", b"p", headers={"a": "1", "b": "2"}), Options(headers={"b": "3"}, max_retry=3)),
    (Task("t", b"p"), Options(process_in=HOUR, retention=HOUR, deadline=NOW + HOUR)),
    (Task("t", b"p"), Options(group="g", timeout=HOUR, task_id="x")),
]


@pytest.mark.parametrize(("task", "options"), TASKS)
def test_the_plan_is_that_of_a_tick(task: Task, options: Options) -> None:
    of_tick = Composer().compose(task, options.merge(queue="low"), now=NOW, task_id="1")
    by_hand = stored(task, options).compose(NO_OPTIONS, NO_CODECS, now=NOW, task_id="1")
    assert by_hand.plan == of_tick.plan
    assert by_hand.info() == of_tick.info()


def test_given_options_win_and_headers_merge() -> None:
    entry = stored(Task("t", headers={"a": "1"}), Options(max_retry=3, timeout=HOUR))
    given = Options(queue="high", max_retry=4, headers={"b": "2"})
    message = entry.compose(given, NO_CODECS, now=NOW, task_id="1").plan.message
    assert (message.queue, message.retry, message.timeout) == ("high", 4, 3600)
    assert dict(message.headers) == {"a": "1", "b": "2"}


def test_a_given_time_replaces_that_of_the_entry() -> None:
    entry = stored(Task("t"), Options(process_in=HOUR))
    plan = entry.compose(Options(process_at=NOW), NO_CODECS, now=NOW, task_id="1").plan
    assert isinstance(plan, Pending)
    plan = entry.compose(NO_OPTIONS, NO_CODECS, now=NOW, task_id="1").plan
    assert isinstance(plan, Scheduled)


def test_a_stored_payload_is_sealed_and_its_task_is_sealed_anew() -> None:
    entry = stored(Task("t", SECRET, headers={"a": "1"}), Options(unique=HOUR), CODECS)
    assert SECRET not in (entry.payload or b"")
    plan = entry.compose(Options(queue="high"), CODECS, now=NOW, task_id="1").plan
    assert plan.message.headers[HEADER] == CODECS.names
    opened = CODECS.open_message(plan.message)
    assert (opened.payload, dict(opened.headers)) == (SECRET, {"a": "1"})
    plain = Composer().compose(Task("t", SECRET), Options(unique=HOUR), now=NOW, task_id="1")
    assert plan.lock == plain.plan.lock


def test_a_task_without_payload_is_sealed_as_at_a_tick() -> None:
    entry = stored(Task("t"), Options(unique=HOUR), CODECS)
    plan = entry.compose(NO_OPTIONS, CODECS, now=NOW, task_id="1").plan
    assert plan.lock == Lock(digest="", ttl_s=3600)
    assert CODECS.open_message(plan.message).payload == b""


def test_a_sealed_payload_needs_its_codecs() -> None:
    entry = stored(Task("t", SECRET), codecs=CODECS)
    with pytest.raises(CodecError, match="envelope"):
        entry.compose(NO_OPTIONS, NO_CODECS, now=NOW, task_id="1")


def test_a_plain_payload_stays_plain() -> None:
    plan = stored(Task("t", b"p")).compose(NO_OPTIONS, CODECS, now=NOW, task_id="1").plan
    assert (plan.message.payload, dict(plan.message.headers)) == (b"p", {})
