"""``pyasynq completion bash|zsh|fish``: print a completion script for a shell."""

import click
from click.shell_completion import get_completion_class

from pyasynq.cli.command_group import Command
from pyasynq.cli.exit_codes import Exit
from pyasynq.cli.output import print_data

VARIABLE = "_PYASYNQ_COMPLETE"
"""The variable with which the script asks for completions; click defines the name."""


@click.command(cls=Command)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, *, shell: str) -> int:
    """Print the completion script of a shell.

    For instance: source <(pyasynq completion bash)
    """
    kind = get_completion_class(shell)
    if kind is None:
        msg = f"click knows no completion for {shell}"
        raise click.UsageError(msg)
    script = kind(ctx.find_root().command, {}, "pyasynq", VARIABLE)
    # source() of bash would first run bash to ask for its version.
    print_data(script.source_template % script.source_vars())
    return Exit.OK
