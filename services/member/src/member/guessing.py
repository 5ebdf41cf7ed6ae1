"""Recognize passwords that are guessed first. Pure."""

import re
from collections.abc import Iterable, Iterator
from functools import cache

from zxcvbn.frequency_lists import FREQUENCY_LISTS

_LONGEST_TAIL = 5
_SHORTEST_STEM = 4
_REPEATED = re.compile(r"(.+?)\1+", re.DOTALL)
_ROWS = ("01234567890", "abcdefghijklmnopqrstuvwxyz", "qwertyuiop", "asdfghjkl", "zxcvbnm")
# Love letters in digits are common in Chinese, and in none of the lists.
_LOVE = ("5201314a", "a5201314", "woaini1314", "woaini5201314")
_LOOKALIKES = str.maketrans("@4310$5!7", "aaeiossit")


def is_common(password: str) -> bool:
    """Tell whether everybody guesses *password* early.

    That is a common password, a word, a name or a row of keys; or one of them in other case,
    repeated, with some digits or signs behind it, or with signs for letters, as in
    ``P@ssw0rd2026!``.
    """
    return any(
        len(core) < _SHORTEST_STEM or core in common_passwords() or _is_row(core)
        for core in _cores(password)
    )


def is_made_of(password: str, names: Iterable[str]) -> bool:
    """Tell whether *password* is one of *names*, as it is or changed in such a way."""
    folded = {name.casefold() for name in names}
    return any(core in folded for core in _cores(password))


def _cores(password: str) -> Iterator[str]:
    """Yield what *password* may have been made of."""
    for stem in _stems(password.casefold()):
        whole = _REPEATED.fullmatch(stem)
        core = whole[1] if whole else stem
        yield from (stem, core, core.translate(_LOOKALIKES))


def _stems(text: str) -> Iterator[str]:
    """Yield *text* without the last digits and signs, from none of them to five."""
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
    """Return what is guessed first, each in the form that passwords are compared in.

    Source:
        zxcvbn's lists of passwords, and of words and names that are used as such.
    """
    return frozenset(
        word.casefold() for words in (*FREQUENCY_LISTS.values(), _LOVE) for word in words
    )
