"""``pyasynq group``: look at groups of tasks that wait to be combined."""

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pyasynq.cli import output
from pyasynq.cli.parsing import Noun
from pyasynq.cli.running import inspect

if TYPE_CHECKING:
    from pyasynq.inspector import Inspector


def add_to(commands: Any, _environ: Mapping[str, str]) -> None:  # noqa: ANN401 - argparse keeps the type to itself
    """Add the noun to the command line."""
    noun = Noun(commands, "group", "look at groups of tasks")
    noun.verb("list", show, aliases=["ls"], help="list the groups of a queue").queue()


def show(words: argparse.Namespace) -> int:
    """List the groups of a queue."""

    async def job(inspector: "Inspector") -> None:
        groups = await inspector.groups(words.queue)
        if output.is_json(words):
            output.json(groups)
        elif not groups:
            output.message(f'No groups found in queue "{words.queue}"')
        for group in [] if output.is_json(words) else groups:
            output.data(group.group)

    return inspect(words, job)
