"""Routes about what ran lately, by type."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Final

import msgspec

from pyasynq.core.json_form import fields
from pyasynq.core.run_stats import RUN_LIMITS, RunSpan, TypeStats
from pyasynq.dashboard.routes import Call, reads

MAX_LAST_S: Final = 259_200
"""How far can be looked back, seconds: 3 days."""


class LastInput(msgspec.Struct, frozen=True, kw_only=True):
    """How far to look back, seconds, and where; no queue means all."""

    queue: str = ""
    last: Annotated[float, msgspec.Meta(gt=0, le=MAX_LAST_S)] = 3600.0


class TypeInput(LastInput, frozen=True, kw_only=True):
    """The same for one type; no type means all together."""

    type: str = ""


async def list_types(call: Call, given: LastInput) -> object:
    """Return what ran lately, by type."""
    last = timedelta(seconds=given.last)
    stats = await call.services.inspector.type_stats(given.queue or None, last=last)
    return {
        "items": [_row(one, given.last) for one in stats],
        "last": given.last,
        "run_limits": RUN_LIMITS,
    }


def _row(stats: TypeStats, seconds: float) -> dict[str, object]:
    """Return the members of a type; *retried* are failed runs after which it was to run again."""
    runs = stats.succeeded + stats.failed
    return {
        **fields(stats),
        "runs": runs,
        "per_s": runs / seconds,
        "retried": stats.failed - stats.archived,
        "failure_rate": stats.failed / runs if runs else None,
    }


async def show_history(call: Call, given: TypeInput) -> object:
    """Return what ran in each minute, or in ten; spans in which nothing ran are left out."""
    last = timedelta(seconds=given.last)
    spans = await call.services.inspector.run_history(given.queue or None, last=last)
    rows = [_span(span, given.type) for span in spans]
    return {"items": [row for row in rows if row is not None], "last": given.last}


def _span(span: RunSpan, type: str) -> Mapping[str, object] | None:
    """Return one span; of one type with its times, of all types together with counts only."""
    length_s = span.length.total_seconds()
    where = {"start": span.start, "length": span.length}
    if type:
        found = [_row(stats, length_s) for stats in span.types if stats.type == type]
        if not found:
            return None
        del found[0]["run_histogram"]  # of so few runs it says little, and is long
        return {**where, **found[0]}
    counts = {
        name: sum(int(getattr(stats, name)) for stats in span.types)
        for name in ("succeeded", "failed", "archived")
    }
    return {**where, **counts, "runs": counts["succeeded"] + counts["failed"]}


ROUTES: Final = (
    reads("listTypes", "/types", LastInput, list_types, "What ran lately, by type"),
    reads("showHistory", "/types/history", TypeInput, show_history, "What ran, minute by minute"),
)
