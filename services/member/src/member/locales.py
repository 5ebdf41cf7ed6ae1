"""The languages that mails and pages exist in."""

import re
from typing import Literal, TypeAlias, get_args

Locale: TypeAlias = Literal["en", "zh-TW"]

LOCALES: tuple[Locale, ...] = get_args(Locale)
DEFAULT: Locale = "en"

_TAG = re.compile(r"[A-Za-z]{1,8}(?:[-_][A-Za-z0-9]{1,8}){0,3}")


def is_tag(text: str) -> bool:
    """Tell whether *text* has the shape of a BCP 47 tag, such as ``zh-TW``."""
    return _TAG.fullmatch(text) is not None


def nearest(tag: str) -> Locale:
    """Return the language closest to *tag*: any Chinese reads ``zh-TW``, the rest English."""
    return "zh-TW" if tag.lower().partition("-")[0].partition("_")[0] == "zh" else DEFAULT


def accepted(header: str) -> Locale:
    """Return the language for an ``Accept-Language`` *header*: that of its first entry."""
    return nearest(header.partition(",")[0].partition(";")[0].strip())
