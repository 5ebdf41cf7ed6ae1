"""Find and delete tasks by their last error, without reading them."""

from typing import Any, Final, cast

from pyasynq.broker.ports.inspection import Container, Deleted, Matches
from pyasynq.broker.records import decode_name
from pyasynq.broker.redis import keys, pipeline
from pyasynq.broker.redis.connection import CommandArg, Driver
from pyasynq.broker.redis.lua import inspection as scripts
from pyasynq.core.policy import MAX_BYTES

SEARCHED: Final = 1000
"""Tasks whose errors one call looks at: 5 ms."""

DELETED: Final = 500
"""Tasks that one call looks at, and deletes if they match."""


class RedisLastErrors:
    """The part of the inspection port that looks for last errors."""

    _driver: Driver

    async def find_errors(self, container: Container, text: str, start: int, count: int) -> Matches:
        """Find the tasks whose last error contains *text*, in upper or lower case."""
        ids: list[str] = []
        at, end, more = start, start + count, True
        while at < end and more:
            call = scripts.find_errors(**_search(container, text, at, min(SEARCHED, end - at)))
            looked_at, *found = cast("list[Any]", await pipeline.run(self._driver, call))
            ids += map(decode_name, found)
            at, more = at + looked_at, looked_at > 0
        return Matches(ids=ids, looked_at=at - start)

    async def delete_errors(
        self, container: Container, text: str, start: int, count: int
    ) -> Deleted:
        """Delete the tasks whose last error contains *text*, in upper or lower case."""
        deleted, looked_at, more = 0, 0, True
        while looked_at < count and more:
            at, limit = start + looked_at - deleted, min(DELETED, count - looked_at)
            call = scripts.delete_errors(**_search(container, text, at, limit))
            looked, gone = cast("list[int]", await pipeline.run(self._driver, call))
            deleted, looked_at, more = deleted + gone, looked_at + looked, looked > 0
        return Deleted(deleted=deleted, looked_at=looked_at)


def _search(container: Container, text: str, start: int, limit: int) -> dict[str, CommandArg]:
    return {
        "container": keys.ids_in(container),
        "task_prefix": keys.task(container.queue),
        "queue": container.queue,
        "start": start,
        "limit": limit,
        "max_bytes": MAX_BYTES,
        "text": text.lower(),
    }
