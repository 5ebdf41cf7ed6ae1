"""Errors that come from another process look as they did there."""

import pickle
import traceback

import pytest

from pyasynq import HandlerNotFoundError, NotPicklableError, PayloadError, RetryIn
from pyasynq.core.errors import OptionError
from pyasynq.runtime.remote_errors import pack_error, unpack_error


class WithArguments(Exception):
    """An error that pickle could not make again."""

    def __init__(self, number: int, *, name: str) -> None:
        self.number = number
        self.name = name
        super().__init__(f"{name} {number}")


class Unwilling(Exception):
    """An error with an attribute that cannot be pickled."""

    def __init__(self) -> None:
        self.lock = lambda: None
        super().__init__("unwilling")


def sent(error: BaseException) -> BaseException:
    """Return what another process gets of *error*."""
    return unpack_error(pickle.loads(pickle.dumps(pack_error(error))))


def caught(error: BaseException) -> BaseException:
    """Raise *error*, and return it with its traceback."""
    with pytest.raises(type(error)) as info:
        raise error
    return info.value


@pytest.mark.parametrize(
    "error",
    [
        ValueError("wrong", 7),
        WithArguments(7, name="seven"),
        PayloadError("mail", "no name"),
        HandlerNotFoundError("mail"),
        OptionError("queue", "", "a name"),
        FileNotFoundError(2, "no such file", "/nowhere"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid"),
        SystemExit(3),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_keeps_its_class_text_and_attributes(error: BaseException) -> None:
    back = sent(caught(error))
    assert type(back) is type(error)
    assert (str(back), back.args, vars(back)) == (str(error), error.args, vars(error))


def test_a_signal_keeps_its_delay() -> None:
    from datetime import timedelta

    back = sent(caught(RetryIn(timedelta(hours=2))))
    assert isinstance(back, RetryIn)
    assert back.delay == timedelta(hours=2)


def test_the_exit_code_of_exit_is_kept() -> None:
    back = sent(SystemExit(3))
    assert isinstance(back, SystemExit)
    assert back.code == 3


def inner() -> None:
    """Fail."""
    msg = "inside"
    raise KeyError(msg)


def outer() -> None:
    """Fail from an error."""
    try:
        inner()
    except KeyError as error:
        msg = "outside"
        raise ValueError(msg) from error


def error_of_outer() -> ValueError:
    """Return what `outer` raises."""
    with pytest.raises(ValueError, match="outside") as info:
        outer()
    return info.value


def test_the_traceback_and_the_causes_are_printed_as_there() -> None:
    error = error_of_outer()
    there = [line for line in traceback.format_exception(error) if "^^^" not in line]
    here = traceback.format_exception(sent(error))
    assert [without_carets(part) for part in here] == [without_carets(part) for part in there]


def without_carets(text: str) -> list[str]:
    """Return the lines of *text* without those that mark a part of a line."""
    return [line for line in text.splitlines() if line.strip(" ^~")]


def test_the_context_is_left_out_where_it_was_left_out() -> None:
    error = caught(ValueError("new"))
    error.__context__ = KeyError("old")
    error.__suppress_context__ = True
    assert "old" not in "".join(traceback.format_exception(sent(error)))


def test_the_errors_of_a_group_keep_their_tracebacks() -> None:
    group = ExceptionGroup("several", [error_of_outer(), WithArguments(7, name="seven")])
    back = sent(caught(group))
    assert isinstance(back, ExceptionGroup)
    assert [type(it) for it in back.exceptions] == [ValueError, WithArguments]
    assert back.exceptions[0].__traceback__ is not None


def test_notes_are_kept() -> None:
    error = ValueError("wrong")
    error.add_note("look here")
    assert "look here" in "".join(traceback.format_exception(sent(error)))


def test_an_error_that_cannot_be_pickled_says_what_it_was() -> None:
    back = sent(caught(Unwilling()))
    assert isinstance(back, NotPicklableError)
    assert "Unwilling: unwilling' cannot be pickled" in str(back)
    assert back.__traceback__ is not None


def fail_after(steps: int) -> None:
    """Raise an error at the end of a chain of as many causes."""
    try:
        if steps:
            fail_after(steps - 1)
        else:
            inner()
    except Exception as error:
        msg = f"step {steps}"
        raise RuntimeError(msg) from error


def test_each_cause_of_a_chain_travels_once() -> None:
    with pytest.raises(RuntimeError) as info:
        fail_after(15)
    data = pickle.dumps(pack_error(info.value))
    assert data.count(b"step 7") == 1
    back = "".join(traceback.format_exception(sent(info.value)))
    assert back.count("RuntimeError: step") == 16


def test_errors_that_are_their_own_causes_have_an_end() -> None:
    first, second = ValueError("first"), ValueError("second")
    first.__cause__, second.__cause__ = second, first
    assert str(sent(first)) == "first"


def deep(depth: int) -> None:
    """Fail *depth* calls deeper."""
    if depth:
        deep(depth - 1)
    else:
        inner()


def test_of_a_long_traceback_the_first_and_last_lines_are_kept() -> None:
    with pytest.raises(KeyError) as info:
        deep(500)
    frames = [
        frame.f_code.co_name for frame, _ in traceback.walk_tb(sent(info.value).__traceback__)
    ]
    assert len(frames) == 100
    assert frames[-1] == "inner"


def test_a_long_chain_of_causes_travels_once() -> None:
    error = ValueError("first")
    for number in range(19):
        further = ValueError(number)
        further.__cause__ = further.__context__ = error  # as after ``raise … from``
        error = further
    assert len(pickle.dumps(pack_error(error))) < 10_000
    back = sent(error)
    assert back.__cause__ is back.__context__
