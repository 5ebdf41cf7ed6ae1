"""Recognize passwords that attackers guess first. Pure."""

import re
from collections.abc import Iterable, Iterator
from functools import cache

from zxcvbn.frequency_lists import FREQUENCY_LISTS

_LONGEST_TAIL = 5
_SHORTEST_STEM = 4
_REPEATED = re.compile(r"(.+?)\1+", re.DOTALL)
_ROWS = ("01234567890", "abcdefghijklmnopqrstuvwxyz", "qwertyuiop", "asdfghjkl", "zxcvbnm")
# Digits that sound like "I love you" in Chinese are common; no list has them.
_LOVE = ("5201314a", "a5201314", "woaini1314", "woaini5201314")
_LOOKALIKES = str.maketrans("@4310$5!7", "aaeiossit")


def is_common(password: str) -> bool:
    """Tell whether attackers guess *password* early.

    They guess a common password, a word, a name or a row of keys; also in other case, repeated,
    with up to five digits or signs at the end, or with signs for letters, as in ``P@ssw0rd2026!``.
    """
    return any(
        len(core) < _SHORTEST_STEM or core in common_passwords() or _is_row(core)
        for core in _cores(password)
    )


def is_made_of(password: str, names: Iterable[str]) -> bool:
    """Tell whether *password* is one of *names*, unchanged or changed as in `is_common`."""
    folded = {name.casefold() for name in names}
    return any(core in folded for core in _cores(password))


def _cores(password: str) -> Iterator[str]:
    """Yield the words that *password* may be made of."""
    for stem in _stems(password.casefold()):
        whole = _REPEATED.fullmatch(stem)
        core = whole[1] if whole else stem
        yield from (stem, core, core.translate(_LOOKALIKES))


def _stems(text: str) -> Iterator[str]:
    """Yield *text*, then *text* without its last one to five characters if they are no letters."""
    yield text
    for _ in range(_LONGEST_TAIL):
        if text[-1:].isalpha() or len(text) <= _SHORTEST_STEM:
            return
        text = text[:-1]
        yield text


def _is_row(text: str) -> bool:
    return any(text in row or text in row[::-1] for row in _ROWS)


@cache
def common_passwords() -> frozenset[str]:
    """Return the passwords that attackers guess first, case-folded as for the comparison.

    Source:
        zxcvbn's lists of passwords, and of words and names that people use as passwords.
    """
    return frozenset(
        word.casefold() for words in (*FREQUENCY_LISTS.values(), _LOVE) for word in words
    )
