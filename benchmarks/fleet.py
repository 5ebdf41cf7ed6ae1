"""Measure what servers that have nothing to do cost Redis, and print one table.

``make bench`` measures it, too; ``python -m benchmarks.fleet`` prints it alone.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks import private_redis, programs
from benchmarks.goals import Goal
from benchmarks.results import log_progress
from benchmarks.table import format_number, format_table

QUEUES: Final = (1, 3, 30)
SERVERS: Final = (1, 20, 100)
SETTLE_S: Final = 75.0
"""Time until the servers have closed the connections that they needed only to start."""

WATCH_S: Final = 30.0
START_S: Final = 600.0

HEAD: Final = (
    "queues",
    "servers",
    "connections",
    "for each",
    "requests/s",
    "script calls/s",
    "Redis CPU ms/s",
    "each further server: requests/s",
    "script calls/s",
    "Redis CPU ms/s",
)

METHOD: Final = """\
Idle servers on one Redis, which nobody else uses; each server has its own connections. *Requests*
are reads from sockets, so several commands that are sent together are one. The CPU time of Redis
without servers is subtracted. *Each further server* is the difference to the row above, divided by
the servers that were added."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a fleet at rest costs Redis.

    Attributes:
        queues: Queues that every server serves.
        servers: Number of servers.
        connections: Connections of all of them.
        requests: Reads from their sockets, in a second.
        scripts: Script calls in a second.
        cpu_ms: CPU time of Redis, ms in a second, of all its threads.
    """

    queues: int
    servers: int
    connections: int
    requests: float
    scripts: float
    cpu_ms: float


def main() -> None:
    """Measure fleets, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fleet", description=__doc__)
    parser.add_argument("--queues", type=int, nargs="+", default=QUEUES)
    parser.add_argument("--servers", type=int, nargs="+", default=SERVERS)
    options = parser.parse_args()
    print(format_costs(asyncio.run(measure_fleets(options.queues, options.servers))))


async def measure_fleets(
    queues: Sequence[int] = QUEUES, servers: Sequence[int] = SERVERS
) -> list[Cost]:
    """Return what idle fleets cost, by queues and servers.

    Fleets with different numbers of queues run side by side, each on a Redis of its own: they need
    little, and only CPU times and counts are measured.
    """
    fleets = [_measure_fleet(count, servers) for count in queues]
    return [cost for costs in await asyncio.gather(*fleets) for cost in costs]


def format_costs(costs: Sequence[Cost]) -> str:
    """Return the table and the method as Markdown."""
    return (
        "\n".join(format_table(HEAD, map(_format_row, costs, _baselines(costs)))) + f"\n\n{METHOD}"
    )


def evaluate_fleets(costs: Sequence[Cost]) -> Iterator[Goal]:
    """Yield the goals for fleets at rest, each with the measurement that is furthest from it."""
    beside = [cost.connections / cost.servers - cost.queues for cost in costs]
    yield _ceiling("idle server: connections beside one for each queue", beside, 3, unit="")
    added = [
        further(cost, base).cpu_ms / (1 + cost.queues)
        for cost, base in zip(costs, _baselines(costs), strict=True)
        if base is not None
    ]
    text = "Redis CPU in a second for a further idle server, and for each of its queues"
    yield _ceiling(text, added, 0.05, unit=" ms")


def _ceiling(text: str, values: Sequence[float], bound: float, *, unit: str) -> Goal:
    """Return the goal that none of *values* is above *bound*."""
    value = max(values, default=None)
    return Goal(text=text, value=value, bound=bound, is_floor=False, unit=unit)


def further(cost: Cost, base: Cost) -> Cost:
    """Return what each server costs that *cost* has and *base* has not."""
    added = cost.servers - base.servers
    return Cost(
        queues=cost.queues,
        servers=1,
        connections=(cost.connections - base.connections) // added,
        requests=(cost.requests - base.requests) / added,
        scripts=(cost.scripts - base.scripts) / added,
        cpu_ms=(cost.cpu_ms - base.cpu_ms) / added,
    )


async def _measure_fleet(queues: int, servers: Sequence[int]) -> list[Cost]:
    command = [sys.executable, "-m", "benchmarks.idle_servers"]
    costs: list[Cost] = []
    async with private_redis.start() as redis:
        empty = await _watch(redis, queues, 0)
        fleet = [*command, redis.address, str(queues), *map(str, servers)]
        async with programs.run(fleet) as program:
            for count in servers:
                log_progress(f"fleet: {count} idle server(s) with {queues} queue(s)")
                program.send_line()
                await program.read_answer(START_S)
                await asyncio.sleep(SETTLE_S)
                costs.append(_less(await _watch(redis, queues, count), empty))
    return costs


async def _watch(redis: private_redis.Server, queues: int, servers: int) -> Cost:
    """Return what happens in a while, with the CPU time that Redis needs itself."""
    began, before = time.monotonic(), _read(redis)
    await asyncio.sleep(WATCH_S)
    took_s, after = time.monotonic() - began, _read(redis)
    requests, scripts, cpu_us = (
        (now - then) / took_s for now, then in zip(after, before, strict=True)
    )
    return Cost(
        queues=queues,
        servers=servers,
        connections=redis.clients() - 1,
        requests=requests,
        scripts=scripts,
        cpu_ms=cpu_us / 1000,
    )


def _read(redis: private_redis.Server) -> tuple[float, float, float]:
    commands = redis.commands()
    scripts = commands.get("evalsha", 0) + commands.get("eval", 0)
    return redis.requests(), scripts, redis.cpu_us()[0]


def _less(cost: Cost, empty: Cost) -> Cost:
    return Cost(
        queues=cost.queues,
        servers=cost.servers,
        connections=cost.connections,
        requests=max(cost.requests - empty.requests, 0),
        scripts=cost.scripts,
        cpu_ms=cost.cpu_ms - empty.cpu_ms,
    )


def _baselines(costs: Sequence[Cost]) -> Iterator[Cost | None]:
    """Yield for each of *costs* the smaller fleet with the same queues; None for the smallest."""
    previous: Cost | None = None
    for cost in costs:
        yield previous if previous is not None and previous.queues == cost.queues else None
        previous = cost


def _format_row(cost: Cost, base: Cost | None) -> Iterator[str]:
    yield str(cost.queues)
    yield str(cost.servers)
    yield format_number(cost.connections)
    yield format_number(cost.connections / cost.servers, decimals=1)
    yield from _format_rates(cost)
    if base is None:
        yield from ("—", "—", "—")
    else:
        yield from _format_rates(further(cost, base))


def _format_rates(cost: Cost) -> Iterator[str]:
    yield format_number(cost.requests, decimals=2)
    yield format_number(cost.scripts, decimals=2)
    yield format_number(cost.cpu_ms, decimals=3)


if __name__ == "__main__":
    main()
