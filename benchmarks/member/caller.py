"""Sign members up: ``python -m benchmarks.member.caller ADDRESS PREFIX``.

Writes one line of JSON with the rate, and with the times of each call and its answer.
"""

import argparse
import asyncio
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from grpc import aio

from benchmarks import tally
from benchmarks.measure import percentiles
from member.v1 import member_pb2 as pb
from member.v1.member_pb2_grpc import MemberServiceStub

READY_S = 30


@dataclass(slots=True)
class Calls:
    """The results of the calls.

    Attributes:
        spent_ms: Duration of each.
        answered: Names, with the instants of call and answer, s since the epoch.
    """

    spent_ms: list[float] = field(default_factory=list)
    answered: list[tuple[str, float, float]] = field(default_factory=list)


async def main(options: argparse.Namespace) -> None:
    """Make the calls, and write the results."""
    calls = Calls()
    names = (f"{options.prefix}{number}" for number in range(options.n))
    async with aio.insecure_channel(options.address) as channel:
        await asyncio.wait_for(channel.channel_ready(), READY_S)
        stub = MemberServiceStub(channel)
        begin = time.perf_counter()
        async with asyncio.TaskGroup() as tasks:
            for _ in range(options.flight):
                tasks.create_task(_call(stub, names, options.gap, calls))
        seconds = time.perf_counter() - begin
    p50, p99 = percentiles(calls.spent_ms)
    answered = calls.answered if options.gap else []
    tally.say({"rate": options.n / seconds, "p50": p50, "p99": p99, "answered": answered})


async def _call(stub: MemberServiceStub, names: Iterator[str], gap_s: float, calls: Calls) -> None:
    for name in names:
        if gap_s:
            await asyncio.sleep(random.uniform(0, 2 * gap_s))
        sent, begin = time.time(), time.perf_counter()
        await stub.CreateMember(_sign_up(name))
        calls.spent_ms.append((time.perf_counter() - begin) * 1000)
        calls.answered.append((name, sent, time.time()))


def _sign_up(name: str) -> pb.CreateMemberRequest:
    return pb.CreateMemberRequest(
        membername=name,
        full_name=name.title(),
        email=f"{name}@example.com",
        password="curiouser and curiouser",
    )


def _parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.member.caller")
    parser.add_argument("address", help="host:port of the service")
    parser.add_argument("prefix", help="prefix of the names")
    parser.add_argument("--n", type=int, default=100)
    parser.add_argument("--flight", type=int, default=1, help="calls at a time")
    parser.add_argument("--gap", type=float, default=0, help="seconds between calls, on average")
    return parser.parse_args()


if __name__ == "__main__":
    asyncio.run(main(_parse_options()))
