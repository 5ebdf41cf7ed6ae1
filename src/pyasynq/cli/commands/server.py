"""``pyasynq server``: read the running servers, those of Go included, and control our own."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import click

from pyasynq.cli import completions, output
from pyasynq.cli.command_group import CommandGroup
from pyasynq.cli.confirm import ask_first
from pyasynq.cli.option_types import COUNT, drop_none, flag_errors, parse_weights
from pyasynq.cli.run_inspector import inspector_command, read_each
from pyasynq.core.wanted_state import EVERY, encode_settings

if TYPE_CHECKING:
    from pyasynq.core.info import ServerInfo
    from pyasynq.core.wanted_state import ServerControl
    from pyasynq.inspector import Inspector

LASTS: Final = (
    "what is wanted of a deployment, or of all servers, lasts: `pyasynq server resume` before you "
    "start others"
)

HEADINGS: Final = ("Host", "PID", "State", "Active Workers", "Queues", "Started", "ID")

targets_argument: Final = click.argument(
    "targets",
    nargs=-1,
    required=True,
    metavar="TARGET...",
    shell_complete=completions.complete_servers,
)


@click.group(cls=CommandGroup)
def server() -> None:
    """Show and control running servers.

    A TARGET is the id of a server, the name of a deployment, or '*' for all servers. Servers
    notice a change within 5 s. What is wanted of a deployment, or of all servers, also holds for
    those that start later, until it is reset. Go's servers ignore it.
    """


@server.command("list")
@inspector_command()
async def list_servers(inspector: "Inspector", *, as_json: bool) -> None:
    """List running servers."""
    servers = sorted(await inspector.servers(), key=lambda it: (it.host, it.pid))
    now = datetime.now(UTC)
    is_named = any(it.deployment for it in servers)
    output.print_json_or_table(
        servers,
        [*HEADINGS, *["Deployment"] * is_named],
        [[*_row(it, now), *[it.deployment or ""] * is_named] for it in servers],
        empty="No running servers",
        as_json=as_json,
    )
    for it in servers:
        for name, why in it.not_applied.items():
            output.print_message(f"{it.id} could not apply another {name}: {why}")


def _row(server: "ServerInfo", now: datetime) -> list[object]:
    return [
        server.host,
        server.pid,
        server.status,
        f"{len(server.active_workers)}/{server.concurrency}",
        _format_weights(server.queues),
        output.format_ago(server.started, now),
        server.id,
    ]


def _format_weights(queues: Mapping[str, int]) -> str:
    ranked = sorted(queues.items(), key=lambda queue: (-queue[1], queue[0]))
    return " ".join(f"{queue}:{weight}" for queue, weight in ranked)


@server.command("quiet")
@targets_argument
@inspector_command(output=False)
async def quiet_servers(inspector: "Inspector", *, targets: Sequence[str]) -> int:
    """Have servers take no more tasks; running ones end, and the servers stay."""
    return await _control_each(inspector, targets, "take no more tasks", quiet=True)


@server.command("resume")
@targets_argument
@inspector_command(output=False)
async def resume_servers(inspector: "Inspector", *, targets: Sequence[str]) -> int:
    """Have servers take tasks again; also undoes a stop for servers that start later."""
    return await _control_each(inspector, targets, "take tasks", quiet=False)


def _ask_to_stop(values: Mapping[str, Any]) -> str:
    names = ", ".join("all servers" if it == EVERY else f'"{it}"' for it in values["targets"])
    return f"Stop {names}"


@server.command("stop")
@targets_argument
@ask_first(_ask_to_stop)
@inspector_command(output=False)
async def stop_servers(inspector: "Inspector", *, targets: Sequence[str]) -> int:
    """Have servers end once their running tasks have; asks first.

    Servers of a stopped deployment that start later end at once, until it is resumed.
    """
    code = await _control_each(inspector, targets, "end", stop=True)
    output.print_message(LASTS)
    return code


@server.command("set")
@targets_argument
@click.option("-c", "--concurrency", **COUNT, help="Most tasks that run at once.")
@click.option(
    "-Q",
    "--queues",
    type=parse_weights,
    metavar="QUEUES",
    help="Queues and weights, such as critical=6,low=1 or tenant-*=1, in place of all others.",
)
@inspector_command(output=False)
async def set_servers(
    inspector: "Inspector",
    *,
    targets: Sequence[str],
    concurrency: int | None,
    queues: Mapping[str, int] | None,
) -> int:
    """Have servers run more or fewer tasks at once, or serve other queues."""
    wanted = drop_none({"concurrency": concurrency, "queues": queues})
    if not wanted:
        msg = "nothing to set: give --concurrency or --queues"
        raise click.UsageError(msg)
    with flag_errors(wanted):
        encode_settings(wanted)  # refuses wrong values before anything is written
    return await _control_each(inspector, targets, "change", **wanted)


@server.command("reset")
@targets_argument
@inspector_command(output=False)
async def reset_servers(inspector: "Inspector", *, targets: Sequence[str]) -> int:
    """Forget all that was wanted of servers: their own options hold again."""
    return await _control_each(inspector, targets, "follow their own options", reset=True)


@server.command("controls")
@inspector_command()
async def list_controls(inspector: "Inspector", *, as_json: bool) -> None:
    """List what is wanted of servers."""
    controls = await inspector.controls()
    output.print_json_or_table(
        controls,
        ["Target", "State", "Concurrency", "Queues", "Changed"],
        [_control_row(it) for it in controls],
        empty="Nothing is wanted of servers: their own options hold",
        as_json=as_json,
    )


def _control_row(control: "ServerControl") -> list[object]:
    return [
        control.target,
        control.state or "",
        control.concurrency or "",
        _format_weights(control.queues or {}),
        output.format_ago(control.changed_at, datetime.now(UTC)),
    ]


async def _control_each(
    inspector: "Inspector",
    targets: Sequence[str],
    change: str,
    **wanted: Any,  # noqa: ANN401 - see `Inspector.control`
) -> int:
    """Have the servers of each target do what is *wanted*; print how many there are."""

    async def control(target: str) -> "tuple[str, int]":
        return target, len(await inspector.control(target, **wanted))

    code, counts = await read_each(targets, control)
    for target, count in counts:
        output.print_message(_describe(target, count, change))
    return code


def _describe(target: str, count: int, change: str) -> str:
    name = "all servers" if target == EVERY else repr(target)
    if not count:
        return f"{name}: no such server runs now; those that start later are to {change}"
    return f"{name}: {output.count(count, 'running server')} to {change}"


server.add_command(list_servers, "ls")
