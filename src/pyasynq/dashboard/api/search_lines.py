"""Search lines in requests."""

from pyasynq.dashboard.problems import Problem
from pyasynq.operations.search import Query, SearchError, parse


def parse_line(line: str) -> Query:
    """Return what *line* means.

    Raises:
        Problem: If it cannot be read.
    """
    try:
        return parse(line)
    except SearchError as error:
        raise Problem(400, "invalid", str(error), field="q", at=error.at) from None
