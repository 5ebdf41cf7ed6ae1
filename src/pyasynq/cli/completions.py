"""What the shell offers as values: it asks Redis, briefly, and offers nothing if that fails."""

import asyncio
import io
from collections.abc import AsyncIterator, Callable
from contextlib import redirect_stderr, redirect_stdout, suppress
from typing import TYPE_CHECKING, Final, TypeAlias

import click
from click.shell_completion import CompletionItem

from pyasynq.core.states import TaskState

if TYPE_CHECKING:
    from pyasynq.inspector import Inspector

Items: TypeAlias = "list[CompletionItem]"
Read: TypeAlias = "Callable[[Inspector, click.Context], AsyncIterator[CompletionItem]]"
Complete: TypeAlias = "Callable[[click.Context, click.Parameter, str], Items]"

LONGEST_S: Final = 1.0
"""Longest wait for Redis, seconds: somebody has pressed a key."""

MOST_TASKS: Final = 100
"""Most tasks that are offered of one state, or of one group."""


def _completer(read: Read) -> Complete:
    """Return a function for click that offers what *read* yields, as far as Redis answers."""

    def complete(ctx: click.Context, _param: click.Parameter, incomplete: str) -> Items:
        return _matching(incomplete, lambda: asyncio.run(_collect(read, _open_inspector(ctx), ctx)))

    return complete


def _open_inspector(ctx: click.Context) -> "Inspector":
    from pyasynq.cli.redis_options import RedisOptions
    from pyasynq.cli.run_inspector import open_inspector

    return open_inspector(RedisOptions.of(ctx), ctx.params.get("app"))


async def _collect(read: Read, inspector: "Inspector", ctx: click.Context) -> Items:
    items: Items = []
    with suppress(TimeoutError):
        async with asyncio.timeout(LONGEST_S), inspector:
            async for item in read(inspector, ctx):
                items.append(item)
    return items


def _matching(incomplete: str, read: Callable[[], Items]) -> Items:
    """Return the items that begin with *incomplete*; none if *read* fails, and print nothing."""
    try:
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            items = read()
    except Exception:  # noqa: BLE001 - the shell shows whatever is printed in the middle of the line
        return []
    return [item for item in items if item.value.startswith(incomplete)]


async def _read_queues(
    inspector: "Inspector", _ctx: click.Context
) -> "AsyncIterator[CompletionItem]":
    for queue in await inspector.queues():
        yield CompletionItem(queue)


async def _read_groups(
    inspector: "Inspector", ctx: click.Context
) -> "AsyncIterator[CompletionItem]":
    for group in await inspector.groups(ctx.params["queue"]):
        yield CompletionItem(group.group, help=f"{group.size} tasks")


async def _read_task_ids(
    inspector: "Inspector", ctx: click.Context
) -> "AsyncIterator[CompletionItem]":
    queue, state = ctx.params["queue"], ctx.params.get("state")
    groups = [group.group for group in await inspector.groups(queue)]
    for one in [TaskState(state)] if state else TaskState:
        for group in groups if one is TaskState.AGGREGATING else [None]:
            for task in await inspector.list_tasks(queue, one, group=group, size=MOST_TASKS):
                yield CompletionItem(task.id, help=f"{task.state.value} {task.type}")


async def _read_running_ids(
    inspector: "Inspector", _ctx: click.Context
) -> "AsyncIterator[CompletionItem]":
    for server in await inspector.servers():
        for worker in server.active_workers:
            yield CompletionItem(worker.task_id, help=worker.task_type)


async def _read_entry_ids(
    inspector: "Inspector", _ctx: click.Context
) -> "AsyncIterator[CompletionItem]":
    for entry in await inspector.scheduler_entries():
        yield CompletionItem(entry.id, help=f"{entry.spec} {entry.task.type}")


complete_queues: Final = _completer(_read_queues)
complete_groups: Final = _completer(_read_groups)
complete_task_ids: Final = _completer(_read_task_ids)
complete_running_ids: Final = _completer(_read_running_ids)
complete_entry_ids: Final = _completer(_read_entry_ids)


def complete_types(ctx: click.Context, _param: click.Parameter, incomplete: str) -> Items:
    """Offer the types of the tasks of ``--app``."""

    def read() -> Items:
        from pyasynq.cli.app_loader import load_app

        return [CompletionItem(type) for type in load_app(ctx.params["app"]).tasks]

    return _matching(incomplete, read)
