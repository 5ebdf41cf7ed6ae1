"""Options that several commands have."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

import click

from pyasynq.cli import completions
from pyasynq.cli.option_types import BYTES, DURATION, INSTANT, POSITIVE, option_with_variable

F = TypeVar("F", bound=Callable[..., object])

AGGREGATING: Final = "aggregating"
STATES: Final = ("active", "pending", AGGREGATING, "scheduled", "retry", "archived", "completed")


def _is_json(_ctx: click.Context, _option: click.Parameter, form: str) -> bool:
    return form == "json"


def output_option(*, variable: bool = True, ignored: bool = False) -> Callable[[F], F]:
    """Return a decorator that adds ``-o``, for the parameter *as_json*.

    Args:
        variable: Read its environment variable, too, and pass a bool; otherwise the text, if any.
        ignored: Accept the option, but do not pass it: the command prints no data.
    """
    add = option_with_variable if variable else click.option
    return add(
        "-o",
        "--output",
        "as_json",
        type=click.Choice(["table", "json"], case_sensitive=False),
        default="table",
        show_default=True,
        callback=_is_json if variable else None,
        expose_value=not ignored,
        help="Table for people, JSON for programs.",
    )


def log_options(function: F) -> F:
    """Add ``--log-format`` and ``--log-level``, for the parameters of `logs.set_up`."""
    log_format = option_with_variable(
        "--log-format",
        type=click.Choice(["console", "json"], case_sensitive=False),
        help="Form of log lines; console when not given; the app's own logging configuration wins.",
    )
    log_level = option_with_variable(
        "--log-level",
        type=click.Choice(["debug", "info", "warning", "error"], case_sensitive=False),
        help="Lowest level of log lines; info when not given; the app's own configuration wins.",
    )
    return log_format(log_level(function))


def _check_single(_ctx: click.Context, option: click.Parameter, values: Sequence[str]) -> str:
    if len(values) > 1:
        msg = f"{option.opts[0]} is given twice: this command takes one task"
        raise click.UsageError(msg)
    return values[0]


queue_option: Final = click.option(
    "-q",
    "--queue",
    required=True,
    help="Queue.",
    shell_complete=completions.complete_queues,
)
id_option: Final = click.option(
    "-i",
    "--id",
    "task_id",
    multiple=True,
    required=True,
    callback=_check_single,
    help="Id of the task.",
    shell_complete=completions.complete_task_ids,
)
ids_option: Final = click.option(
    "-i",
    "--id",
    "task_ids",
    multiple=True,
    required=True,
    help="Id of the task; repeatable.",
    shell_complete=completions.complete_task_ids,
)
app_option: Final = click.option(
    "--app", metavar="MODULE:APP", help="App whose broker and codecs are used."
)
page_option: Final = click.option("--page", **POSITIVE, default=1, show_default=True, help="Page.")
size_option: Final = click.option(
    "--size", **POSITIVE, default=30, show_default=True, help="Rows on a page."
)
deadline_option: Final = click.option(
    "--deadline",
    **INSTANT,
    help="Time by which the task must have run, such as 2030-01-31T12:00:00Z.",
)
process_at_option: Final = click.option(
    "--process-at", **INSTANT, help="When to run the task, such as 2030-01-31T12:00:00Z."
)
process_in_option: Final = click.option(
    "--process-in", **DURATION, help="Time until the task is run, such as 5m."
)
retention_option: Final = click.option(
    "--retention", **DURATION, help="Time to keep the task after success, such as 24h."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskPlace:
    """A queue, a state, and for aggregating tasks their group."""

    queue: str
    state: str
    group: str | None


def place_options(
    states: Sequence[str] = STATES,
) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """Return a decorator that adds ``-q``, ``-s`` (one of *states*) and ``-g``, as *where*."""
    state_option = click.option(
        "-s",
        "--state",
        type=click.Choice(states, case_sensitive=False),
        metavar="STATE",
        required=True,
        help=f"State of the tasks: {', '.join(states)}.",
    )

    def decorate(command: Callable[..., int]) -> Callable[..., int]:
        @functools.wraps(command)
        def run(*, queue: str, state: str, group: str | None, **options: object) -> int:
            _check_group(queue, state, group)
            return command(where=TaskPlace(queue=queue, state=state, group=group), **options)

        return queue_option(state_option(_group_option(run)))

    return decorate


CRITERIA: Final = ("type", "payload", "error", "older")
"""Parameters of `criteria_options`."""


def criteria_options(command: Callable[..., int]) -> Callable[..., int]:
    """Add the criteria that tasks must meet."""
    for option in reversed(
        (
            click.option(
                "-t", "--type", help="Type of the tasks.", shell_complete=completions.complete_types
            ),
            click.option("--payload", **BYTES, help="Text in the payload."),
            click.option("--error", help="Text in the last error."),
            click.option("--older", **DURATION, help="Least time since the last failure."),
        )
    ):
        command = option(command)
    return command


def _check_group(queue: str, state: str, group: str | None) -> None:
    """Return if a group is given for aggregating tasks, and for no others.

    Raises:
        click.UsageError: If it is missing, or cannot be used.
    """
    is_aggregating = state == AGGREGATING
    if is_aggregating and group is None:
        msg = f"-s {AGGREGATING} needs --group; pyasynq group list -q {queue} shows the groups"
        raise click.UsageError(msg)
    if group is not None and not is_aggregating:
        msg = (
            f"--group is for -s {AGGREGATING} only; pyasynq group list -q {queue} shows the groups"
        )
        raise click.UsageError(msg)


_group_option: Final = click.option(
    "-g",
    "--group",
    help=f"Group of the tasks; required with -s {AGGREGATING}, and only there.",
    shell_complete=completions.complete_groups,
)
