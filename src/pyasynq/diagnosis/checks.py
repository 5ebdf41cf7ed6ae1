"""What a check of ``pyasynq doctor`` found."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

Status: TypeAlias = Literal["ok", "unknown", "warning", "problem"]
Value: TypeAlias = str | int | float


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """The result of one check.

    Attributes:
        check: Name of the check.
        status: Its result.
        message: What was found.
        advice: What to do; empty if there is nothing to do.
        code: Names what was found, for programs and translations; empty if it says no more than the
            names in *message*.
        values: What *message* and *advice* say beside the words that belong to *code*, by name.
        node: Address of the node of a cluster that it is about, with which *message* begins.
    """

    check: str
    status: Status
    message: str
    advice: str = ""
    code: str = ""
    values: Mapping[str, Value] = field(default_factory=dict[str, Value])
    node: str = ""


def ok(check: str, message: str, code: str = "", **values: Value) -> Check:
    """Return a check that found nothing wrong."""
    return Check(check=check, status="ok", message=message, code=code, values=values)


def problem(check: str, message: str, advice: str, code: str = "", **values: Value) -> Check:
    """Return a check that found something that must change."""
    return Check(
        check=check, status="problem", message=message, advice=advice, code=code, values=values
    )


def warning(check: str, message: str, advice: str, code: str = "", **values: Value) -> Check:
    """Return a check that found something that may have to change."""
    return Check(
        check=check, status="warning", message=message, advice=advice, code=code, values=values
    )


def unknown(
    check: str, message: str = "INFO is not permitted", code: str = "unknown-info"
) -> Check:
    """Return a check that could not be made."""
    return Check(check=check, status="unknown", message=message, code=code)
