"""The measurements of the member service; they add their results to the sheet."""

import asyncio
import itertools
import math
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from benchmarks import programs
from benchmarks.measure import percentiles
from benchmarks.member.servers import DISTRIBUTORS, Cost, Distributor, Servers
from benchmarks.sheet import Sheet
from tests.support.waiting import wait_until

IN_FLIGHT: dict[Cost, int] = {"test": 32, "default": 4}
GAP_S = 0.05
DELAY_S = 1
WARM_UP = 8
PATIENCE_S = 120

_prefixes = (f"b{number}_" for number in itertools.count())


class Comparison:
    """Both distributors on one kind of database, each in its own program."""

    def __init__(self, servers: Servers, sheet: Sheet, database: str) -> None:
        """Measure with this kind of *database*."""
        self._servers = servers
        self._sheet = sheet
        self._database = database

    async def measure_rates(self, cost: Cost, *, turns: int, sign_ups: int) -> None:
        """Measure how fast members sign up while no mail is due; the distributors run in turn.

        Args:
            cost: Cost of a password hash.
            turns: Turns of each distributor.
            sign_ups: Sign-ups in each turn.
        """
        async with self._run_services(cost, delay="24h") as addresses:
            for address in addresses.values():
                await _sign_up_members(address, next(_prefixes), n=WARM_UP, flight=IN_FLIGHT[cost])
            for _ in range(turns):
                for distributor, address in addresses.items():
                    flags = {"n": sign_ups, "flight": IN_FLIGHT[cost]}
                    record = await _sign_up_members(address, next(_prefixes), **flags)
                    for metric in ("rate", "p50", "p99"):
                        self._add(distributor, f"{cost}.{metric}", record[metric])

    async def measure_mails(self, *, sign_ups: int) -> None:
        """Measure how late mails arrive when members sign up one at a time."""
        async with (
            self._run_services("test", delay=f"{DELAY_S}s") as addresses,
            asyncio.TaskGroup() as group,
        ):
            for distributor, address in addresses.items():
                group.create_task(self._measure_mails(distributor, address, sign_ups))

    async def _measure_mails(self, distributor: Distributor, address: str, n: int) -> None:
        arrived, prefix = self._servers.mails.at, next(_prefixes)
        record = await _sign_up_members(address, prefix, n=n, gap=GAP_S)
        await wait_until(lambda: sum(name.startswith(prefix) for name in arrived) == n, PATIENCE_S)
        late_ms = [
            (arrived[name] - _due_s(answered)) * 1000
            for name, sent, answered in record["answered"]
            if math.ceil(sent) == math.ceil(answered)  # otherwise the second it is due is unknown
        ]
        for metric, value in zip(("mail.p50", "mail.p99"), percentiles(late_ms), strict=True):
            self._add(distributor, metric, value)

    @asynccontextmanager
    async def _run_services(self, cost: Cost, delay: str) -> AsyncIterator[dict[Distributor, str]]:
        async with AsyncExitStack() as stack:
            yield {
                distributor: await stack.enter_async_context(
                    self._servers.run_service(self._database, distributor, cost, delay=delay)
                )
                for distributor in DISTRIBUTORS
            }

    def _add(self, distributor: Distributor, metric: str, value: float) -> None:
        self._sheet.add(f"{self._database}, {distributor}", metric, value)


async def _sign_up_members(address: str, prefix: str, **flags: float) -> programs.Record:
    """Let members sign up; return the record of the caller."""
    command = [sys.executable, "-m", "benchmarks.member.caller", address, prefix]
    command += [f"--{name}={value}" for name, value in flags.items()]
    return await programs.read_answer(command, PATIENCE_S)


def _due_s(enqueued_s: float) -> int:
    """Return when a mail is due, s since the epoch; a whole second, rounded up."""
    return math.ceil(enqueued_s + DELAY_S)
