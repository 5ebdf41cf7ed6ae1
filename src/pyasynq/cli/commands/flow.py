"""``pyasynq flow``: read flows, and act on them."""

import functools
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import click

from pyasynq.cli import completions, output
from pyasynq.cli.command_group import CommandGroup
from pyasynq.cli.options import page_option, queue_option, size_option
from pyasynq.cli.run_inspector import do_each, inspector_command

if TYPE_CHECKING:
    from pyasynq.core.flow_info import FlowInfo, StepInfo
    from pyasynq.inspector import Inspector
    from pyasynq.inspector.flows import Listed

flow_argument: Final = click.argument(
    "flow_id", metavar="FLOW", shell_complete=completions.complete_flow_ids
)


@click.group(cls=CommandGroup)
def flow() -> None:
    """Show flows, and act on them."""


@flow.command("list")
@queue_option
@click.option("--ended", is_flag=True, help="Those that have ended, not those that run.")
@page_option
@size_option
@inspector_command()
async def list_flows(
    inspector: "Inspector", *, as_json: bool, queue: str, ended: bool, page: int, size: int
) -> None:
    """List the flows that are stored with a queue."""
    state: Listed = "ended" if ended else "running"
    flows = await inspector.flows(queue, state, page=page, size=size)
    now = datetime.now(UTC)
    output.print_json_or_table(
        flows,
        ["ID", "Name", "State", "Steps", "Created"],
        [
            [it.id, it.name, it.state, _progress(it), output.format_ago(it.created_at, now)]
            for it in flows
        ],
        empty=f'No {state} flows found in queue "{queue}"',
        as_json=as_json,
    )


flow.add_command(list_flows, "ls")


def _progress(flow: "FlowInfo") -> str:
    counts = ", ".join(f"{count} {state}" for state, count in flow.counts.items())
    return f"{len(flow.steps)}: {counts}"


@flow.command("inspect")
@queue_option
@flow_argument
@click.option("--graph", is_flag=True, help="Print a Mermaid flowchart.")
@inspector_command()
async def inspect_flow(
    inspector: "Inspector", *, as_json: bool, queue: str, flow_id: str, graph: bool
) -> None:
    """Show a flow with its steps."""
    found = await inspector.flow(queue, flow_id)
    if graph:
        output.print_data(found.mermaid().rstrip())
    elif as_json:
        output.print_json(found)
    else:
        _print_flow(found)


def _print_flow(flow: "FlowInfo") -> None:
    output.print_data(f"ID:      {flow.id}")
    output.print_data(f"Name:    {flow.name}")
    output.print_data(f"State:   {flow.state}" + (f" ({flow.reason})" if flow.reason else ""))
    output.print_data(f"Created: {output.format_instant(flow.created_at)}")
    output.print_data(f"Ended:   {output.format_instant(flow.ended_at)}\n")
    rows = [
        [
            step.name,
            step.state,
            _type(step),
            step.queue,
            ", ".join(step.after) + ("" if step.when == "succeeded" else f" ({step.when})"),
            step.error or "",
        ]
        for step in flow.steps
    ]
    output.print_table(["Step", "State", "Type", "Queue", "After", "Error"], rows)


def _type(step: "StepInfo") -> str:
    if step.flow_id is not None:
        return f"flow {step.flow_id}"
    if step.batch_id is None:
        return step.type or "(gate)"
    return f"{step.type or '(map)'} x {step.size}"


@flow.command("cancel")
@queue_option
@flow_argument
@inspector_command(output=False)
async def cancel_flow(inspector: "Inspector", *, queue: str, flow_id: str) -> None:
    """Start nothing more of a flow, and stop what runs."""
    await inspector.cancel_flow(queue, flow_id)
    output.print_message(f"Cancelled flow {flow_id}")


@flow.command("retry")
@queue_option
@flow_argument
@inspector_command(output=False)
async def retry_flow(inspector: "Inspector", *, queue: str, flow_id: str) -> None:
    """Run again what failed in a flow, and what comes after it."""
    found = await inspector.retry_flow(queue, flow_id)
    output.print_message(f"Flow {flow_id} runs again: {_progress(found)}")


@flow.command("signal")
@queue_option
@flow_argument
@click.argument("gate")
@click.option("--value", default="null", show_default=True, help="Result of the gate, in JSON.")
@inspector_command(output=False)
async def signal_flow(
    inspector: "Inspector", *, queue: str, flow_id: str, gate: str, value: str
) -> None:
    """Let a flow go on that waits, or will wait, at a gate."""
    await inspector.signal(queue, flow_id, gate, _json_of(value))
    output.print_message(f"The gate {gate} of flow {flow_id} has its signal")


def _json_of(text: str) -> Any:  # noqa: ANN401 - any JSON
    try:
        return json.loads(text)
    except ValueError as error:
        msg = f"--value must be JSON, such as true or '\"text\"': {error}"
        raise click.UsageError(msg) from error


@flow.command("skip")
@queue_option
@flow_argument
@click.argument("steps", nargs=-1, required=True, metavar="STEP...")
@inspector_command(output=False)
async def skip_steps(
    inspector: "Inspector", *, queue: str, flow_id: str, steps: Sequence[str]
) -> int:
    """Let a flow go on as if steps had succeeded."""
    skip = functools.partial(inspector.skip_step, queue, flow_id)
    return await do_each(steps, skip, 'Successfully skipped step "{}"')
