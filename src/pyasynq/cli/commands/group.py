"""``pyasynq group``: read the groups of tasks that wait for their aggregation."""

from typing import TYPE_CHECKING

import click

from pyasynq.cli import output
from pyasynq.cli.command_group import CommandGroup
from pyasynq.cli.options import queue_option
from pyasynq.cli.run_inspector import inspector_command
from pyasynq.core.safe_text import safe

if TYPE_CHECKING:
    from pyasynq.inspector import Inspector


@click.group(cls=CommandGroup)
def group() -> None:
    """Show groups of tasks."""


@group.command("list")
@queue_option
@inspector_command()
async def list_groups(inspector: "Inspector", *, as_json: bool, queue: str) -> None:
    """List the groups of a queue."""
    groups = await inspector.groups(queue)
    if as_json:
        output.print_json(groups)
    elif groups:
        output.print_data("\n".join(safe(it.group) for it in groups))
    else:
        output.print_message(f'No groups found in queue "{queue}"')


group.add_command(list_groups, "ls")
