"""Turn what a handler raised into an error that a task can fail with."""

import asyncio
from datetime import timedelta
from typing import cast

from pyasynq.core.control import RetryIn, Snooze
from pyasynq.core.verdict import decisive_error, error_text, errors_in


def as_exception(error: BaseException) -> Exception:
    """Return *error*, which a handler raised, as an `Exception`."""
    if isinstance(error, Exception):
        return error
    if isinstance(error, BaseExceptionGroup):
        group = cast("BaseExceptionGroup[BaseException]", error)
        errors = [_as_exception(one) for one in errors_in(group)]
        return ExceptionGroup(group.message, errors).with_traceback(error.__traceback__)
    return _as_exception(error)


def _as_exception(error: BaseException) -> Exception:
    match error:
        case Exception():
            return error
        case SystemExit():
            failure = RuntimeError(f"the handler called exit({_repr(error.code)})")
        case asyncio.CancelledError():
            failure = RuntimeError("the handler raised CancelledError, though nobody stopped it")
        case _:
            failure = RuntimeError(f"the handler raised {_repr(error)}")
    return replace_error(error, failure)


def replace_error(error: BaseException, failure: Exception) -> Exception:
    """Return *failure* with the traceback, cause and context of *error*."""
    failure.__cause__ = error.__cause__
    failure.__context__ = error.__context__
    failure.__suppress_context__ = error.__suppress_context__
    return failure.with_traceback(error.__traceback__)


def _repr(value: object) -> str:
    try:
        return repr(value)
    except BaseException:  # noqa: BLE001 - the user's code, and exit() must not end the worker
        return f"a {type(value).__name__}"


def check_usable(type: str, error: Exception) -> Exception:
    """Return *error* if a verdict on a task of *type* can be made from it, else a RuntimeError.

    A user's class may lack what its base class has, the delay of a `RetryIn` for instance.
    """
    try:
        for one in errors_in(error):
            if isinstance(one, RetryIn | Snooze):
                _ = one.delay + timedelta(0)
        decisive_error(type, error)
    except Exception as broken:  # noqa: BLE001 - whatever the user's code raises
        failure = RuntimeError(
            f"the handler raised a {error.__class__.__name__} that cannot be used: "
            f"{error_text(broken)}"
        )
        failure.__cause__ = broken
        return failure
    return error


def is_cancellation(error: BaseException) -> bool:
    """Return whether *error* is a cancellation, or a group of nothing else."""
    return all(isinstance(one, asyncio.CancelledError) for one in errors_in(error))
