"""Sends script calls: in batches, in round trips, and to the nodes of a cluster side by side."""

import asyncio
from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Sequence
from itertools import repeat
from typing import Final, cast

from redis.asyncio import Redis
from redis.exceptions import NoScriptError

from pyasynq.broker.redis.connection import Driver, broker_errors, execute, failed, is_broken
from pyasynq.broker.redis.scripts import Call
from pyasynq.core.errors import BrokerError, BrokerUnavailableError
from pyasynq.core.policy import MAX_BYTES, MAX_TASKS
from pyasynq.runtime.concurrency_limit import ConcurrencyLimit

SIDE_BY_SIDE: Final = 16
"""Queues of a cluster that are asked at a time: each has a connection of its own meanwhile."""

_NO_BYTES: Final = repeat(0)


class _Batch:
    """The places of what goes out in one call, and the bytes of their messages."""

    __slots__ = ("places", "size")

    def __init__(self) -> None:
        self.places: list[int] = []
        self.size = 0


def batches(
    paths: Iterable[Hashable], sizes: Iterable[int] = _NO_BYTES, *, most: int = MAX_TASKS
) -> list[list[int]]:
    """Return the places of what goes out in one call each.

    Those of one call have the same path, are at most *most*, and no more once they have
    `MAX_BYTES`.

    Args:
        paths: The path of each task.
        sizes: The bytes of the message that goes out with each; none when not given.
        most: How many one call handles.
    """
    made: list[_Batch] = []
    by_path: dict[Hashable, _Batch] = {}
    for place, (path, size) in enumerate(zip(paths, sizes, strict=False)):
        batch = by_path.get(path)
        if batch is None or len(batch.places) == most or batch.size >= MAX_BYTES:
            batch = by_path[path] = _Batch()
            made.append(batch)
        batch.places.append(place)
        batch.size += size
    return [batch.places for batch in made]


async def run(driver: Driver, call: Call) -> object:
    """Run *call* and return what the script returns.

    Raises:
        BrokerError: If Redis did not run it to the end.
    """
    try:
        once = not call.script.repeatable
        return await execute(driver, "EVALSHA", call.script.sha, *call.arguments, once=once)
    except BrokerError as error:
        if isinstance(error.__cause__, NoScriptError):
            return await execute(driver, "EVAL", call.script.lua, *call.arguments, once=True)
        raise


async def run_all(driver: Driver, calls: Sequence[Call]) -> list[object]:
    """Run *calls* in one round trip; a call that failed is answered with its `BrokerError`.

    Calls that carry too much for one go out in several. After one that had no answer at all, the
    rest is not sent.
    """
    answers: list[object] = []
    for together in _round_trips(calls):
        replies = await _run_together(driver, together)
        answers += replies
        if all(isinstance(reply, BrokerUnavailableError) for reply in replies):
            break
    return answers + answers[-1:] * (len(calls) - len(answers))


def raise_first(answers: Iterable[object]) -> None:
    """Raise the first `BrokerError` among the *answers* of `run_all`, if there is one."""
    for answer in answers:
        if isinstance(answer, BrokerError):
            raise answer


def _round_trips(calls: Sequence[Call]) -> Iterator[Sequence[Call]]:
    """Yield *calls* in their order, each time until they have `MAX_BYTES`."""
    start = size = 0
    for end, call in enumerate(calls, 1):
        size += call.size
        if size >= MAX_BYTES or end == len(calls):
            yield calls[start:end]
            start, size = end, 0


async def _run_together(driver: Driver, calls: Sequence[Call]) -> list[object]:
    if len(calls) == 1:
        return [await _answer(driver, calls[0])]
    if not isinstance(driver, Redis):
        return await _by_queue(driver, calls)
    answers = await _pipelined(driver, calls)
    if is_broken(answers[0]) and all(call.script.repeatable for call in calls):
        return await _pipelined(driver, calls)
    return answers


async def _answer(driver: Driver, call: Call) -> object:
    try:
        return await run(driver, call)
    except BrokerError as error:
        return error


async def _by_queue(driver: Driver, calls: Sequence[Call]) -> list[object]:
    """Run the calls of one queue in their order, those of several side by side.

    Queues live on different nodes of a cluster, and every call has a connection of its own.
    """
    answers: list[object] = [None] * len(calls)
    limit = ConcurrencyLimit(SIDE_BY_SIDE)
    by_queue: defaultdict[str, list[int]] = defaultdict(list)
    for place, call in enumerate(calls):
        by_queue[_hash_tag(call)].append(place)

    async def run_in_order(places: Sequence[int]) -> None:
        async with limit.slot():
            for place in places:
                answers[place] = await _answer(driver, calls[place])

    await asyncio.gather(*(run_in_order(places) for places in by_queue.values()))
    return answers


def _hash_tag(call: Call) -> str:
    """Return what pins the slot of the call's keys: the queue, in braces."""
    return str(call.arguments[1]).partition("}")[0]


async def _pipelined(driver: Redis, calls: Sequence[Call]) -> list[object]:
    pipeline = driver.pipeline(transaction=False)
    for call in calls:
        pipeline.execute_command("EVALSHA", call.script.sha, *call.arguments)
    try:
        async with broker_errors(driver):
            answers = cast("list[object]", await pipeline.execute(raise_on_error=False))
    except BrokerError as error:
        return [error] * len(calls)
    except UnicodeEncodeError:  # not sent yet; alone each goes as it is to
        return [await _answer(driver, call) for call in calls]
    return [
        await _again(driver, call, answer) if isinstance(answer, Exception) else answer
        for call, answer in zip(calls, answers, strict=True)
    ]


async def _again(driver: Redis, call: Call, error: Exception) -> object:
    if isinstance(error, NoScriptError):
        return await _answer(driver, call)
    return await failed(driver, error)
