"""What the commands of ``manage.py`` share: each is one of ``pyasynq``, with its options."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from django.core.management.base import BaseCommand, CommandParser

from pyasynq.cli.main import run

APP = f"{__package__}:app"


class CliCommand(BaseCommand):
    """Runs a command of ``pyasynq`` for the project; Django knows only its own options."""

    command: ClassVar[str]
    """Name of the command of ``pyasynq``."""

    requires_system_checks = ()

    def place(self, **_options: object) -> str:
        """Return what the command runs, as ``module:name``."""
        return APP

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:  # noqa: ANN401
        """Return a parser that leaves unknown options, and ``--help``, to the command."""
        parser = super().create_parser(
            prog_name, subcommand, add_help=False, allow_abbrev=False, **kwargs
        )
        parse = parser.parse_known_args

        def parse_args(
            args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
        ) -> argparse.Namespace:
            known = argparse.Namespace() if namespace is None else namespace
            _, others = parse(args, known)
            known.args = others
            return known

        parser.parse_args = parse_args  # type: ignore[method-assign,assignment]
        return parser

    def print_help(self, prog_name: str, subcommand: str) -> None:
        """Print the help of the command."""
        run([self.command, "--help"], is_process=False)

    def run_from_argv(self, argv: list[str]) -> None:
        """Run the command as this process."""
        _let_children_import(sys.path[0])
        self._is_process = True
        super().run_from_argv(argv)

    def handle(self, *args: str, **options: Any) -> None:  # noqa: ANN401 - as the base class has it
        """Run the command.

        Raises:
            SystemExit: With its exit code, if that is not 0.
        """
        words = [self.command, self.place(**options), *args]
        if code := run(words, is_process=getattr(self, "_is_process", False)):
            sys.exit(code)


def _let_children_import(folder: str) -> None:
    """Let the processes of ``-p``, which ``manage.py`` does not start, find modules in *folder*."""
    if folder and not Path(folder).samefile(Path.cwd()):
        paths = [folder, *filter(None, [os.environ.get("PYTHONPATH")])]
        os.environ["PYTHONPATH"] = os.pathsep.join(paths)
