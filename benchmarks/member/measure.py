"""The measurements of the member service; what they find goes into the sheet."""

import asyncio
import itertools
import math
import sys
from collections.abc import Mapping
from contextlib import AsyncExitStack

from benchmarks import programs
from benchmarks.measure import percentiles
from benchmarks.member.arena import DISTRIBUTORS, Arena, Cost, Distributor
from benchmarks.sheet import Sheet
from tests.waiting import wait_until

IN_FLIGHT: dict[Cost, int] = {"test": 32, "default": 4}
GAP_S = 0.05
DELAY_S = 1
WARM_UP = 8
PATIENCE_S = 120

_prefixes = (f"b{number}_" for number in itertools.count())


class Comparison:
    """Both distributors side by side on one kind of database, each with a program of its own.

    They take turns, and each turn waits for its mails: the other one is disturbed by nothing.
    """

    def __init__(self, arena: Arena, sheet: Sheet, database: str, cost: Cost) -> None:
        """Measure passwords that are hashed at *cost*."""
        self._arena = arena
        self._sheet = sheet
        self._database = database
        self._cost: Cost = cost

    async def run(self, *, rounds: int, sign_ups: int, slow_sign_ups: int) -> None:
        """Measure.

        Args:
            rounds: Turns of each.
            sign_ups: In each turn, as fast as they can.
            slow_sign_ups: After that, one at a time, to see how soon their mails come.
        """
        async with AsyncExitStack() as stack:
            addresses = {
                distributor: await stack.enter_async_context(
                    self._arena.service(self._database, distributor, self._cost)
                )
                for distributor in DISTRIBUTORS
            }
            for address in addresses.values():
                await self._sign_ups(address, n=WARM_UP, flight=IN_FLIGHT[self._cost])
            for _ in range(rounds):
                for distributor, address in addresses.items():
                    await self._turn(distributor, address, sign_ups)
            if slow_sign_ups:
                await self._all_slowly(addresses, slow_sign_ups)

    async def _turn(self, distributor: Distributor, address: str, n: int) -> None:
        record = await self._sign_ups(address, n=n, flight=IN_FLIGHT[self._cost])
        for metric in ("rate", "p50", "p99"):
            self._add(distributor, metric, record[metric])

    async def _all_slowly(self, addresses: Mapping[Distributor, str], n: int) -> None:
        async with asyncio.TaskGroup() as group:
            for distributor, address in addresses.items():
                group.create_task(self._slowly(distributor, address, n))

    async def _slowly(self, distributor: Distributor, address: str, n: int) -> None:
        record = await self._sign_ups(address, n=n, gap=GAP_S)
        late = [
            (self._arena.mails.at[name] - _due_s(answered)) * 1000
            for name, sent, answered in record["answered"]
            if math.ceil(sent) == math.ceil(answered)  # else nobody knows the second it is due
        ]
        for metric, value in zip(("mail.p50", "mail.p99"), percentiles(late), strict=True):
            self._add(distributor, metric, value)

    async def _sign_ups(self, address: str, **flags: float) -> programs.Record:
        """Let members sign up and wait for their mails; return what the caller says."""
        mails = self._arena.mails.at
        prefix, wanted = next(_prefixes), flags["n"]
        command = [sys.executable, "-m", "benchmarks.member.caller", address, prefix]
        command += [f"--{name}={value}" for name, value in flags.items()]
        record = await programs.answer(command, PATIENCE_S)
        await wait_until(
            lambda: sum(name.startswith(prefix) for name in mails) == wanted, PATIENCE_S
        )
        return record

    def _add(self, distributor: Distributor, metric: str, value: float) -> None:
        self._sheet.add(f"{self._database}, {distributor}", f"{self._cost}.{metric}", value)


def _due_s(enqueued_s: float) -> int:
    """Return when a mail is due, s since the epoch: a whole second, so that none is early."""
    return math.ceil(enqueued_s + DELAY_S)
