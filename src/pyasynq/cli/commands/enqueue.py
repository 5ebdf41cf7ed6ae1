"""``pyasynq task enqueue``: enqueue a task, with or without an app."""

import asyncio
import difflib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, BinaryIO, Final, cast

import click

from pyasynq.cli import completions, options, output
from pyasynq.cli.app_loader import load_app
from pyasynq.cli.command_group import Command
from pyasynq.cli.connection_options import ConnectionOptions, with_connection
from pyasynq.cli.exit_codes import Exit
from pyasynq.cli.option_types import BYTES, COUNT, DURATION, HEADERS, drop_none
from pyasynq.cli.run_inspector import exit_errors
from pyasynq.core.control import PayloadError

if TYPE_CHECKING:
    from pyasynq.app import App
    from pyasynq.client import Client
    from pyasynq.core.info import TaskInfo
    from pyasynq.core.options import EnqueueOptions
    from pyasynq.core.task import Task

EITHER: Final = "give either --payload or --payload-file"
EITHER_TIME: Final = "give either --process-at or --process-in"


@click.command(cls=Command)
@click.option(
    "-t",
    "--type-name",
    required=True,
    metavar="TYPE",
    help="Type of the task.",
    shell_complete=completions.complete_types,
)
@click.option(
    "-l", "--payload", **BYTES, help="Payload; without --app, this or --payload-file is required."
)
@click.option(
    "--payload-file", type=click.File("rb"), help="File with the payload; - for the standard input."
)
@click.option("-H", "--header", "headers", **HEADERS, help="Header; repeatable.")
@click.option(
    "-q",
    "--queue",
    help="Queue; default when not given.",
    shell_complete=completions.complete_queues,
)
@click.option("-i", "--id", "task_id", help="Id; a random one when not given.")
@click.option(
    "--retry", "max_retry", **COUNT, help="Retries after the first failure; 25 when not given."
)
@click.option("--timeout", **DURATION, help="Longest run; 30m when not given.")
@options.deadline_option
@click.option("--unique", **DURATION, help="Refuse equal tasks for this time, such as 1h.")
@options.process_at_option
@options.process_in_option
@options.retention_option
@click.option("-g", "--group", help="Group; its tasks are combined into one.")
@options.app_option
@options.output_option()
@with_connection
def enqueue(
    *,
    connection: ConnectionOptions,
    as_json: bool,
    app: str | None,
    payload: bytes | None,
    payload_file: BinaryIO | None,
    **values: Any,  # noqa: ANN401 - type, headers and options of the task, as declared above
) -> int:
    """Enqueue a task.

    With --app, the arguments of a typed task are checked, its options are the defaults, and the
    app's broker, middleware and codecs are used.
    """
    data = _read_payload(payload, payload_file)
    if values["process_at"] is not None and values["process_in"] is not None:
        raise click.UsageError(EITHER_TIME)
    type_name: str = values.pop("type_name")
    given = cast("EnqueueOptions", drop_none(values))
    with exit_errors():
        client, task = _prepare(connection, app, type_name, data)
        info = asyncio.run(_enqueue(client, task, given))
    if as_json:
        output.print_json(info)
    else:
        output.print_data(f"Enqueued task {info.id} to queue {info.queue}")
    return Exit.OK


def _read_payload(payload: bytes | None, file: BinaryIO | None) -> bytes | None:
    """Return the payload; None if none was given."""
    if payload is not None and file is not None:
        raise click.UsageError(EITHER)
    return file.read() if file is not None else payload


def _prepare(
    connection: ConnectionOptions, place: str | None, type_name: str, payload: bytes | None
) -> "tuple[Client, Task]":
    """Return a client and the task; if *place* names an app, those of the app."""
    from pyasynq.client import Client

    if place is None:
        return Client(connection.url), _plain_task(type_name, payload)
    app = load_app(place)
    return app.new_client(connection.app_uri()), _find_task(app, type_name, payload)


def _plain_task(type_name: str, payload: bytes | None) -> "Task":
    from pyasynq.core.task import Task

    if payload is None:
        raise click.UsageError(EITHER)
    return Task(type_name, payload)


def _find_task(app: "App", type_name: str, payload: bytes | None) -> "Task":
    """Return the task of *app*, its payload checked if it is a typed one.

    Raises:
        click.UsageError: If the app has no such task, or the payload does not fit.
    """
    typed = app.tasks.get(type_name)
    if typed is not None:
        try:
            return typed.from_payload(payload or b"")
        except PayloadError as error:
            raise click.UsageError(str(error)) from error
    others = [it for it in app.mux.patterns if it not in app.tasks]
    if any(type_name.startswith(pattern) for pattern in others):
        return _plain_task(type_name, payload)
    raise click.UsageError(_unknown_type(type_name, [*app.mux.patterns]))


def _unknown_type(type_name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(type_name, known) or sorted(known)
    there = f"there is {', '.join(near)}" if near else "there is none at all"
    return f"the app has no task {type_name!r}; {there}"


async def _enqueue(client: "Client", task: "Task", options: "EnqueueOptions") -> "TaskInfo":
    async with client:
        return await client.enqueue(task, **options)
