"""``pyasynq completion bash|zsh|fish``: the shell completes commands and options.

source <(pyasynq completion bash)
"""

import argparse
import shlex
from collections.abc import Iterator
from typing import Any, Final, cast

from pyasynq.cli.exits import Exit
from pyasynq.cli.output import data

SHELLS: Final = ("bash", "zsh", "fish")

_BASH: Final = """\
_pyasynq() {
  local words="" place="" i
  for ((i = 1; i < COMP_CWORD; i++)); do
    [[ ${COMP_WORDS[i]} == -* ]] && continue
    case "$place ${COMP_WORDS[i]}" in
%(places)s
    esac
  done
  case "$place" in
%(words)s
  esac
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "${COMP_WORDS[COMP_CWORD]}")
}
complete -o default -F _pyasynq pyasynq
"""
_ZSH: Final = """\
#compdef pyasynq
autoload -U +X bashcompinit && bashcompinit
"""
_FISH: Final = "complete -c pyasynq -n %(condition)s -a %(words)s\n"


def add_to(commands: Any) -> None:  # noqa: ANN401 - argparse keeps the type to itself
    """Add the command to the command line."""
    parser = commands.add_parser(
        "completion", help="print what makes a shell complete commands", description=__doc__
    )
    parser.add_argument("shell", choices=SHELLS)
    parser.set_defaults(run=run)


def run(words: argparse.Namespace) -> int:
    """Print the script of the shell."""
    places = dict(_places(words.parser, ()))
    match words.shell:
        case "bash":
            data(_bash(places))
        case "zsh":
            data(_ZSH + _bash(places))
        case _:
            data(_fish(places))
    return Exit.OK


def _places(
    parser: argparse.ArgumentParser, path: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], list[str]]]:
    """Yield every command, as the words that lead there, with what may follow it."""
    options = [flag for flag in parser._option_string_actions if flag.startswith("--")]  # noqa: SLF001
    commands: dict[str, argparse.ArgumentParser] = {}
    for action in parser._actions:  # noqa: SLF001 - argparse shows its tree nowhere else
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            commands |= cast("dict[str, argparse.ArgumentParser]", action.choices)
        elif action.choices and not action.option_strings:
            options += [str(choice) for choice in action.choices]
    yield path, [*commands, *options]
    for name, command in commands.items():
        yield from _places(command, (*path, name))


def _bash(places: dict[tuple[str, ...], list[str]]) -> str:
    quoted = {path: shlex.quote("".join(f" {word}" for word in path)) for path in places}
    return _BASH % {
        "places": "\n".join(
            f"      {name}) place={name} ;;" for path, name in quoted.items() if path
        ),
        "words": "\n".join(
            f"    {quoted[path]}) words={shlex.quote(' '.join(words))} ;;"
            for path, words in places.items()
        ),
    }


def _fish(places: dict[tuple[str, ...], list[str]]) -> str:
    lines = ["complete -c pyasynq -f\n"]
    for path, words in places.items():
        if not path:
            condition = "__fish_use_subcommand"
        else:
            seen = [f"__fish_seen_subcommand_from {name}" for name in path]
            condition = "; and ".join(seen)
        lines.append(
            _FISH % {"condition": shlex.quote(condition), "words": shlex.quote(" ".join(words))}
        )
    return "".join(lines)
