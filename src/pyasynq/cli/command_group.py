"""Commands and groups: options before the command, aliases, and the layout of help."""

from collections.abc import Iterable, Iterator, Sequence, Set

import click
from click.core import ParameterSource

from pyasynq.cli.connection_options import NAMES

ANYWHERE = frozenset({*NAMES, "as_json"})
"""Options that may stand before the command as well as after it."""


class Command(click.Command):
    """A command that reads ``-q=low`` as ``-q low``, as Go's tool does.

    Its help lists the options of the connection in a section of their own.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Split ``-q=low`` into ``-q low``, then parse *args*."""
        with_value = {
            flag
            for param in self.get_params(ctx)
            if isinstance(param, click.Option) and not param.is_flag
            for flag in param.opts
        }
        to_end = ctx.allow_interspersed_args
        return super().parse_args(ctx, list(_split_values(args, with_value, to_end=to_end)))

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the options of the command first, then those of the connection."""
        options = [it for it in self.get_params(ctx) if isinstance(it, click.Option)]
        own = [it for it in options if it.name not in NAMES]
        connection = [it for it in options if it.name in NAMES]
        if len(connection) == 1:
            own, connection = options, []
        for title, listed in (("Options", own), ("Connection", connection)):
            if rows := [row for it in listed if (row := it.get_help_record(ctx)) is not None]:
                with formatter.section(title):
                    formatter.write_dl(rows)


class CommandGroup(click.Group, Command):
    """Commands, in the order in which they were added.

    Options before the command are inserted before its own arguments, so its own options win.
    """

    command_class: type[click.Command] | None = Command
    group_class: type[click.Group] | type[type] | None = type

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands, and their aliases."""
        return list(self.commands)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List each command once, with its aliases."""
        names: dict[click.Command, list[str]] = {}
        for name, command in self.commands.items():
            names.setdefault(command, []).append(name)
        with formatter.section("Commands"):
            formatter.write_dl(
                [(", ".join(them), it.get_short_help_str(200)) for it, them in names.items()]
            )

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, and insert the options before it into its arguments."""
        name, command, rest = super().resolve_command(ctx, args)
        if command is None or isinstance(command, click.Group):
            return name, command, rest
        before = dict(_options_before(ctx.find_root()))
        if not ctx.resilient_parsing:
            _check_accepted(ctx, command, before)
        return name, command, [*before.values(), *rest]


def _split_values(args: Sequence[str], with_value: Set[str], *, to_end: bool) -> Iterator[str]:
    """Yield *args*, with ``-q=low`` as two arguments unless it is the value of another option.

    Args:
        args: The command line.
        with_value: Options that take a value.
        to_end: Whether options may follow the first positional argument.
    """
    is_value = False
    for n, arg in enumerate(args):
        if not is_value and (arg == "--" or not (to_end or arg.startswith("-"))):
            yield from args[n:]
            return
        if not is_value and arg[:2] in with_value and arg[2:3] == "=":
            yield from (arg[:2], arg[3:])
            continue
        yield arg
        is_value = not is_value and arg.replace("_", "-") in with_value


def _options_before(root: click.Context) -> Iterator[tuple[click.Parameter, str]]:
    """Yield each option before the command, and the argument that repeats it."""
    for param in root.command.params:
        source = root.get_parameter_source(param.name or "")
        if param.name not in ANYWHERE or source is not ParameterSource.COMMANDLINE:
            continue
        flag = max(param.opts, key=len)
        is_switch = isinstance(param, click.Option) and param.is_flag
        yield param, flag if is_switch else f"{flag}={root.params[param.name]}"


def _check_accepted(
    ctx: click.Context, command: click.Command, before: Iterable[click.Parameter]
) -> None:
    """Return if the command has all options that stand before it.

    Raises:
        click.UsageError: If it does not have one.
    """
    accepted = {param.name for param in command.params}
    for param in before:
        if param.name not in accepted:
            instead = "-u URL, not" if "uri" in accepted and param.name in NAMES else "no"
            ctx.fail(f"{command.name} takes {instead} {param.opts[0]}")
