"""What may stand in the name of a person. Pure.

A name is a stranger's text that goes into mails to somebody else. There it must be a name
and nothing more: no header, no address, and no link that seems to come from us.
"""

import re
import unicodedata
from typing import Final

ENCODED_WORD: Final = "=?"
"""Begins a text that mail programs decode (RFC 2047), to line breaks and addresses, say."""

# Control characters, line and paragraph separators, surrogates, and the marks that
# turn the direction of text around: none is part of a name, each could forge a mail.
_UNSEEN = frozenset({"Cc", "Cs", "Zl", "Zp"})
_TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c")

# Letters, numbers, punctuation and symbols can be seen, but for these: fillers and blanks.
_SEEN = frozenset("LNPS")
_HIDDEN = frozenset({"Cf", "Me", "Mn"})
_BLANK = frozenset("\u115f\u1160\u2800\u3164\uffa0\U0001d159")

# Mail programs make links of bare names of hosts, so a point may end a word (J. R. Smith)
# but not stand inside one. The other point is one that browsers read as such.
_LINK = re.compile(r"//|[.\u3002]\w[^\s.,)]|\d\.\d+\.\d|@")


def problem(name: str) -> str:
    """Return the rule that *name* breaks; an empty text if it may stand in a mail."""
    if any(unicodedata.category(c) in _UNSEEN or c in _TURNING for c in name):
        return "must not contain control characters or line breaks"
    if not can_be_seen(name):
        return "must have a character that can be seen"
    if ENCODED_WORD in name:
        return f"must not contain {ENCODED_WORD}"
    if _LINK.search(_as_browsers_read(name)):
        return "must not contain an address or a link; behind a point leave a space"
    return ""


def can_be_seen(text: str) -> bool:
    """Tell whether any character of *text* shows."""
    return any(unicodedata.category(c)[0] in _SEEN and c not in _BLANK for c in text)


def _as_browsers_read(name: str) -> str:
    """Return *name* with points, slashes and @ of any width as the plain ones, and nothing hidden.

    Joiners, selectors and fillers leave no trace in the name of a host (UTS 46). Marks, some of
    which do not show either, are left out as well: none makes an address of what was none.
    """
    plain = unicodedata.normalize("NFKC", name)
    return "".join(c for c in plain if unicodedata.category(c) not in _HIDDEN and c not in _BLANK)
