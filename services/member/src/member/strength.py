"""Tell a secret that was drawn from one that somebody made up. Pure."""

from itertools import pairwise

_LEAST = 8

# In what documentation shows, and in what people type until they know better.
_WORDS = ("change", "development", "example", "password", "secret")

_TRIED_FIRST = frozenset(
    {"admin", "changeme", "example", "member", "password", "postgres", "redis", "root", "secret"}
)


def is_tried_first(password: str) -> bool:
    """Tell whether *password* is that of an example, or one that servers come with."""
    return password.lower() in _TRIED_FIRST


def is_guessable(secret: str) -> bool:
    """Tell whether *secret*, of 32 characters or more, was not drawn at random.

    One that was drawn has many characters and many steps between neighbours, repeats nothing,
    and holds no word of an example, even if it is written in the sixteen digits of ``rand -hex``.
    """
    steps = {ord(after) - ord(before) for before, after in pairwise(secret)}
    few = min(len(set(secret)), len(steps)) < _LEAST
    return few or _repeats(secret) or any(word in secret.lower() for word in _WORDS)


def _repeats(secret: str) -> bool:
    """Tell whether *secret* is one half or less of it, again and again."""
    return any(secret[n:] == secret[:-n] for n in range(1, len(secret) // 2 + 1))
