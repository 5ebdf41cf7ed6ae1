"""Run one peer in its own process: ``python -m benchmarks.agent PEER COMMAND``.

The agent writes lines of JSON; the program that started it also ends it. Commands:

- ``about``: report the versions.
- ``enqueue``: enqueue n tasks and report the rate.
- ``drain``: handle tasks; report the rate after the n-th, then continue. With ``--hold`` report
  first that it is ready, and begin with the next line on standard input.
- ``serve``: handle tasks; report the delay of each.
- ``send``: enqueue a task for each line on standard input.
"""

import argparse
import asyncio
import importlib
import importlib.metadata
import os
import sys
import threading
import time
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from benchmarks import tally
from benchmarks.contract import AsyncBulk, AsyncPeer, ThreadBulk, ThreadPeer

T = TypeVar("T")

IN_FLIGHT = 100
BULK = 1_000
PAYLOAD = "x" * tally.PAYLOAD_BYTES


def main() -> None:
    """Execute the command of the command line."""
    options = _parse_arguments(sys.argv[1:])
    _exit_after(options.limit)
    if options.command == "about":
        return tally.say({"versions": _versions(options.peer)})
    module = importlib.import_module(f"benchmarks.peers.{options.peer}")
    peer: AsyncPeer | ThreadPeer = module.connect(options.address)
    if options.hold:
        tally.say({"ready": True})
        sys.stdin.readline()
    if isinstance(peer, AsyncPeer):
        return _run(_AsyncDriver(peer).execute(options), uvloop=options.uvloop)
    return _ThreadDriver(peer).execute(options)


class _AsyncDriver:
    """Executes the commands with a library for asyncio."""

    def __init__(self, peer: AsyncPeer) -> None:
        self._peer = peer

    async def execute(self, options: argparse.Namespace) -> None:
        match options.command:
            case "enqueue":
                await self._measure(options.how, options.n, options.warm)
            case "send":
                await self._send()
            case _:
                tally.count_with(_make_tally(options))
                await self._peer.work(options.concurrency)

    async def _measure(self, how: str, n: int, warm: int) -> None:
        if how == "fill":
            how = "many" if isinstance(self._peer, AsyncBulk) else "flight"
        if how == "many" and not isinstance(self._peer, AsyncBulk):
            return tally.say({"rate": None})
        call = {"one": self._one, "flight": self._flight, "many": self._many}[how]
        async with self._peer.session():
            await call(warm)
            watch = _Stopwatch()
            await call(n)
        return watch.report(n)

    async def _one(self, n: int) -> None:
        for _ in range(n):
            await self._peer.enqueue(PAYLOAD)

    async def _flight(self, n: int) -> None:
        numbers = iter(range(n))
        async with asyncio.TaskGroup() as tasks:
            for _ in range(IN_FLIGHT):
                tasks.create_task(self._call(numbers))

    async def _call(self, numbers: Iterator[int]) -> None:
        for _ in numbers:
            await self._peer.enqueue(PAYLOAD)

    async def _many(self, n: int) -> None:
        assert isinstance(self._peer, AsyncBulk)
        for size in _batch_sizes(n):
            await self._peer.enqueue_many([PAYLOAD] * size)

    async def _send(self) -> None:
        async with self._peer.session():
            while await asyncio.to_thread(sys.stdin.readline):
                await self._peer.enqueue(tally.make_timestamp())


class _ThreadDriver:
    """Executes the commands with a library that blocks."""

    def __init__(self, peer: ThreadPeer) -> None:
        self._peer = peer

    def execute(self, options: argparse.Namespace) -> None:
        match options.command:
            case "enqueue":
                self._measure(options.how, options.n, options.warm)
            case "send":
                for _ in sys.stdin:
                    self._peer.enqueue(tally.make_timestamp())
            case _:
                tally.count_with(_make_tally(options))
                self._peer.work(options.concurrency)

    def _measure(self, how: str, n: int, warm: int) -> None:
        if how == "fill":
            how = "many" if isinstance(self._peer, ThreadBulk) else "one"
        if how == "many" and not isinstance(self._peer, ThreadBulk):
            return tally.say({"rate": None})
        with ThreadPoolExecutor(IN_FLIGHT) as threads:
            self._enqueue(how, warm, threads)
            watch = _Stopwatch()
            self._enqueue(how, n, threads)
        return watch.report(n)

    def _enqueue(self, how: str, n: int, threads: ThreadPoolExecutor) -> None:
        match how:
            case "one":
                self._call(iter(range(n)))
            case "flight":
                numbers = iter(range(n))
                calls = [threads.submit(self._call, numbers) for _ in range(IN_FLIGHT)]
                for call in calls:
                    call.result()
            case _:
                assert isinstance(self._peer, ThreadBulk)
                for size in _batch_sizes(n):
                    self._peer.enqueue_many([PAYLOAD] * size)

    def _call(self, numbers: Iterator[int]) -> None:
        for _ in numbers:
            self._peer.enqueue(PAYLOAD)


class _Stopwatch:
    """Measures time, and the CPU time of this process, from its creation."""

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self._began_cpu_ns = time.process_time_ns()

    def report(self, n: int) -> None:
        """Write the rate of *n* tasks, and their time and CPU time."""
        seconds = time.perf_counter() - self._began
        cpu_us = (time.process_time_ns() - self._began_cpu_ns) / 1e3 / n
        tally.say({"rate": n / seconds, "seconds": seconds, "cpu_us": cpu_us})


def _parse_arguments(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.agent")
    parser.add_argument("peer")
    parser.add_argument("command", choices=["about", "enqueue", "drain", "serve", "send"])
    parser.add_argument("--address", default="127.0.0.1:6379", help="host:port, or a file")
    parser.add_argument("--n", type=int, default=1_000)
    parser.add_argument("--how", choices=["one", "flight", "many", "fill"], default="fill")
    parser.add_argument("--warm", type=int, default=0, help="tasks enqueued before the measurement")
    parser.add_argument("--concurrency", type=int, default=10)
    parser.add_argument("--hold", action="store_true", help="begin with a line on standard input")
    parser.add_argument("--uvloop", action="store_true")
    parser.add_argument("--limit", type=float, default=60, help="seconds until this process exits")
    return parser.parse_args(arguments)


def _make_tally(options: argparse.Namespace) -> tally.Drain | tally.Pickup:
    return tally.Drain(options.n) if options.command == "drain" else tally.Pickup()


def _exit_after(seconds: float) -> None:
    """Exit after *seconds*, in case the program that started this one has died."""
    timer = threading.Timer(seconds, os._exit, [70])
    timer.daemon = True
    timer.start()


def _batch_sizes(n: int) -> Iterator[int]:
    for begin in range(0, n, BULK):
        yield min(BULK, n - begin)


def _run(main: Coroutine[object, object, T], *, uvloop: bool) -> T:
    factory = importlib.import_module("uvloop").new_event_loop if uvloop else None
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(main)


def _versions(distributions: str) -> dict[str, str]:
    return {name: importlib.metadata.version(name) for name in distributions.split("+")}


if __name__ == "__main__":
    main()
