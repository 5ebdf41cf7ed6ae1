"""Read what a search line can be about, for suggestions."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Final

from pyasynq.core.run_stats import OTHER
from pyasynq.operations.search import STATES
from pyasynq.operations.services import Services
from pyasynq.operations.suggestions import Known

LATELY: Final = timedelta(hours=8)
"""Types that ran within this time are suggested."""


async def read_known(services: Services, line: str) -> Known:
    """Return what there is; types and groups only if *line* has a term that needs them.

    Raises:
        BrokerError: If the broker does not answer.
    """
    rows = await services.sampler.queue_rows()
    types: Iterable[str] = ()
    if "type:" in line and services.broker.supports("history"):
        stats = await services.inspector.type_stats(last=LATELY)
        types = [one.type for one in stats if one.type != OTHER]
    groups: set[str] = set()
    if "group:" in line and services.broker.supports("groups"):
        for queue in rows:
            groups |= {group.group for group in await services.inspector.groups(queue)}
    return Known(
        states={it.value: sum(row[it.value] for row in rows.values()) for it in STATES},
        queues={queue: row["size"] for queue, row in rows.items()},
        types=types,
        groups=sorted(groups),
    )
