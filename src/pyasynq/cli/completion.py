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
  local offers="" place="" word
  for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    [[ $word == -* ]] && continue
%(cases)s
  COMPREPLY=($(compgen -W "$offers" -- "${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _pyasynq pyasynq
"""
_ZSH: Final = """\
_pyasynq() {
  local offers="" place="" word
  for word in "${(@)words[2,CURRENT-1]}"; do
    [[ $word == -* ]] && continue
%(cases)s
  compadd -- ${=offers} || _files
}
compdef _pyasynq pyasynq
"""
_CASES: Final = """\
    case "$place $word" in
%(places)s
    esac
  done
  case "$place" in
%(offers)s
  esac"""
_FISH: Final = "complete -c pyasynq -n %(condition)s -a %(words)s\n"


def add_to(commands: Any) -> None:  # noqa: ANN401 - argparse keeps the type to itself
    """Add the command to the command line."""
    parser = commands.add_parser(
        "completion",
        help="print what makes a shell complete commands",
        description="Print what makes a shell complete commands: source <(pyasynq completion bash)",
    )
    parser.add_argument("shell", choices=SHELLS)
    parser.set_defaults(run=run)


def run(words: argparse.Namespace) -> int:
    """Print the script of the shell."""
    places = dict(_places(words.parser, ()))
    match words.shell:
        case "bash":
            data(_BASH % {"cases": _cases(places)})
        case "zsh":
            data(_ZSH % {"cases": _cases(places)})
        case _:
            data(_fish(places))
    return Exit.OK


def _places(
    parser: argparse.ArgumentParser, path: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], list[str]]]:
    """Yield every command, as the words that lead there, with what may follow it."""
    flags = parser._option_string_actions  # noqa: SLF001
    options = [flag for flag in flags if flag.startswith("--") and "_" not in flag]
    commands: dict[str, argparse.ArgumentParser] = {}
    for action in parser._actions:  # noqa: SLF001 - argparse shows its tree nowhere else
        if isinstance(action.choices, dict):
            commands |= cast("dict[str, argparse.ArgumentParser]", action.choices)
        elif action.choices and not action.option_strings:
            options += [str(choice) for choice in action.choices]
    yield path, [*commands, *options]
    for name, command in commands.items():
        yield from _places(command, (*path, name))


def _cases(places: dict[tuple[str, ...], list[str]]) -> str:
    """Return how a shell follows the words to a place, and what is offered there."""
    quoted = {path: shlex.quote("".join(f" {word}" for word in path)) for path in places}
    moves = (f"      {name}) place={name} ;;" for path, name in quoted.items() if path)
    offers = (
        f"    {quoted[path]}) offers={shlex.quote(' '.join(words))} ;;"
        for path, words in places.items()
    )
    return _CASES % {"places": "\n".join(moves), "offers": "\n".join(offers)}


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
