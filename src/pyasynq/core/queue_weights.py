"""Queues with their weights, as servers list them: names, and patterns such as ``tenant-*``."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, cast

from pyasynq.core.errors import OptionError
from pyasynq.core.options import check_queue

HIGHEST_PRIORITY: Final = 1000

ANY: Final = "*"
"""In a pattern it stands for any text, also for none; all other characters mean themselves."""


def check_weights(queues: object) -> Mapping[str, int]:
    """Return *queues* if it maps names or patterns of queues to weights.

    Raises:
        OptionError: If it does not, or is empty.
    """
    allowed = f"a mapping of queues to whole weights from 1 to {HIGHEST_PRIORITY}"
    if not isinstance(queues, Mapping) or not queues:
        raise OptionError("queues", queues, allowed)  # pyright: ignore[reportUnknownArgumentType]
    for queue, weight in cast("Mapping[object, object]", queues).items():
        check_queue("queues", queue)
        if isinstance(weight, bool) or not isinstance(weight, int):
            raise OptionError("queues", {queue: weight}, allowed)
        if not 1 <= weight <= HIGHEST_PRIORITY:
            raise OptionError("queues", {queue: weight}, allowed)
    return cast("Mapping[str, int]", queues)


def is_pattern(queue: str) -> bool:
    """Return whether *queue* stands for all queues whose names match it."""
    return ANY in queue


def names_in(weights: Mapping[str, int]) -> dict[str, int]:
    """Return *weights* without the patterns."""
    return {queue: weight for queue, weight in weights.items() if not is_pattern(queue)}


def match_queues(weights: Mapping[str, int], known: Iterable[str]) -> dict[str, int]:
    """Return the weights of all listed queues, and of those in *known* that match a pattern.

    A name that is listed has priority over patterns, and a pattern over those after it.

    Args:
        weights: Names and patterns of queues, with their weights.
        known: The queues that there are. One whose name has braces is left out: servers cannot
            serve it.
    """
    found = names_in(weights)
    rules = [(_compile(queue), weight) for queue, weight in weights.items() if is_pattern(queue)]
    for queue in sorted(known):
        weight = next((weight for rule, weight in rules if rule.fullmatch(queue)), None)
        if weight is not None and "{" not in queue and "}" not in queue:
            found.setdefault(queue, weight)
    return found


def _compile(pattern: str) -> re.Pattern[str]:
    return compile_parts([re.escape(part) for part in pattern.split(ANY)])


def compile_parts(parts: Sequence[str]) -> re.Pattern[str]:
    """Return the pattern of *parts*, themselves patterns, with any text between each two.

    The earliest place of each part is as good as any later one, so the pattern never looks for
    another: otherwise a name of a few dozen letters could take it years.
    """
    first, *others = parts
    if not others:
        return re.compile(first, re.DOTALL)
    *middle, last = others
    inner = "".join(f"(?>.*?{part})" for part in middle if part)
    return re.compile(f"{first}{inner}.*{last}", re.DOTALL)
