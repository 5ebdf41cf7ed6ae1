"""The command line: one file per noun.

Data goes to stdout, messages to stderr. Where Redis is, the form of the
output, and what worker, scheduler and relay take have ``PYASYNQ_…`` variables; the option wins.
"""

import argparse
import os
import sys
from collections.abc import Sequence

from pyasynq.cli import (
    completion,
    cron,
    group,
    metrics,
    queue,
    relay,
    scheduler,
    server,
    stats,
    task,
    worker,
)
from pyasynq.cli.connecting import add_flags, check_taken
from pyasynq.cli.exits import Exit, ExitError
from pyasynq.cli.output import data
from pyasynq.cli.parser import Parser
from pyasynq.cli.parsing import add_output
from pyasynq.cli.values import Options


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command in *argv* (the process's own when None); return the exit code.

    One of the process's own may end it, should something be left that hangs.
    """
    parser = _parser()
    given = sys.argv[1:] if argv is None else argv
    if not given:
        parser.exit(Exit.USAGE, parser.format_help())
    words = parser.parse_args(given)
    words.given = [*given]
    words.is_process = argv is None
    try:
        check_taken(parser, words)
        code: int = words.run(words)
        sys.stdout.flush()
    except ExitError as error:
        if error.code == Exit.USAGE:
            words.parsed_by.error(str(error))
        print(f"pyasynq: {error}", file=sys.stderr)  # noqa: T201 - messages of a command line
        return error.code
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except BrokenPipeError:
        # Whoever reads has enough, as head does. Python would write the rest at its end, and fail.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.FAILED
    return code


def _parser() -> argparse.ArgumentParser:
    from pyasynq import __version__

    parser = Parser(prog="pyasynq", description="Task queues on Redis.")
    parser.add_argument("--version", action="version", version=f"pyasynq {__version__}")
    add_flags(parser)
    add_output(Options(parser, os.environ))
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for noun in (worker, scheduler, relay, queue, task, group, server, cron, stats, metrics):
        noun.add_to(commands, os.environ)
    completion.add_to(commands)
    version = commands.add_parser("version", help="print the version")
    version.set_defaults(run=_version)
    parser.set_defaults(parser=parser)
    return parser


def _version(_words: argparse.Namespace) -> int:
    from pyasynq import __version__

    data(f"pyasynq {__version__}")
    return Exit.OK
