"""``pyasynq queue``: look at queues, pause, resume and remove them."""

import argparse
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from pyasynq.cli import output
from pyasynq.cli.asking import confirm
from pyasynq.cli.parsing import STATES, Noun
from pyasynq.cli.running import each, inspect
from pyasynq.cli.values import whole

if TYPE_CHECKING:
    from pyasynq.core.info import ClusterNode, DailyStats, QueueInfo
    from pyasynq.inspector import Inspector

LINE: Final = "=" * 49


def add_to(commands: Any, _environ: Mapping[str, str]) -> None:  # noqa: ANN401 - argparse keeps the type to itself
    """Add the noun to the command line."""
    noun = Noun(commands, "queue", "look at queues, pause, resume and remove them")
    noun.verb("list", show, aliases=["ls"], help="list all queues")
    noun.verb("inspect", look, help="show what queues hold").words("queues", help="their names")
    history = noun.verb("history", days, help="show what queues did day by day")
    history.words("queues", help="their names").value(
        "-x", "--days", type=whole, default=10, help="how many days back"
    )
    noun.verb("pause", pause, help="take no tasks from queues").words("queues", help="their names")
    noun.verb("resume", resume, aliases=["unpause"], help="take tasks again").words(
        "queues", help="their names"
    )
    remove = noun.verb("remove", delete, aliases=["rm", "delete"], help="remove queues")
    remove.words("queues", help="their names").asks()
    remove.switch("-f", "--force", help="with all tasks that are not running")


def show(words: argparse.Namespace) -> int:
    """List all queues; on a cluster, with where they are."""

    async def job(inspector: "Inspector") -> None:
        queues = await inspector.queues()
        if output.is_json(words):
            output.json(queues)
            return
        nodes = {queue: await inspector.queue_nodes(queue) for queue in queues}
        if any(nodes.values()):
            output.table(
                ["Queue", "Cluster KeySlot", "Cluster Nodes"],
                [
                    [queue, await inspector.queue_slot(queue), _places(nodes[queue])]
                    for queue in queues
                ],
            )
            return
        for queue in queues:
            output.data(queue)

    return inspect(words, job)


def _places(nodes: "Sequence[ClusterNode]") -> str:
    return " ".join(node.address for node in nodes)


def look(words: argparse.Namespace) -> int:
    """Show what queues hold."""

    async def job(inspector: "Inspector") -> int:
        infos: list[QueueInfo] = []

        async def read(queue: str) -> None:
            infos.append(await inspector.queue_info(queue))

        code = await each(words.queues, read)
        if output.is_json(words):
            output.json(infos)
            return code
        for n, info in enumerate(infos):
            if n:
                output.data(f"\n{LINE}\n")
            _show(info)
        return code

    return inspect(words, job)


def _show(info: "QueueInfo") -> None:
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


def days(words: argparse.Namespace) -> int:
    """Show what queues did day by day."""

    async def job(inspector: "Inspector") -> int:
        found: list[DailyStats] = []

        async def read(queue: str) -> None:
            stats = await inspector.history(queue, words.days)
            found.extend(stats)
            if not output.is_json(words):
                output.data(f"Queue: {queue}\n")
                _show_days(stats)
                output.data("")

        code = await each(words.queues, read)
        if output.is_json(words):
            output.json(found)
        return code

    return inspect(words, job)


def _show_days(stats: "list[DailyStats]") -> None:
    output.table(
        ["date (UTC)", "processed", "failed", "error rate"],
        [
            [day.date, day.processed, day.failed, output.error_rate(day.processed, day.failed)]
            for day in stats
        ],
    )


def pause(words: argparse.Namespace) -> int:
    """Pause queues."""

    async def job(inspector: "Inspector") -> int:
        return await each(words.queues, inspector.pause, 'Successfully paused queue "{}"')

    return inspect(words, job)


def resume(words: argparse.Namespace) -> int:
    """Resume queues."""

    async def job(inspector: "Inspector") -> int:
        return await each(words.queues, inspector.unpause, 'Successfully unpaused queue "{}"')

    return inspect(words, job)


def delete(words: argparse.Namespace) -> int:
    """Remove queues, after a question."""
    names = ", ".join(f'"{queue}"' for queue in words.queues)
    confirm(words, f"Remove {names}" + (" with all tasks" if words.force else ""))

    async def job(inspector: "Inspector") -> int:
        async def remove(queue: str) -> None:
            await inspector.delete_queue(queue, force=words.force)

        return await each(words.queues, remove, 'Successfully removed queue "{}"')

    return inspect(words, job)
