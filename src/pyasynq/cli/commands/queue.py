"""``pyasynq queue``: look at queues, pause, resume and remove them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import click

from pyasynq.cli import completions, output
from pyasynq.cli.command_group import CommandGroup
from pyasynq.cli.confirm import confirm
from pyasynq.cli.options import STATES, output_option, yes_option
from pyasynq.cli.progress import progress_bar
from pyasynq.cli.redis_options import RedisOptions, redis_options
from pyasynq.cli.run_inspector import each, inspect

if TYPE_CHECKING:
    from pyasynq.core.info import ClusterNode, DailyStats, QueueInfo
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
    """Look at queues, pause, resume and remove them."""


@queue.command("list")
@output_option()
@redis_options
def list_queues(*, redis: RedisOptions, as_json: bool) -> int:
    """List all queues; on a cluster, with where they are."""

    async def job(inspector: "Inspector") -> None:
        queues = await inspector.queues()
        if as_json:
            output.json(queues)
            return
        nodes = {name: await inspector.queue_nodes(name) for name in queues}
        if any(nodes.values()):
            output.table(
                ["Queue", "Cluster KeySlot", "Cluster Nodes"],
                [
                    [name, await inspector.queue_slot(name), _addresses(nodes[name])]
                    for name in queues
                ],
            )
            return
        for name in queues:
            output.data(name)

    return inspect(redis, job)


def _addresses(nodes: "Sequence[ClusterNode]") -> str:
    return " ".join(node.address for node in nodes)


@queue.command("inspect")
@queues_argument
@output_option()
@redis_options
def inspect_queues(*, redis: RedisOptions, as_json: bool, queues: Sequence[str]) -> int:
    """Show what queues hold."""

    async def job(inspector: "Inspector") -> int:
        infos: list[QueueInfo] = []

        async def read(name: str) -> None:
            infos.append(await inspector.queue_info(name))

        code = await each(queues, read)
        if as_json:
            output.json(infos)
            return code
        for n, info in enumerate(infos):
            if n:
                output.data(f"\n{LINE}\n")
            _print_queue(info)
        return code

    return inspect(redis, job)


def _print_queue(info: "QueueInfo") -> None:
    output.data("Queue Info")
    output.data(f"Name:   {info.queue}")
    output.data(f"Size:   {info.size}")
    output.data(f"Groups: {info.groups}")
    output.data(f"Paused: {str(info.paused).lower()}\n")
    output.table(STATES, [[getattr(info, state) for state in STATES]], title="Task Count by State")
    rate = output.error_rate(info.processed, info.failed)
    output.data("")
    output.table(
        ["processed", "failed", "error rate"],
        [[info.processed, info.failed, rate]],
        title=f"Daily Stats {info.timestamp:%Y-%m-%d} UTC",
    )


@queue.command("history")
@queues_argument
@click.option(
    "-x",
    "--days",
    type=int,
    metavar="N",
    default=10,
    show_default=True,
    help="Days, today included.",
)
@output_option()
@redis_options
def show_history(*, redis: RedisOptions, as_json: bool, queues: Sequence[str], days: int) -> int:
    """Show what queues did day by day."""

    async def job(inspector: "Inspector") -> int:
        found: list[DailyStats] = []

        async def read(name: str) -> None:
            stats = await inspector.history(name, days)
            found.extend(stats)
            if not as_json:
                output.data(f"Queue: {name}\n")
                _print_days(stats)
                output.data("")

        code = await each(queues, read)
        if as_json:
            output.json(found)
        return code

    return inspect(redis, job)


def _print_days(stats: "list[DailyStats]") -> None:
    output.table(
        ["date (UTC)", "processed", "failed", "error rate"],
        [
            [day.date, day.processed, day.failed, output.error_rate(day.processed, day.failed)]
            for day in stats
        ],
    )


@queue.command("pause")
@queues_argument
@output_option(ignored=True)
@redis_options
def pause_queues(*, redis: RedisOptions, queues: Sequence[str]) -> int:
    """Take no tasks from queues."""

    async def job(inspector: "Inspector") -> int:
        return await each(queues, inspector.pause, 'Successfully paused queue "{}"')

    return inspect(redis, job)


@queue.command("resume")
@queues_argument
@output_option(ignored=True)
@redis_options
def resume_queues(*, redis: RedisOptions, queues: Sequence[str]) -> int:
    """Take tasks from paused queues again."""

    async def job(inspector: "Inspector") -> int:
        return await each(queues, inspector.unpause, 'Successfully unpaused queue "{}"')

    return inspect(redis, job)


@queue.command("remove")
@queues_argument
@click.option("-f", "--force", is_flag=True, help="With all tasks that are not running.")
@yes_option
@output_option(ignored=True)
@redis_options
def remove_queues(*, redis: RedisOptions, queues: Sequence[str], force: bool, yes: bool) -> int:
    """Remove queues; asks first."""
    names = ", ".join(f'"{name}"' for name in queues)
    confirm(f"Remove {names}" + (" with all tasks" if force else ""), yes=yes)

    async def job(inspector: "Inspector") -> int:
        async def remove(name: str) -> None:
            size = (await inspector.queue_info(name, memory=False)).size if force else 0
            with progress_bar(f"removing {name}", size) as progress:
                await inspector.delete_queue(name, force=force, progress=progress)

        return await each(queues, remove, 'Successfully removed queue "{}"')

    return inspect(redis, job)


queue.add_command(list_queues, "ls")
queue.add_command(resume_queues, "unpause")
queue.add_command(remove_queues, "rm")
queue.add_command(remove_queues, "delete")
