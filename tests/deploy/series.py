"""Read queries of Prometheus: which series and labels they name."""

from collections.abc import Iterator
from typing import NamedTuple

import promql_parser as promql


class Selector(NamedTuple):
    """A series in a query, and the labels by which it is selected."""

    series: str
    labels: frozenset[str]


def selectors(query: str) -> Iterator[Selector]:
    """Yield each series that *query* names.

    Raises:
        ValueError: If the query cannot be parsed.
    """
    found: list[promql.VectorSelector] = []

    def note(part: promql.Expr) -> None:
        if isinstance(part, promql.VectorSelector):
            found.append(part)

    promql.walk(promql.parse(query), note)
    for one in found:
        labels = frozenset(matcher.name for matcher in one.matchers.matchers)
        yield Selector(one.name or "", labels)
