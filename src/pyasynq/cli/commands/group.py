"""``pyasynq group``: look at groups of tasks that wait to be combined."""

from typing import TYPE_CHECKING

import click

from pyasynq.cli import output
from pyasynq.cli.command_group import CommandGroup
from pyasynq.cli.options import output_option, queue_option
from pyasynq.cli.redis_options import RedisOptions, redis_options
from pyasynq.cli.run_inspector import inspect

if TYPE_CHECKING:
    from pyasynq.inspector import Inspector


@click.group(cls=CommandGroup)
def group() -> None:
    """Look at groups of tasks."""


@group.command("list")
@queue_option
@output_option()
@redis_options
def list_groups(*, redis: RedisOptions, as_json: bool, queue: str) -> int:
    """List the groups of a queue."""

    async def job(inspector: "Inspector") -> None:
        groups = await inspector.groups(queue)
        if as_json:
            output.json(groups)
            return
        if not groups:
            output.message(f'No groups found in queue "{queue}"')
        for it in groups:
            output.data(it.group)

    return inspect(redis, job)


group.add_command(list_groups, "ls")
