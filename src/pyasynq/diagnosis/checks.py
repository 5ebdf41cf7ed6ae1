"""What a check of ``pyasynq doctor`` found."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

Status: TypeAlias = Literal["ok", "unknown", "warning", "problem"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """The result of one check.

    Attributes:
        check: Name of the check.
        status: Its result.
        message: What was found.
        advice: What to do; empty if there is nothing to do.
    """

    check: str
    status: Status
    message: str
    advice: str = ""


def ok(check: str, message: str) -> Check:
    """Return a check that found nothing wrong."""
    return Check(check=check, status="ok", message=message)


def problem(check: str, message: str, advice: str) -> Check:
    """Return a check that found something that must change."""
    return Check(check=check, status="problem", message=message, advice=advice)


def warning(check: str, message: str, advice: str) -> Check:
    """Return a check that found something that may have to change."""
    return Check(check=check, status="warning", message=message, advice=advice)


def unknown(check: str, message: str = "INFO is not permitted") -> Check:
    """Return a check that could not be made."""
    return Check(check=check, status="unknown", message=message)
