"""Run what a command asks of Redis, and turn its errors into exit codes."""

import asyncio
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import click

from pyasynq.cli.app_loader import load_app
from pyasynq.cli.exit_codes import Exit, ExitError
from pyasynq.cli.output import message
from pyasynq.cli.redis_options import RedisOptions
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


def inspect(
    redis: RedisOptions,
    job: "Callable[[Inspector], Awaitable[int | None]]",
    *,
    app: str | None = None,
) -> int:
    """Do *job* with an inspector of *redis*, or of *app*; return the exit code.

    Raises:
        click.ClickException: If it cannot be done.
    """
    with exit_errors():
        inspector = open_inspector(redis, app)

        async def run() -> int:
            async with inspector:
                return await job(inspector) or Exit.OK

        return asyncio.run(run())


def open_inspector(redis: RedisOptions, app: str | None) -> "Inspector":
    """Return an inspector of *redis*; of the Redis and with the codecs of *app*, if it is named."""
    from pyasynq.inspector import Inspector

    return Inspector(redis.url) if app is None else load_app(app).inspector(redis.app_uri())


@contextmanager
def exit_errors() -> Generator[None]:
    """Turn the errors of pyasynq into those that end a command.

    Raises:
        click.UsageError: For an option that cannot be.
        ExitError: For all others.
    """
    try:
        yield
    except errors.PyasynqError as error:
        code = code_of(error)
        if code is Exit.USAGE:
            raise click.UsageError(str(error)) from error
        raise ExitError(code, str(error)) from error


async def each(
    names: Sequence[str], do: Callable[[str], Awaitable[object]], done: str | None = None
) -> int:
    """Do something for each of *names*; print errors, of which the first decides the exit code.

    Args:
        names: What it is done for.
        do: Does it.
        done: What is printed about those that are done; ``{}`` is the name.
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
