"""Distinguish a random secret from one that somebody made up. Pure."""

from itertools import pairwise

_LEAST = 8

# Words in the secrets of documentation, and in placeholders that people type.
_WORDS = ("change", "development", "example", "password", "secret")

_TRIED_FIRST = frozenset(
    {"admin", "changeme", "example", "member", "password", "postgres", "redis", "root", "secret"}
)


def is_tried_first(password: str) -> bool:
    """Tell whether *password* is one from an example, or a default of a server."""
    return password.lower() in _TRIED_FIRST


def is_guessable(secret: str) -> bool:
    """Tell whether *secret*, of 32 characters or more, is not random.

    A random secret has many different characters and many different steps between neighbours,
    repeats nothing, and holds no word of an example. That is also true for ``rand -hex``, with its
    sixteen digits.
    """
    steps = {ord(after) - ord(before) for before, after in pairwise(secret)}
    few = min(len(set(secret)), len(steps)) < _LEAST
    return few or _repeats(secret) or any(word in secret.lower() for word in _WORDS)


def _repeats(secret: str) -> bool:
    """Tell whether *secret* is a part of at most half its length, repeated."""
    return any(secret[n:] == secret[:-n] for n in range(1, len(secret) // 2 + 1))
