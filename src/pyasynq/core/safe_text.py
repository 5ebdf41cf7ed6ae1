"""Show text that others have chosen, without anything that a terminal would obey."""

import unicodedata
from typing import Final

NO_TEXT: Final = {0xDC00 + byte: f"\\x{byte:02x}" for byte in range(128, 256)}
"""Bytes of names that are not UTF-8."""


def safe(text: str, *, lines: bool = False) -> str:
    """Return *text* with escapes for what is not printed: producers choose names and payloads.

    These are control characters, and those that would turn the direction of the line or hide.

    Args:
        text: Any text.
        lines: Keep line breaks and tabs.
    """
    if lines:
        each = text.replace("\r\n", "\n").split("\n")
        return "\n".join("\t".join(map(safe, line.split("\t"))) for line in each)
    if text.isprintable():
        return text
    return "".join(it if is_safe(it) else _escape(it) for it in text.translate(NO_TEXT))


def is_safe(character: str) -> bool:
    """Return whether a terminal shows *character*, or leaves room for it, and does nothing else."""
    return character.isprintable() or unicodedata.category(character) == "Zs"


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode()
