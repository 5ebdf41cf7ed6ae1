"""The languages that mails and pages exist in."""

import re
from collections.abc import Mapping
from typing import Literal, TypeAlias, get_args

Locale: TypeAlias = Literal["en", "zh-TW"]

LOCALES: tuple[Locale, ...] = get_args(Locale)
DEFAULT: Locale = "en"

_TAG = re.compile(r"[A-Za-z]{1,8}(?:[-_][A-Za-z0-9]{1,8}){0,3}")
_ENTRY = re.compile(
    r"(?P<tag>[A-Za-z0-9_*-]+)(?:\s*;\s*q=(?P<q>[01](?:\.\d{0,3})?))?", re.IGNORECASE
)
_BY_LANGUAGE: Mapping[str, Locale] = {"en": "en", "zh": "zh-TW", "*": DEFAULT}


def is_tag(text: str) -> bool:
    """Tell whether *text* has the shape of a BCP 47 tag, such as ``zh-TW``."""
    return _TAG.fullmatch(text) is not None


def nearest(tag: str) -> Locale:
    """Return the language closest to *tag*: ``zh-TW`` for any Chinese, else English."""
    return _locale_of(tag) or DEFAULT


def from_accept_language(header: str) -> Locale:
    """Return the supported language that an ``Accept-Language`` *header* prefers.

    Entries weigh their ``q``. Malformed entries and other languages are ignored.
    """
    entries = [found for text in header.split(",") if (found := _ENTRY.fullmatch(text.strip()))]
    wanted = [entry for entry in entries if _weight(entry) > 0 and _locale_of(entry["tag"])]
    best = max(wanted, key=_weight, default=None)
    return nearest(best["tag"]) if best else DEFAULT


def _weight(entry: re.Match[str]) -> float:
    return float(entry["q"] or 1)


def _locale_of(tag: str) -> Locale | None:
    return _BY_LANGUAGE.get(re.split("[-_]", tag.lower())[0])
