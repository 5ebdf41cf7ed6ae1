"""Values that the shell offers: read from the broker within a second, and none if that fails."""

import asyncio
import functools
import io
import re
from collections.abc import AsyncIterator, Callable
from contextlib import redirect_stderr, redirect_stdout, suppress
from typing import TYPE_CHECKING, Final, TypeAlias

import click
from click.shell_completion import CompletionItem

from pyasynq.cli.exit_codes import Exit
from pyasynq.cli.output import count
from pyasynq.cli.shutdown import Invocation, end_after
from pyasynq.core.safe_text import safe
from pyasynq.core.states import TaskState

if TYPE_CHECKING:
    from pyasynq.inspector import Inspector

Offers: TypeAlias = "list[CompletionItem]"
Items: TypeAlias = AsyncIterator[CompletionItem]
Read: TypeAlias = "Callable[[Inspector, click.Context], Items]"
Complete: TypeAlias = Callable[[click.Context, click.Parameter, str], Offers]

LONGEST_S: Final = 1.0
"""Longest wait for the broker, seconds: a person waits for the answer."""

LONGEST_RUNS: Final = 5
"""A completion that also imports an app is ended after this many waits."""

HARMLESS: Final = re.compile(r"[\w@%+=:,./][\w@%+=:,./-]*")
"""Values that are offered: producers choose names, and a shell acts on ``$(…)`` and ``;``."""

MOST_TASKS: Final = 100
"""Most tasks of one state, or of one group, that are offered."""


def _completer(read: Read) -> Complete:
    """Make a completion function for click of *read*."""

    @functools.wraps(read)
    def complete(ctx: click.Context, _param: click.Parameter, incomplete: str) -> Offers:
        return _filter(
            ctx, incomplete, lambda: asyncio.run(_collect(read, _open_inspector(ctx), ctx))
        )

    return complete


def _open_inspector(ctx: click.Context) -> "Inspector":
    from pyasynq.cli.connection_options import ConnectionOptions
    from pyasynq.cli.run_inspector import open_inspector

    return open_inspector(ConnectionOptions.of(ctx), ctx.params.get("app"))


async def _collect(read: Read, inspector: "Inspector", ctx: click.Context) -> Offers:
    """Return the items that *read* yields before the time is over."""
    offers: Offers = []
    with suppress(TimeoutError):
        async with asyncio.timeout(LONGEST_S), inspector:
            async for item in read(inspector, ctx):
                offers.append(item)
    return offers


def _filter(ctx: click.Context, incomplete: str, read: Callable[[], Offers]) -> Offers:
    """Return the items that begin with *incomplete*; none if *read* fails, and print nothing.

    The process of the command line ends soon, even if importing the app takes longer.
    """
    if isinstance(ctx.obj, Invocation) and ctx.obj.is_process:
        end_after(LONGEST_RUNS * LONGEST_S, Exit.FAILED)
    try:
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            items = read()
    except Exception:  # noqa: BLE001 - the shell would show an error in the middle of the line
        return []
    return [
        CompletionItem(item.value, help=_escape_help(item.help))
        for item in items
        if item.value.startswith(incomplete) and HARMLESS.fullmatch(item.value)
    ]


def _escape_help(text: str | None) -> str | None:
    """Return *text*, which producers choose, in one line."""
    return text and safe(" ".join(text.split()))


@_completer
async def complete_queues(inspector: "Inspector", _ctx: click.Context) -> Items:
    """Offer all queues."""
    for queue in await inspector.queues():
        yield CompletionItem(queue)


@_completer
async def complete_groups(inspector: "Inspector", ctx: click.Context) -> Items:
    """Offer the groups of the queue ``-q``."""
    for group in await inspector.groups(ctx.params["queue"]):
        yield CompletionItem(group.group, help=count(group.size, "task"))


@_completer
async def complete_batch_ids(inspector: "Inspector", ctx: click.Context) -> Items:
    """Offer the batches of the queue ``-q``."""
    for batch in await inspector.batches(ctx.params["queue"], size=MOST_TASKS):
        yield CompletionItem(batch.id, help=f"{batch.state} {batch.ended}/{batch.total}")


@_completer
async def complete_task_ids(inspector: "Inspector", ctx: click.Context) -> Items:
    """Offer the tasks of the queue ``-q``, of the state ``-s`` if it was given."""
    queue, state = ctx.params["queue"], ctx.params.get("state")
    groups = [group.group for group in await inspector.groups(queue)]
    for one in [TaskState(state)] if state else TaskState:
        for group in groups if one is TaskState.AGGREGATING else [None]:
            for task in await inspector.list_tasks(queue, one, group=group, size=MOST_TASKS):
                yield CompletionItem(task.id, help=f"{task.state.value} {task.type}")


@_completer
async def complete_flow_ids(inspector: "Inspector", ctx: click.Context) -> Items:
    """Offer the flows of the queue ``-q``."""
    for state in ("running", "ended"):
        for flow in await inspector.flows(ctx.params["queue"], state, size=MOST_TASKS):
            yield CompletionItem(flow.id, help=f"{flow.state} {flow.name}")


@_completer
async def complete_running_ids(inspector: "Inspector", _ctx: click.Context) -> Items:
    """Offer the tasks that servers run."""
    for server in await inspector.servers():
        for worker in server.active_workers:
            yield CompletionItem(worker.task_id, help=worker.task_type)


@_completer
async def complete_servers(inspector: "Inspector", _ctx: click.Context) -> Items:
    """Offer the ids and the deployments of running servers."""
    servers = await inspector.servers()
    for name in sorted({server.deployment for server in servers if server.deployment}):
        yield CompletionItem(name, help="deployment")
    for server in servers:
        yield CompletionItem(server.id, help=f"{server.host} {server.pid}")


@_completer
async def complete_entry_ids(inspector: "Inspector", _ctx: click.Context) -> Items:
    """Offer the entries of all schedulers."""
    for entry in await inspector.scheduler_entries():
        yield CompletionItem(entry.id, help=f"{entry.spec} {entry.task.type}")


def complete_types(ctx: click.Context, _param: click.Parameter, incomplete: str) -> Offers:
    """Offer the types of the tasks of ``--app``."""

    def read() -> Offers:
        from pyasynq.cli.app_loader import load_app

        return [CompletionItem(type) for type in load_app(ctx.params["app"]).tasks]

    return _filter(ctx, incomplete, read)
