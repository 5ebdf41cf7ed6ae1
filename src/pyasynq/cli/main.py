"""``pyasynq``: all commands, and their exit codes."""

import os
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from io import TextIOWrapper
from pathlib import Path

import click
from click.exceptions import NoArgsIsHelpError

from pyasynq import __version__
from pyasynq.cli.command_group import Command, CommandGroup
from pyasynq.cli.commands import (
    completion,
    cron,
    dash,
    dashboard,
    doctor,
    group,
    metrics,
    queue,
    relay,
    scheduler,
    server,
    stats,
    store,
    task,
    worker,
)
from pyasynq.cli.connection_options import connection_options
from pyasynq.cli.exit_codes import Exit
from pyasynq.cli.options import output_option
from pyasynq.cli.output import print_data, print_message
from pyasynq.cli.shutdown import Invocation


@contextmanager
def usable_streams() -> Generator[None]:
    """Have stdin, stdout and stderr, and let stdout take every character.

    The null device stands for a stream that this process was started without. A character that
    stdout has not, because of its encoding, is escaped as on stderr.
    """
    with ExitStack() as stack:
        for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
            if getattr(sys, name) is None:
                setattr(sys, name, stack.enter_context(Path(os.devnull).open(mode)))
                stack.callback(setattr, sys, name, None)
        if isinstance(out := sys.stdout, TextIOWrapper):
            stack.callback(_restore, out.reconfigure, out.errors)
            out.reconfigure(errors="backslashreplace")
        yield


def _restore(reconfigure: Callable[..., None], errors: str | None) -> None:
    with suppress(BrokenPipeError):  # it flushes, and the reader of stdout may be gone
        reconfigure(errors=errors)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command in *argv*; return the exit code.

    Args:
        argv: Arguments without the program's name; None is those of this process. The command may
            then end the process, if a handler still hangs.
    """
    return run(sys.argv[1:] if argv is None else argv, is_process=argv is None)


@usable_streams()
def run(argv: Sequence[str], *, is_process: bool) -> int:
    """Run the command in *argv*; return the exit code.

    Args:
        argv: Arguments without the program's name.
        is_process: Whether the command is all that this process does, so that it may end it, if a
            handler still hangs.
    """
    arguments = [*argv]
    invocation = Invocation(arguments=arguments, is_process=is_process)
    try:
        code: int = cli.main(arguments, "pyasynq", standalone_mode=False, obj=invocation)
    except NoArgsIsHelpError as error:
        error.show()
        return Exit.USAGE
    except click.ClickException as error:
        _show(error)
        return error.exit_code
    except click.Abort:
        return Exit.INTERRUPTED
    except SystemExit as end:  # click: a completion is done, or stdout is closed; or a handler
        if not isinstance(end.code, int | None):
            raise
        return end.code or Exit.OK
    return code


def _show(error: click.ClickException) -> None:
    """Print the message of *error*; a usage error as one line below the usage."""
    text = error.format_message()
    if not isinstance(error, click.UsageError) or error.ctx is None:
        print_message(f"pyasynq: {text}")
        return
    print_message(error.ctx.get_usage())
    print_message(f"{error.ctx.command_path}: {' '.join(text.split())}")


def _replace_underscores(word: str) -> str:
    """Return ``--cluster-addrs`` for ``--cluster_addrs``, the spelling of Go's tool."""
    return word.replace("_", "-")


@click.group(
    cls=CommandGroup,
    context_settings={
        "help_option_names": ["-h", "--help"],
        "max_content_width": 100,
        "token_normalize_func": _replace_underscores,
    },
)
@click.version_option(__version__, message="pyasynq %(version)s")
@output_option(variable=False)
@connection_options(variables=False)
def cli(**_options: object) -> None:
    """Task queues on Redis, or on a file of SQLite.

    The options below may stand before a command or after it. "pyasynq COMMAND --help" explains a
    command; if something seems to be wrong, begin with "pyasynq doctor".
    """


@cli.result_callback()
def _flush(code: int, **_options: object) -> int:
    """Flush here, where click turns a closed pipe into a quiet end of the command."""
    sys.stdout.flush()
    return code


@click.command(cls=Command)
def version() -> int:
    """Print the version."""
    print_data(f"pyasynq {__version__}")
    return Exit.OK


for _command in (
    worker.worker,
    scheduler.scheduler,
    relay.relay,
    stats.stats,
    queue.queue,
    task.task,
    group.group,
    server.server,
    cron.cron,
    store.store,
    metrics.metrics,
    dashboard.dashboard,
    dash.dash,
    doctor.doctor,
    completion.completion,
    version,
):
    cli.add_command(_command)
