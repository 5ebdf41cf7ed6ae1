"""A server of an earlier version works on while operators control those of today's."""

import asyncio

from pyasynq import Inspector
from pyasynq.core.info import ServerInfo
from tests.support.servers import RedisServer, wait_for
from tests.upgrade.queue import Queue
from tests.upgrade.sides import Side


def test_of_two_versions_only_todays_server_obeys(
    today: Side, earlier_side: Side, queue: Queue, redis_server: RedisServer
) -> None:
    today.work()
    earlier_side.work()
    wait_for(lambda: len(servers(redis_server.url)) == 2, "both servers to be shown")

    assert [server.version for server in quiet_all(redis_server.url)] != [None]
    wait_for(lambda: states(redis_server.url) == ["active", "stopped"], "today's to be quiet")
    earlier_side.enqueue("t", 5)
    wait_for(lambda: queue.counted("processed") == 5, "the tasks to be done")
    assert len(earlier_side.ended()) == 5

    asyncio.run(_control(redis_server.url, reset=True))
    wait_for(lambda: states(redis_server.url) == ["active", "active"], "both to be active")


def servers(url: str) -> list[ServerInfo]:
    """Return the servers that are shown to inspectors."""

    async def read() -> list[ServerInfo]:
        async with Inspector(url) as inspector:
            return await inspector.servers()

    return asyncio.run(read())


def states(url: str) -> list[str]:
    """Return the states of all servers, sorted."""
    return sorted(server.status for server in servers(url))


def quiet_all(url: str) -> list[ServerInfo]:
    """Let all servers be quiet; return those that will obey."""
    return asyncio.run(_control(url, quiet=True))


async def _control(url: str, *, quiet: bool | None = None, reset: bool = False) -> list[ServerInfo]:
    async with Inspector(url) as inspector:
        return await inspector.control("*", quiet=quiet, reset=reset)
