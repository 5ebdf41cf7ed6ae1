"""One peer at work, in a process of its own: ``python -m benchmarks.agent PEER COMMAND``.

It answers in lines of JSON and is ended by the program that started it. Commands:

- ``about``: which version this is.
- ``enqueue``: enqueue n tasks and say how fast that was.
- ``drain``: handle tasks; after the n-th say how fast that was, then go on.
- ``serve``: handle tasks; say of each how long ago it was sent.
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
    """Do what the command line says."""
    options = _parsed(sys.argv[1:])
    _end_after(options.limit)
    if options.command == "about":
        return tally.say({"versions": _versions(options.peer)})
    module = importlib.import_module(f"benchmarks.peers.{options.peer}")
    peer: AsyncPeer | ThreadPeer = module.connect(options.redis)
    if isinstance(peer, AsyncPeer):
        return _run(_AsyncDriver(peer).obey(options), uvloop=options.uvloop)
    return _ThreadDriver(peer).obey(options)


class _AsyncDriver:
    """Does the commands with a library for asyncio."""

    def __init__(self, peer: AsyncPeer) -> None:
        self._peer = peer

    async def obey(self, options: argparse.Namespace) -> None:
        match options.command:
            case "enqueue":
                await self._timed(options.how, options.n, options.warm)
            case "send":
                await self._send()
            case _:
                tally.count_with(_tally_of(options))
                await self._peer.work(options.concurrency)

    async def _timed(self, how: str, n: int, warm: int) -> None:
        if how == "fill":
            how = "many" if isinstance(self._peer, AsyncBulk) else "flight"
        if how == "many" and not isinstance(self._peer, AsyncBulk):
            return tally.say({"rate": None})
        call = {"one": self._one, "flight": self._flight, "many": self._many}[how]
        async with self._peer.session():
            await call(warm)
            watch = _Watch()
            await call(n)
        return watch.tell(n)

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
        for size in _portions(n):
            await self._peer.enqueue_many([PAYLOAD] * size)

    async def _send(self) -> None:
        async with self._peer.session():
            while await asyncio.to_thread(sys.stdin.readline):
                await self._peer.enqueue(tally.stamped())


class _ThreadDriver:
    """Does the commands with a library that blocks."""

    def __init__(self, peer: ThreadPeer) -> None:
        self._peer = peer

    def obey(self, options: argparse.Namespace) -> None:
        match options.command:
            case "enqueue":
                self._timed(options.how, options.n, options.warm)
            case "send":
                for _ in sys.stdin:
                    self._peer.enqueue(tally.stamped())
            case _:
                tally.count_with(_tally_of(options))
                self._peer.work(options.concurrency)

    def _timed(self, how: str, n: int, warm: int) -> None:
        if how == "fill":
            how = "many" if isinstance(self._peer, ThreadBulk) else "one"
        if how == "many" and not isinstance(self._peer, ThreadBulk):
            return tally.say({"rate": None})
        with ThreadPoolExecutor(IN_FLIGHT) as threads:
            self._enqueue(how, warm, threads)
            watch = _Watch()
            self._enqueue(how, n, threads)
        return watch.tell(n)

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
                for size in _portions(n):
                    self._peer.enqueue_many([PAYLOAD] * size)

    def _call(self, numbers: Iterator[int]) -> None:
        for _ in numbers:
            self._peer.enqueue(PAYLOAD)


class _Watch:
    """Takes the time, and the CPU of this process, from now on."""

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self._began_cpu_ns = time.process_time_ns()

    def tell(self, n: int) -> None:
        """Say what *n* tasks took."""
        seconds = time.perf_counter() - self._began
        cpu_us = (time.process_time_ns() - self._began_cpu_ns) / 1e3 / n
        tally.say({"rate": n / seconds, "seconds": seconds, "cpu_us": cpu_us})


def _parsed(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.agent")
    parser.add_argument("peer")
    parser.add_argument("command", choices=["about", "enqueue", "drain", "serve", "send"])
    parser.add_argument("--redis", default="127.0.0.1:6379", help="host:port")
    parser.add_argument("--n", type=int, default=1_000)
    parser.add_argument("--how", choices=["one", "flight", "many", "fill"], default="fill")
    parser.add_argument("--warm", type=int, default=0, help="tasks enqueued before the clock runs")
    parser.add_argument("--concurrency", type=int, default=10)
    parser.add_argument("--uvloop", action="store_true")
    parser.add_argument("--limit", type=float, default=60, help="seconds until this ends itself")
    return parser.parse_args(arguments)


def _tally_of(options: argparse.Namespace) -> tally.Drain | tally.Pickup:
    return tally.Drain(options.n) if options.command == "drain" else tally.Pickup()


def _end_after(seconds: float) -> None:
    """Leave nothing behind if the program that started this is gone."""
    timer = threading.Timer(seconds, os._exit, [70])
    timer.daemon = True
    timer.start()


def _portions(n: int) -> Iterator[int]:
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
