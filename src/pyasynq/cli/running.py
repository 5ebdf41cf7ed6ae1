"""Run what a command asks of Redis, and turn its errors into exit codes."""

import argparse
import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Final

from pyasynq.cli.connecting import redis_url
from pyasynq.cli.exits import Exit, ExitError
from pyasynq.cli.output import message
from pyasynq.core import errors

if TYPE_CHECKING:
    from pyasynq.inspector import Inspector

_CODES: Final[tuple[tuple[type[errors.PyasynqError], Exit], ...]] = (
    (errors.QueueNotFoundError, Exit.NOT_FOUND),
    (errors.TaskNotFoundError, Exit.NOT_FOUND),
    (errors.EntryNotFoundError, Exit.NOT_FOUND),
    (errors.QueueNotEmptyError, Exit.CONFLICT),
    (errors.QueuePausedError, Exit.CONFLICT),
    (errors.QueueNotPausedError, Exit.CONFLICT),
    (errors.TaskStateError, Exit.CONFLICT),
    (errors.DuplicateTaskError, Exit.CONFLICT),
    (errors.TaskIDConflictError, Exit.CONFLICT),
    (errors.BrokerUnavailableError, Exit.NO_CONNECTION),
    (errors.BrokerAuthError, Exit.NO_CONNECTION),
    (errors.OptionError, Exit.USAGE),
)


def code_of(error: errors.PyasynqError) -> Exit:
    """Return the exit code that says what *error* says."""
    return next((code for kind, code in _CODES if isinstance(error, kind)), Exit.FAILED)


def inspect(words: argparse.Namespace, job: "Callable[[Inspector], Awaitable[int | None]]") -> int:
    """Do *job* with an inspector of the Redis that *words* name; return the exit code.

    Raises:
        ExitError: If it cannot be done.
    """
    from pyasynq.inspector import Inspector

    async def run() -> int:
        async with Inspector(redis_url(words, os.environ)) as inspector:
            return await job(inspector) or Exit.OK

    return finish(run())


def finish(job: Awaitable[int]) -> int:
    """Await *job*, and return the exit code.

    Raises:
        ExitError: If it fails.
    """

    async def awaited() -> int:
        return await job

    try:
        return asyncio.run(awaited())
    except errors.PyasynqError as error:
        raise ExitError(code_of(error), str(error)) from error


async def each(
    names: Sequence[str], do: Callable[[str], Awaitable[object]], done: str | None = None
) -> int:
    """Do something for each of *names*; an error is told, and the first decides the exit code.

    Args:
        names: What it is done for.
        do: Does it.
        done: What is told about those that are done; ``{}`` is the name.
    """
    code = Exit.OK
    for name in names:
        try:
            await do(name)
        except errors.BrokerUnavailableError:
            raise
        except errors.PyasynqError as error:
            message(f"pyasynq: {error}")
            code = code or code_of(error)
        else:
            if done is not None:
                message(done.format(name))
    return code
