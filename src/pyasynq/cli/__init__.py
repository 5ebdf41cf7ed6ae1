"""The command line: one file per noun.

Data goes to stdout, messages to stderr. Every option has a ``PYASYNQ_…`` variable; the option wins.
"""

import argparse
import os
import sys
from collections.abc import Sequence

from pyasynq.cli import relay, worker
from pyasynq.cli.exits import Exit, ExitError


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command in *argv* (the process's own when None); return the exit code."""
    parser = _parser()
    words = parser.parse_args(argv)
    try:
        code: int = words.run(words)
    except ExitError as error:
        print(f"pyasynq: {error}", file=sys.stderr)  # noqa: T201 - messages of a command line
        return error.code
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    return code


def _parser() -> argparse.ArgumentParser:
    from pyasynq import __version__

    parser = argparse.ArgumentParser(prog="pyasynq", description="Task queues on Redis.")
    parser.add_argument("--version", action="version", version=f"pyasynq {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    worker.add_to(commands, os.environ)
    relay.add_to(commands, os.environ)
    return parser
