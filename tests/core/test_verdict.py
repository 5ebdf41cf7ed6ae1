"""The outcome of a run decides the verdict; no task is retried past its limit."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyasynq.core.control import (
    HandlerNotFoundError,
    LeaseExpiredError,
    PayloadError,
    RetryIn,
    RevokeTask,
    SkipRetry,
    Snooze,
    TaskTimeoutError,
)
from pyasynq.core.message import TaskMessage
from pyasynq.core.verdict import (
    DONE,
    Archive,
    Complete,
    Done,
    Retry,
    RetryPolicy,
    Verdict,
    decide,
    decide_lost,
    decide_unknown,
    error_text,
    is_suspect,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
NOW_S = 1_767_225_600
MINUTE = timedelta(minutes=1)

FAILS = RetryPolicy(
    delay=lambda _retried, _error, _message: MINUTE, is_failure=lambda _error: True, text=error_text
)
NEVER_FAILS = RetryPolicy(
    delay=lambda _retried, _error, _message: MINUTE,
    is_failure=lambda _error: False,
    text=error_text,
)

counts = st.integers(0, 2**31 - 1)
errors = st.sampled_from(
    [
        None,
        ValueError("no"),
        SkipRetry("no"),
        RevokeTask("no"),
        RetryIn(MINUTE),
        Snooze(MINUTE),
        PayloadError("t", "no"),
        LeaseExpiredError(),
        TaskTimeoutError(),
        HandlerNotFoundError("t"),
    ]
)
messages = st.builds(TaskMessage, id=st.just("1"), retry=counts, retried=counts)
policies = st.sampled_from([FAILS, NEVER_FAILS])


def raised_from(error: Exception, cause: Exception | None) -> Exception:
    """Return *error* as ``raise error from cause`` leaves it."""
    error.__cause__ = cause
    return error


def raised_during(error: Exception, other: Exception) -> Exception:
    """Return *error* as raising it while *other* is handled leaves it."""
    error.__cause__ = None
    error.__suppress_context__ = False
    error.__context__ = other
    return error


def a_message(*, retry: int = 3, retried: int = 0, retention: int = 0) -> TaskMessage:
    return TaskMessage(id="1", queue="q", retry=retry, retried=retried, retention=retention)


def failed_message(error: str, *, retry: int = 3, retried: int = 0) -> TaskMessage:
    return TaskMessage(
        id="1", queue="q", retry=retry, retried=retried, error_msg=error, last_failed_at=NOW_S
    )


def verdict(message: TaskMessage, error: Exception | None, policy: RetryPolicy = FAILS) -> Verdict:
    return decide(message, error, now=NOW, policy=policy)


# -- success ---------------------------------------------------------------------------------------


def test_success_deletes_the_task() -> None:
    assert verdict(a_message(), None) == Done()


def test_success_keeps_a_task_with_retention() -> None:
    kept = TaskMessage(id="1", queue="q", retry=3, retention=60, completed_at=NOW_S)
    assert verdict(a_message(retention=60), None) == Complete(message=kept, expires_at=NOW + MINUTE)


def test_success_keeps_a_task_with_a_retention_beyond_the_calendar() -> None:
    assert isinstance(verdict(a_message(retention=2**62), None), Complete)


def test_success_deletes_a_task_that_a_peer_gave_a_negative_retention() -> None:
    assert verdict(a_message(retention=-1), None) == Done()


# -- failure ---------------------------------------------------------------------------------------


def test_a_failure_spends_a_retry_and_waits_for_the_delay() -> None:
    assert verdict(a_message(), ValueError("no")) == Retry(
        message=failed_message("ValueError: no", retried=1), at=NOW + MINUTE, failed=True
    )


def test_an_error_that_is_not_a_failure_spends_no_retry() -> None:
    assert verdict(a_message(), ValueError("no"), NEVER_FAILS) == Retry(
        message=failed_message("ValueError: no"), at=NOW + MINUTE, failed=False
    )


def test_the_delay_is_asked_with_the_retries_already_spent() -> None:
    policy = RetryPolicy(
        delay=lambda retried, _error, message: timedelta(seconds=100 * retried + message.retry),
        is_failure=lambda _error: True,
        text=error_text,
    )
    got = verdict(a_message(retry=3, retried=2), ValueError(), policy)
    assert isinstance(got, Retry)
    assert got.at == NOW + timedelta(seconds=203)


def test_the_last_failure_archives_and_counts_no_further_retry() -> None:
    assert verdict(a_message(retry=3, retried=3), ValueError("no")) == Archive(
        message=failed_message("ValueError: no", retried=3)
    )


def test_an_error_that_is_not_a_failure_archives_an_exhausted_task_too() -> None:
    assert isinstance(verdict(a_message(retry=0), ValueError("no"), NEVER_FAILS), Archive)


def test_a_task_without_retries_is_archived_at_its_first_failure() -> None:
    assert isinstance(verdict(a_message(retry=0), ValueError()), Archive)


@pytest.mark.parametrize("error", [SkipRetry("bad"), PayloadError("t", "bad")])
def test_an_error_that_no_retry_can_help_archives_at_once(error: Exception) -> None:
    message = a_message(retry=25)
    message.type = "t"
    got = verdict(message, error)
    assert isinstance(got, Archive)
    assert got.message is not None
    assert (got.message.error_msg, got.message.retried) == (str(error), 0)


def test_a_payload_that_does_not_fit_a_task_which_the_handler_makes_is_retried() -> None:
    assert isinstance(verdict(a_message(), PayloadError("another", "bad")), Retry)


# -- groups ----------------------------------------------------------------------------------------

HOURS = timedelta(hours=3)


def group(*errors: Exception, message: str = "unhandled errors in a TaskGroup") -> Exception:
    return ExceptionGroup(message, errors)


@pytest.mark.parametrize(
    ("errors", "expected"),
    [
        ([RevokeTask("r")], Done),
        ([SkipRetry("s")], Archive),
        ([group(SkipRetry("s"))], Archive),
        ([ValueError("v"), SkipRetry("s")], Archive),
        ([SkipRetry("s"), RevokeTask("r")], Done),
        ([Snooze(MINUTE), SkipRetry("s")], Archive),
        ([RetryIn(MINUTE), SkipRetry("s")], Archive),
        ([PayloadError("another", "bad"), SkipRetry("s")], Archive),
        ([PayloadError("another", "bad"), ValueError("v")], Retry),
        ([ValueError("v"), KeyError("k")], Retry),
    ],
    ids=repr,
)
def test_the_strongest_error_of_a_group_decides(errors: list[Exception], expected: type) -> None:
    assert isinstance(verdict(a_message(), group(*errors)), expected)


def test_a_snooze_beside_a_failure_spends_a_retry() -> None:
    got = verdict(a_message(), group(Snooze(HOURS), ValueError("v")))
    assert isinstance(got, Retry)
    assert (got.failed, got.message.retried, got.at) == (True, 1, NOW + MINUTE)


def test_a_group_of_snoozes_waits_for_the_longest_and_spends_no_retry() -> None:
    got = verdict(a_message(), group(Snooze(MINUTE), group(Snooze(HOURS)), Snooze(MINUTE)))
    assert got == Retry(message=a_message(), at=NOW + HOURS, failed=False)


def test_a_retry_in_of_a_group_chooses_the_delay_the_longest_of_several() -> None:
    got = verdict(a_message(), group(RetryIn(MINUTE), ValueError("v"), RetryIn(HOURS)))
    assert isinstance(got, Retry)
    assert (got.failed, got.at) == (True, NOW + HOURS)


def by_kind(_retried: int, error: Exception, _message: TaskMessage) -> timedelta:
    return HOURS if isinstance(error, KeyError) else MINUTE


POLITE = RetryPolicy(
    delay=by_kind, is_failure=lambda error: not isinstance(error, KeyError), text=error_text
)


def test_a_group_is_no_failure_if_none_of_its_errors_is_one() -> None:
    got = verdict(a_message(), group(KeyError(1), Snooze(MINUTE), KeyError(2)), POLITE)
    assert isinstance(got, Retry)
    assert (got.failed, got.message.retried) == (False, 0)


def test_a_group_is_a_failure_if_one_of_its_errors_is_one() -> None:
    got = verdict(a_message(), group(KeyError(1), ValueError("v")), POLITE)
    assert isinstance(got, Retry)
    assert got.failed


def test_the_delay_is_the_longest_that_an_error_of_a_group_asks_for() -> None:
    got = verdict(a_message(), group(ValueError("v"), KeyError(1), ValueError("w")), POLITE)
    assert isinstance(got, Retry)
    assert got.at == NOW + HOURS


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (group(SkipRetry("550 no such address")), "550 no such address"),
        (group(ValueError("v"), KeyError("k")), "2 errors: (ValueError: v), (KeyError: 'k')"),
        (group(group(ValueError("v")), group(KeyError())), "2 errors: (ValueError: v), (KeyError)"),
        (group(KeyError(), SkipRetry("no; it")), "2 errors: (KeyError), (SkipRetry: no; it)"),
        (group(*[ValueError("v")] * 50), "50 errors: (ValueError: v)"),
        (group(ValueError("v"), message="import of shop 7"), "import of shop 7: ValueError: v"),
    ],
)  # fmt: skip
def test_the_text_of_a_group_names_what_is_in_it(error: Exception, text: str) -> None:
    assert error_text(error) == text


def test_the_text_of_a_large_group_has_an_end() -> None:
    text = error_text(group(*(ValueError("x" * 10_000 + str(n)) for n in range(100))))
    assert text.endswith("), and 90 more")
    assert len(text) < 6_000


# -- crashes ---------------------------------------------------------------------------------------

LOST = "asynq: task lease expired"


def decide_after_crash(message: TaskMessage, crashes: int, *, most: int = 3) -> Verdict:
    return decide_lost(message, crashes=crashes, most=most, now=NOW, policy=FAILS)


def test_after_a_first_crash_a_task_runs_again_at_once_and_has_spent_a_retry() -> None:
    assert decide_after_crash(a_message(), 1) == Retry(
        message=failed_message(LOST, retried=1), at=NOW, failed=True, crashes=1
    )


def test_after_a_second_crash_in_a_row_a_task_waits_for_its_delay() -> None:
    assert decide_after_crash(a_message(retried=1), 2) == Retry(
        message=failed_message(LOST, retried=2), at=NOW + MINUTE, failed=True, crashes=2
    )


def test_a_task_that_crashed_as_often_as_it_may_is_given_up_and_says_so() -> None:
    assert decide_after_crash(a_message(retry=25, retried=2), 3) == Archive(
        message=failed_message("crashed its worker 3 times in a row", retry=25, retried=2)
    )


def test_a_crashed_task_without_retries_left_is_given_up_as_in_asynq() -> None:
    assert decide_after_crash(a_message(retry=1, retried=1), 2) == Archive(
        message=failed_message(LOST, retry=1, retried=1)
    )


@pytest.mark.parametrize(("retried", "crashes"), [(2, 2), (3, 1)])
def test_a_crashed_task_that_the_next_crash_gives_up_is_a_suspect(
    retried: int, crashes: int
) -> None:
    assert is_suspect(a_message(retry=3, retried=retried), crashes=crashes, most=3)


@pytest.mark.parametrize(("retried", "crashes"), [(0, 0), (3, 0), (1, 1)])
def test_another_task_is_no_suspect(retried: int, crashes: int) -> None:
    assert not is_suspect(a_message(retry=3, retried=retried), crashes=crashes, most=3)


# -- types without a handler -----------------------------------------------------------------------

NOT_FOUND = HandlerNotFoundError("t")
UNKNOWN = 'handler not found for task "t"'


def decide_without_handler(message: TaskMessage, unknown_s: int, *, jitter: float = 0) -> Verdict:
    return decide_unknown(message, NOT_FOUND, unknown_s, crashes=0, now=NOW, jitter=jitter)


def test_a_task_without_handler_waits_and_spends_no_retry() -> None:
    assert decide_without_handler(a_message(retry=0), 0) == Retry(
        message=failed_message(UNKNOWN, retry=0),
        at=NOW + timedelta(seconds=5),
        failed=False,
        unknown=True,
    )


@pytest.mark.parametrize(("unknown_s", "wait_s"), [(4, 5), (7, 7), (200, 200), (301, 300)])
def test_a_task_without_handler_waits_as_long_again_but_five_minutes_at_most(
    unknown_s: int, wait_s: int
) -> None:
    got = decide_without_handler(a_message(), unknown_s)
    assert isinstance(got, Retry)
    assert got.at == NOW + timedelta(seconds=wait_s)


def test_tasks_without_handler_do_not_all_wait_alike() -> None:
    assert decide_without_handler(a_message(), 100, jitter=0) != decide_without_handler(
        a_message(), 100, jitter=1
    )


def test_a_task_that_had_no_handler_for_a_day_is_archived() -> None:
    assert decide_without_handler(a_message(), 86_400) == Archive(message=failed_message(UNKNOWN))


def test_a_task_without_handler_waits_no_longer_than_its_deadline() -> None:
    message = a_message()
    message.deadline = NOW_S + 3
    got = decide_without_handler(message, 100)
    assert isinstance(got, Retry)
    assert got.at == NOW + timedelta(seconds=3)


def test_a_task_that_had_no_handler_until_its_deadline_is_archived() -> None:
    message = a_message()
    message.deadline = NOW_S
    assert isinstance(decide_without_handler(message, 100), Archive)


# -- signals ---------------------------------------------------------------------------------------


def test_a_revoked_task_is_deleted_even_with_retention() -> None:
    assert verdict(a_message(retention=60), RevokeTask()) == DONE


def test_retry_in_chooses_the_delay() -> None:
    got = verdict(a_message(), RetryIn(timedelta(hours=1), "rate limit"))
    assert got == Retry(
        message=failed_message("rate limit", retried=1), at=NOW + timedelta(hours=1), failed=True
    )


@pytest.mark.parametrize(
    ("signal", "text"),
    [
        (RetryIn(MINUTE), "retry in 0:01:00 after KeyError: 'k'"),
        (SkipRetry(), "SkipRetry after KeyError: 'k'"),
        (RetryIn(MINUTE, "busy"), "busy"),
        (SkipRetry("gone"), "gone"),
    ],
    ids=repr,
)
def test_a_signal_without_a_reason_names_its_cause(signal: Exception, text: str) -> None:
    assert error_text(raised_from(signal, KeyError("k"))) == text
    assert error_text(raised_during(signal, KeyError("k"))) == text


def test_a_signal_raised_from_none_names_no_cause() -> None:
    assert error_text(raised_from(raised_during(RetryIn(MINUTE), KeyError("k")), None)) == (
        "retry in 0:01:00"
    )


def test_retry_in_does_not_go_past_the_limit() -> None:
    assert isinstance(verdict(a_message(retry=0), RetryIn(MINUTE)), Archive)


def test_a_snooze_changes_nothing_but_the_time() -> None:
    message = a_message(retry=0)
    assert verdict(message, Snooze(MINUTE)) == Retry(message=message, at=NOW + MINUTE, failed=False)


@pytest.mark.parametrize("signal", [RetryIn(timedelta.max), Snooze(timedelta.max)], ids=repr)
def test_a_delay_beyond_the_calendar_still_settles(signal: Exception) -> None:
    assert isinstance(verdict(a_message(), signal), Retry)


# -- always ----------------------------------------------------------------------------------------


@given(messages, errors, policies)
def test_a_task_is_never_retried_past_its_limit(
    message: TaskMessage, error: Exception | None, policy: RetryPolicy
) -> None:
    got = verdict(message, error, policy)
    assert not isinstance(got, Retry) or got.message.retried <= max(message.retry, message.retried)


@given(messages, policies)
def test_a_failed_task_is_retried_exactly_if_retries_are_left(
    message: TaskMessage, policy: RetryPolicy
) -> None:
    got = verdict(message, ValueError(), policy)
    assert isinstance(got, Retry) == (message.retried < message.retry)


@given(messages, errors, policies)
def test_a_retry_is_spent_exactly_if_it_counts_as_a_failure(
    message: TaskMessage, error: Exception | None, policy: RetryPolicy
) -> None:
    got = verdict(message, error, policy)
    assert not isinstance(got, Retry) or got.message.retried == message.retried + got.failed


@given(messages, errors, policies)
def test_nothing_runs_again_early(
    message: TaskMessage, error: Exception | None, policy: RetryPolicy
) -> None:
    got = verdict(message, error, policy)
    assert not isinstance(got, Retry) or got.at == NOW + MINUTE


@given(messages, errors, policies)
def test_settling_leaves_the_message_it_was_given_alone(
    message: TaskMessage, error: Exception | None, policy: RetryPolicy
) -> None:
    before = message.SerializeToString(deterministic=True)
    verdict(message, error, policy)
    assert message.SerializeToString(deterministic=True) == before


# -- the text --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("no"), "ValueError: no"),
        (ValueError(), "ValueError"),
        (KeyError("id"), "KeyError: 'id'"),
        (SkipRetry("bad"), "bad"),
        (SkipRetry(), "SkipRetry"),
        (TaskTimeoutError(), "context deadline exceeded"),
        (LeaseExpiredError(), "asynq: task lease expired"),
        (HandlerNotFoundError("t"), 'handler not found for task "t"'),
    ],
)
def test_a_text_names_the_type_of_errors_that_are_not_ours(error: Exception, text: str) -> None:
    assert error_text(error) == text


def test_a_text_that_utf8_cannot_carry_still_settles() -> None:
    got = verdict(a_message(), ValueError("a\ud800"))
    assert isinstance(got, Retry)
    assert got.message.error_msg == "ValueError: a?"


class _Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError


def test_an_error_that_cannot_say_what_it_is_still_settles() -> None:
    assert isinstance(verdict(a_message(), _Mute()), Retry)
