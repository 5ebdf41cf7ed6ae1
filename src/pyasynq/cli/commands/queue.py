"""``pyasynq queue``: read, pause, resume and remove queues."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import click

from pyasynq.cli import completions, output
from pyasynq.cli.command_group import CommandGroup
from pyasynq.cli.confirm import ask_first
from pyasynq.cli.option_types import COUNT
from pyasynq.cli.options import page_option, size_option
from pyasynq.cli.queue_output import print_daily_counts, print_state_counts
from pyasynq.cli.run_inspector import do_each, inspector_command, read_each
from pyasynq.core.safe_text import safe

if TYPE_CHECKING:
    from pyasynq.core.info import DailyStats, MailInfo, QueueInfo
    from pyasynq.inspector import Inspector

LINE: Final = "=" * 49

queues_argument: Final = click.argument(
    "queues",
    nargs=-1,
    required=True,
    metavar="QUEUE...",
    shell_complete=completions.complete_queues,
)


@click.group(cls=CommandGroup)
def queue() -> None:
    """Show, pause, resume and remove queues."""


@queue.command("list")
@inspector_command()
async def list_queues(inspector: "Inspector", *, as_json: bool) -> None:
    """List all queues; on a cluster, with slot and nodes."""
    queues = await inspector.queues()
    if as_json:
        output.print_json(queues)
        return
    nodes = {name: await inspector.queue_nodes(name) for name in queues}
    if any(nodes.values()):
        rows = [
            [name, await inspector.queue_slot(name), " ".join(it.address for it in nodes[name])]
            for name in queues
        ]
        output.print_table(["Queue", "Cluster KeySlot", "Cluster Nodes"], rows)
        return
    for name in queues:
        output.print_data(safe(name))


@queue.command("inspect")
@queues_argument
@inspector_command()
async def inspect_queues(inspector: "Inspector", *, as_json: bool, queues: Sequence[str]) -> int:
    """Show what queues hold, and what they did today."""
    code, infos = await read_each(queues, inspector.queue_info)
    if as_json:
        output.print_json(infos)
        return code
    for n, info in enumerate(infos):
        if n:
            output.print_data(f"\n{LINE}\n")
        _print_queue(info)
    return code


def _print_queue(info: "QueueInfo") -> None:
    output.print_data("Queue Info")
    output.print_data(f"Name:   {info.queue}")
    output.print_data(f"Size:   {info.size}")
    output.print_data(f"Groups: {info.groups}")
    output.print_data(f"Paused: {str(info.paused).lower()}\n")
    print_state_counts([info])
    output.print_data("")
    print_daily_counts([info], info.timestamp)


@queue.command("history")
@queues_argument
@click.option(
    "-x", "--days", **COUNT, default=10, show_default=True, help="Number of days, including today."
)
@inspector_command()
async def show_history(
    inspector: "Inspector", *, as_json: bool, queues: Sequence[str], days: int
) -> int:
    """Show how many tasks of queues ran each day."""

    async def read(name: str) -> "tuple[str, list[DailyStats]]":
        return name, await inspector.history(name, days)

    code, found = await read_each(queues, read)
    if as_json:
        output.print_json([day for _, stats in found for day in stats])
        return code
    for name, stats in found:
        output.print_data(f"Queue: {name}\n")
        _print_days(stats)
        output.print_data("")
    return code


def _print_days(stats: "Iterable[DailyStats]") -> None:
    output.print_table(
        ["date (UTC)", "processed", "failed", "error rate"],
        [
            [
                day.date,
                day.processed,
                day.failed,
                output.format_error_rate(day.processed, day.failed),
            ]
            for day in stats
        ],
    )


@queue.command("mail")
@queues_argument
@page_option
@size_option
@inspector_command()
async def list_mail(
    inspector: "Inspector", *, as_json: bool, queues: Sequence[str], page: int, size: int
) -> int:
    """List tasks that wait to be created in other queues."""

    async def read(name: str) -> "tuple[str, list[MailInfo]]":
        return name, await inspector.mail(name, page=page, size=size)

    code, found = await read_each(queues, read)
    if as_json:
        output.print_json([letter for _, letters in found for letter in letters])
        return code
    now = datetime.now(UTC)
    for name, letters in found:
        if not letters:
            output.print_message(f'No mail found in queue "{name}"')
            continue
        rows = [
            [it.task_id, it.type, it.to_queue, output.format_ago(it.posted_at, now)]
            for it in letters
        ]
        output.print_table(["ID", "Type", "To Queue", "Posted"], rows, title=f"Mail of {name}")
    return code


@queue.command("pause")
@queues_argument
@inspector_command(output=False)
async def pause_queues(inspector: "Inspector", *, queues: Sequence[str]) -> int:
    """Pause queues: workers take no tasks from them."""
    return await do_each(queues, inspector.pause, 'Successfully paused queue "{}"')


@queue.command("resume")
@queues_argument
@inspector_command(output=False)
async def resume_queues(inspector: "Inspector", *, queues: Sequence[str]) -> int:
    """Resume paused queues: workers take tasks from them again."""
    return await do_each(queues, inspector.unpause, 'Successfully unpaused queue "{}"')


def _ask_to_remove(values: Mapping[str, Any]) -> str:
    names = ", ".join(f'"{name}"' for name in values["queues"])
    return f"Remove {names}" + (" with all tasks" if values["force"] else "")


@queue.command("remove")
@queues_argument
@click.option(
    "-f", "--force", is_flag=True, help="Delete their tasks, too; refused while tasks run."
)
@ask_first(_ask_to_remove)
@inspector_command(output=False)
async def remove_queues(inspector: "Inspector", *, queues: Sequence[str], force: bool) -> int:
    """Remove queues; asks first."""

    async def remove(name: str) -> None:
        size = (await inspector.queue_info(name, memory=False)).size if force else 0
        with output.progress_bar(f"removing {name}", size) as progress:
            await inspector.delete_queue(name, force=force, progress=progress)

    return await do_each(queues, remove, 'Successfully removed queue "{}"')


queue.add_command(list_queues, "ls")
queue.add_command(resume_queues, "unpause")
queue.add_command(remove_queues, "rm")
queue.add_command(remove_queues, "delete")
