"""Run what a command asks of the broker, and turn its errors into exit codes."""

import asyncio
import functools
from collections.abc import Awaitable, Callable, Generator, Iterable
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar

import click

from pyasynq.cli.app_loader import load_app
from pyasynq.cli.connection_options import ConnectionOptions, with_connection
from pyasynq.cli.exit_codes import Exit, ExitError
from pyasynq.cli.options import app_option, output_option
from pyasynq.cli.output import print_message
from pyasynq.core import batch_errors, entry_errors, errors, flow_errors

if TYPE_CHECKING:
    from pyasynq.broker import BrokerAddress
    from pyasynq.inspector import Inspector

T = TypeVar("T")

ASK_DOCTOR: Final = "to find out more: pyasynq doctor"

NO_ADDRESS: Final = "\nthis is the default address: give another one, or -u sqlite:///tasks.db"

Job: TypeAlias = Callable[..., Awaitable[int | None]]
"""Takes an inspector and the options of a command; None is exit code 0."""

_CODES: Final[dict[Exit, tuple[type[errors.PyasynqError], ...]]] = {
    Exit.NOT_FOUND: (
        errors.QueueNotFoundError,
        errors.TaskNotFoundError,
        batch_errors.BatchNotFoundError,
        entry_errors.EntryNotFoundError,
        flow_errors.FlowNotFoundError,
        flow_errors.StepNotFoundError,
    ),
    Exit.CONFLICT: (
        batch_errors.BatchStateError,
        errors.QueueNotEmptyError,
        errors.QueuePausedError,
        errors.QueueNotPausedError,
        entry_errors.EntryPausedError,
        entry_errors.EntryNotPausedError,
        entry_errors.EntryNotPausableError,
        errors.TaskStateError,
        flow_errors.FlowStateError,
        errors.DuplicateTaskError,
        errors.TaskIDConflictError,
    ),
    Exit.NO_CONNECTION: (errors.BrokerUnavailableError, errors.BrokerAuthError),
    Exit.USAGE: (errors.OptionError,),
}


def code_of(error: errors.PyasynqError) -> Exit:
    """Return the exit code for *error*."""
    return next((code for code, kinds in _CODES.items() if isinstance(error, kinds)), Exit.FAILED)


def inspector_command(
    *, app: bool = False, output: bool = True
) -> Callable[[Job], Callable[..., int]]:
    """Return a decorator that makes a job with an inspector the function of a command.

    Args:
        app: Add ``--app``; the inspector then uses the broker and the codecs of that app.
        output: The job takes *as_json*; otherwise the command accepts ``-o`` and ignores it.
    """

    def decorate(job: Job) -> Callable[..., int]:
        @functools.wraps(job)
        def run(*, connection: ConnectionOptions, app: str | None = None, **options: object) -> int:
            with exit_errors(hint=NO_ADDRESS if app is None and connection.is_default else ""):
                return asyncio.run(_run(job, open_inspector(connection, app), options))

        command = output_option(ignored=not output)(with_connection(run))
        return app_option(command) if app else command

    return decorate


async def _run(job: Job, inspector: "Inspector", options: dict[str, object]) -> int:
    async with inspector:
        return await job(inspector, **options) or Exit.OK


def open_inspector(connection: ConnectionOptions, app: str | None) -> "Inspector":
    """Return an inspector of *connection*, or one with the broker and the codecs of *app*.

    Raises:
        BrokerUnavailableError: If the broker would be a file, and there is none.
    """
    from pyasynq.inspector import Inspector

    if app is None:
        check_file(connection.url)
        return Inspector(connection.url)
    loaded, uri = load_app(app), connection.app_uri()
    check_file(uri or loaded.address.broker)
    return loaded.inspector(uri)


def check_file(address: "BrokerAddress") -> None:
    """Return if *address* names no file, or one that exists: a typing error must not make one.

    Raises:
        BrokerUnavailableError: If it does not exist.
    """
    from pyasynq.broker import file_of

    file = file_of(address)
    try:
        is_missing = file is not None and not file.exists()
    except OSError:  # the folder cannot be read: the first call says why
        return
    if is_missing:
        text = f"there is no file {file}: a client or a worker makes it"
        raise errors.BrokerUnavailableError(text)


@contextmanager
def exit_errors(hint: str = "") -> Generator[None]:
    """Turn the errors of pyasynq into errors that end a command.

    Args:
        hint: A line that follows the error if there is no connection.

    Raises:
        click.UsageError: For an `OptionError`.
        ExitError: For all other errors of pyasynq.
    """
    try:
        yield
    except errors.PyasynqError as error:
        code = code_of(error)
        if code is Exit.USAGE:
            raise click.UsageError(str(error)) from error
        more = f"{hint}\n{ASK_DOCTOR}" if code is Exit.NO_CONNECTION else ""
        raise ExitError(code, f"{error}{more}") from error


async def read_each(
    names: Iterable[str], read: Callable[[str], Awaitable[T]]
) -> tuple[Exit, list[T]]:
    """Call *read* with each name; return the exit code and what was read.

    Errors are printed, and the first one decides the exit code. A broker that does not answer ends
    the command.
    """
    code = Exit.OK
    results: list[T] = []
    for name in names:
        try:
            results.append(await read(name))
        except errors.BrokerUnavailableError:
            raise
        except errors.PyasynqError as error:
            print_message(f"pyasynq: {error}")
            code = code or code_of(error)
    return code, results


async def do_each(names: Iterable[str], do: Callable[[str], Awaitable[object]], done: str) -> Exit:
    """Call *do* with each name, as `read_each` does; return the exit code.

    After each success it prints *done*, in which ``{}`` stands for the name.
    """

    async def do_one(name: str) -> None:
        await do(name)
        print_message(done.format(name))

    code, _ = await read_each(names, do_one)
    return code
