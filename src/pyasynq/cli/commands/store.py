"""``pyasynq store``: copy the broker, and move its tasks to another one."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from pyasynq.cli import completions, output
from pyasynq.cli.command_group import CommandGroup
from pyasynq.cli.connection_options import ConnectionOptions, check_sqlite, with_connection
from pyasynq.cli.exit_codes import Exit, ExitError
from pyasynq.cli.option_types import option_with_variable
from pyasynq.cli.options import output_option
from pyasynq.cli.run_inspector import check_file, exit_errors
from pyasynq.core.sizes import format_bytes
from pyasynq.core.states import TaskState

if TYPE_CHECKING:
    from pyasynq.broker import Broker
    from pyasynq.inspector.moves import QueueMove

KINDS: Final = {"flows": "flow", "batches": "batch", "letters": "letter"}
"""What a move leaves, beside tasks: many, and one of them."""

MOST_NAMED: Final = 10
"""Most tasks of a queue that are named one by one; JSON has them all."""


@click.group(cls=CommandGroup)
def store() -> None:
    """Back up a file of SQLite; move tasks to another broker."""


@store.command("backup")
@click.argument("file", type=click.Path(path_type=Path))
@output_option(ignored=True)
@with_connection
def back_up(*, connection: ConnectionOptions, file: Path) -> int:
    """Copy a file of SQLite to a new FILE, while it is used."""
    with exit_errors():
        check_file(connection.url)
        try:
            size = asyncio.run(_back_up(connection.url, file))
        except FileExistsError as error:
            text = f"{file} is there already: give the name of a new file"
            raise ExitError(Exit.CONFLICT, text) from error
    output.print_message(f"wrote {format_bytes(size)} to {file}")
    return Exit.OK


async def _back_up(url: str, file: Path) -> int:
    from pyasynq.broker import open_broker

    broker = open_broker(url)
    try:
        return await broker.backup.write(file)
    finally:
        await broker.aclose()


@store.command("move")
@option_with_variable(
    "--to", required=True, metavar="URL", help="URL of the broker that gets the tasks."
)
@click.option(
    "-q",
    "--queue",
    "queues",
    multiple=True,
    help="Queue to move; repeatable; all queues when not given.",
    shell_complete=completions.complete_queues,
)
@output_option()
@with_connection
def move(*, connection: ConnectionOptions, to: str, queues: Sequence[str], as_json: bool) -> int:
    """Move tasks to another broker, with their locks and results.

    The workers must be stopped. Tasks that run stay, and so do tasks that the other broker refuses,
    and flows and batches that run, with their tasks. If the command is interrupted or killed, start
    it again: it goes on.
    """
    with exit_errors():
        check_sqlite(to)
        check_file(connection.url)
        moves = asyncio.run(_move(connection.url, to, queues))
    if as_json:
        output.print_json(moves)
    else:
        for one in moves:
            _print(one)
    return Exit.CONFLICT if any(one.left or one.running for one in moves) else Exit.OK


async def _move(url: str, to: str, queues: Sequence[str]) -> "list[QueueMove]":
    from pyasynq.broker import open_broker
    from pyasynq.core.errors import QueueNotFoundError
    from pyasynq.inspector.moves import (
        SameBrokerError,
        ServersRunningError,
        check_move,
        deliver_mail,
    )

    async with AsyncExitStack() as stack:
        source, target = open_broker(url), open_broker(to)
        stack.push_async_callback(source.aclose)
        stack.push_async_callback(target.aclose)
        try:
            await check_move(source, target)
            known = await source.inspection.queues()
            if unknown := [queue for queue in queues if queue not in known]:
                raise QueueNotFoundError(unknown[0])
            await deliver_mail(source, known)
            return [await _move_queue(source, target, queue) for queue in queues or known]
        except SameBrokerError as error:
            raise ExitError(Exit.USAGE, str(error)) from error
        except ServersRunningError as error:
            raise ExitError(Exit.CONFLICT, str(error)) from error


async def _move_queue(source: "Broker", target: "Broker", queue: str) -> "QueueMove":
    from pyasynq.inspector.moves import move_queue

    size = (await source.inspection.queue_info(queue, memory=False)).size
    with output.progress_bar(f"moving {queue}", size) as progress:
        return await move_queue(source, target, queue, progress)


def _print(move: "QueueMove") -> None:
    output.print_data(f"{move.queue}: {_format_counts(move.moved) or 'nothing'} moved")
    if move.left:
        _print_left(move)
    if move.running:
        running = ", ".join(
            output.count(it, KINDS[many], many) for many, it in move.running.items()
        )
        output.print_data(f"{move.queue}: {running} left")
        output.print_data("  run a worker here until they have ended, then repeat")


def _print_left(move: "QueueMove") -> None:
    output.print_data(f"{move.queue}: {_format_counts(move.left)} left")
    for task in move.staying[:MOST_NAMED]:
        output.print_data(f"  {task.id or 'a task'} ({task.state.value}): {task.reason}")
    if (more := len(move.staying) - MOST_NAMED) > 0:
        output.print_data(f"  and {more} more")
    if TaskState.ACTIVE in move.left:
        output.print_data("  active tasks: run a worker here until they have ended, then repeat")


def _format_counts(counts: "Mapping[TaskState, int]") -> str:
    return ", ".join(f"{count} {state.value}" for state, count in counts.items())
