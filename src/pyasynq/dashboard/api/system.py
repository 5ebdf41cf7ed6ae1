"""Routes about the broker and the audit."""

import re
from typing import Final

from pyasynq.core.json_form import fields
from pyasynq.dashboard.api.inputs import Page
from pyasynq.dashboard.cursors import not_a_cursor
from pyasynq.dashboard.routes import Call, Nothing, reads
from pyasynq.operations.broker_report import MOST_SLOW, facts_of, read_broker

_ACTION: Final = re.compile(r"\d{1,18}(-\d{1,18})?", re.ASCII)


async def show_broker(call: Call, _given: Nothing) -> object:
    """Return what the broker reports about itself, and what is wrong with it."""
    report = await read_broker(call.services.broker)
    nodes = [{**fields(node), "facts": facts_of(node)} for node in report.nodes]
    return {**fields(report), "nodes": nodes, "most_slow": MOST_SLOW}


async def list_actions(call: Call, given: Page) -> object:
    """Return the actions of operators, the newest first."""
    if given.cursor and not _ACTION.fullmatch(given.cursor):
        raise not_a_cursor()
    found = await call.services.broker.audit.read(given.cursor or None, given.limit)
    return {
        "items": [{"id": action_id, **fields(entry)} for action_id, entry in found],
        "cursor": found[-1][0] if len(found) == given.limit else None,
    }


ROUTES: Final = (
    reads("listActions", "/audit", Page, list_actions, "Actions of operators"),
    reads("showBroker", "/broker", Nothing, show_broker, "The broker, and what is wrong with it"),
)
