"""``pyasynq batch``: read batches, and act on them."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import click
import msgspec

from pyasynq.cli import completions, output
from pyasynq.cli.command_group import CommandGroup
from pyasynq.cli.options import page_option, queue_option, size_option
from pyasynq.cli.run_inspector import inspector_command

if TYPE_CHECKING:
    from pyasynq.core.batch import BatchInfo
    from pyasynq.inspector import Inspector

MOST_SHOWN: Final = 20
"""Ids of failed members that are shown to people; JSON has all."""


batch_argument: Final = click.argument(
    "batch_id", metavar="ID", shell_complete=completions.complete_batch_ids
)


@click.group(cls=CommandGroup)
def batch() -> None:
    """Show batches of tasks, and act on them."""


@batch.command("list")
@queue_option
@page_option
@size_option
@inspector_command()
async def list_batches(
    inspector: "Inspector", *, as_json: bool, queue: str, page: int, size: int
) -> None:
    """List the batches of a queue, those that run first."""
    batches = await inspector.batches(queue, page=page, size=size)
    now = datetime.now(UTC)
    output.print_json_or_table(
        batches,
        ["ID", "State", "Total", "Ended", "Failed", "Created", "Ended"],
        [_row(it, now) for it in batches],
        empty=f'No batches found in queue "{queue}"',
        as_json=as_json,
    )


batch.add_command(list_batches, "ls")


def _row(it: "BatchInfo", now: datetime) -> list[object]:
    return [
        it.id,
        it.state,
        it.total,
        it.ended,
        it.failed,
        output.format_ago(it.created_at, now),
        output.format_ago(it.ended_at, now) if it.ended_at else "",
    ]


@batch.command("inspect")
@queue_option
@batch_argument
@inspector_command()
async def inspect_batch(
    inspector: "Inspector", *, as_json: bool, queue: str, batch_id: str
) -> None:
    """Show a batch, and which of its members have failed."""
    info = await inspector.batch(queue, batch_id)
    failed = await inspector.failed_members(queue, batch_id)
    if as_json:
        output.print_json({**msgspec.structs.asdict(info), "failed_members": failed})
        return
    output.print_data(f"ID:      {info.id}")
    output.print_data(f"State:   {info.state}")
    ended = output.count(info.ended, "has ended", "have ended")
    failures = output.count(info.failed, "has failed", "have failed")
    output.print_data(f"Members: {info.total}, {ended}, {failures}")
    output.print_data(f"Created: {output.format_instant(info.created_at)}")
    output.print_data(f"Ended:   {output.format_instant(info.ended_at)}")
    if failed:
        output.print_data("\nFailed members:")
        output.print_data("\n".join(failed[:MOST_SHOWN]))
    if len(failed) > MOST_SHOWN:
        output.print_data(f"and {len(failed) - MOST_SHOWN} more; -o json has all")


@batch.command("cancel")
@queue_option
@batch_argument
@inspector_command(output=False)
async def cancel_batch(inspector: "Inspector", *, queue: str, batch_id: str) -> None:
    """Run no more members of a batch; nothing follows it."""
    info = await inspector.cancel_batch(queue, batch_id)
    left = info.total - info.ended
    rest = output.count(left, "member still runs or waits", "members still run or wait")
    output.print_message(f"Cancelled batch {batch_id}" + (f"; {rest}" if left else ""))


@batch.command("retry")
@queue_option
@batch_argument
@inspector_command(output=False)
async def retry_batch(inspector: "Inspector", *, queue: str, batch_id: str) -> None:
    """Run the failed members of a batch again."""
    info = await inspector.retry_batch(queue, batch_id)
    one, many = f"member of batch {batch_id} runs again", f"members of batch {batch_id} run again"
    output.print_message(output.count(info.total - info.ended, one, many))
