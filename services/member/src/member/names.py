"""Which characters the name of a person may have. Pure.

A name is a stranger's text that goes into mails to somebody else. There it must be a name
and nothing more: no header, no address, and no link that seems to come from the service.
"""

import re
import unicodedata
from typing import Final

ENCODED_WORD: Final = "=?"
"""Begins a text that mail programs decode (RFC 2047), for example to line breaks and addresses."""

# Control characters, line and paragraph separators, surrogates, and the marks that
# change the direction of text: no name has them, and each could forge a mail.
_UNSEEN = frozenset({"Cc", "Cs", "Zl", "Zp"})
_TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c")

# Letters, numbers, punctuation and symbols are visible, except for fillers and blanks.
_SEEN = frozenset("LNPS")
_HIDDEN = frozenset({"Cf", "Me", "Mn"})
_BLANK = frozenset("\u115f\u1160\u2800\u3164\uffa0\U0001d159")

# Mail programs turn bare host names into links. So a full stop may end a word (J. R. Smith), but
# must not be inside one. Browsers also read U+3002 as a full stop.
_LINK = re.compile(r"//|[.\u3002]\w[^\s.,)]|\d\.\d+\.\d|@")


def problem(name: str) -> str:
    """Return the rule that *name* breaks; empty if a mail may contain it."""
    if any(unicodedata.category(c) in _UNSEEN or c in _TURNING for c in name):
        return "must not contain control characters or line breaks"
    if not can_be_seen(name):
        return "must have a visible character"
    if ENCODED_WORD in name:
        return f"must not contain {ENCODED_WORD}"
    if _LINK.search(_as_browsers_read(name)):
        return "must not contain an address or a link; write a space after a full stop"
    return ""


def can_be_seen(text: str) -> bool:
    """Tell whether any character of *text* is visible."""
    return any(unicodedata.category(c)[0] in _SEEN and c not in _BLANK for c in text)


def _as_browsers_read(name: str) -> str:
    """Return *name* with full stops, slashes and @ in their plain form, and nothing invisible.

    Browsers drop joiners, selectors and fillers from a host name (UTS 46). Marks, some of which are
    invisible, are dropped here as well: that cannot turn a plain name into an address.
    """
    plain = unicodedata.normalize("NFKC", name)
    return "".join(c for c in plain if unicodedata.category(c) not in _HIDDEN and c not in _BLANK)
