"""Send script calls: in batches, in few round trips, and to several cluster nodes at once."""

import asyncio
from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Sequence
from itertools import repeat
from typing import Final, cast

from redis.asyncio import Redis
from redis.exceptions import NoScriptError

from pyasynq.broker.redis.connection import (
    Driver,
    broker_errors,
    execute,
    handle_error,
    lost_connection,
)
from pyasynq.broker.redis.scripts import Call
from pyasynq.core.errors import BrokerError, BrokerUnavailableError
from pyasynq.core.policy import MAX_BYTES, MAX_TASKS
from pyasynq.runtime.concurrency_limit import ConcurrencyLimit

QUEUES_AT_ONCE: Final = 16
"""Queues of a cluster that are called at a time; each call needs its own connection."""

_NO_BYTES: Final = repeat(0)


class _Batch:
    """The indexes of the items in one call, and the bytes of their messages."""

    __slots__ = ("indexes", "size")

    def __init__(self) -> None:
        self.indexes: list[int] = []
        self.size = 0


def batches(
    batch_keys: Iterable[Hashable], sizes: Iterable[int] = _NO_BYTES, *, most: int = MAX_TASKS
) -> list[list[int]]:
    """Divide items into batches, one for each call; return the indexes of each batch's items.

    The items of a batch have the same key. A batch is full at *most* items or `MAX_BYTES`.

    Args:
        batch_keys: The key of each item; only items with the same key can share a call.
        sizes: The bytes of each item's message; 0 by default.
        most: Most items in one call.
    """
    all_batches: list[_Batch] = []
    by_key: dict[Hashable, _Batch] = {}
    for index, (key, size) in enumerate(zip(batch_keys, sizes, strict=False)):
        batch = by_key.get(key)
        if batch is None or len(batch.indexes) == most or batch.size >= MAX_BYTES:
            batch = by_key[key] = _Batch()
            all_batches.append(batch)
        batch.indexes.append(index)
        batch.size += size
    return [batch.indexes for batch in all_batches]


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
    """Run *calls* in one round trip; the answer to a call that failed is its `BrokerError`.

    Calls that carry too many bytes for one round trip take several. If a round trip gets no answer
    at all, the rest is not sent.
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
    """Yield *calls* in their order, in slices of about `MAX_BYTES`."""
    start = size = 0
    for end, call in enumerate(calls, 1):
        size += call.size
        if size >= MAX_BYTES or end == len(calls):
            yield calls[start:end]
            start, size = end, 0


async def _run_together(driver: Driver, calls: Sequence[Call]) -> list[object]:
    if len(calls) == 1:
        return [await _run_one(driver, calls[0])]
    if not isinstance(driver, Redis):
        return await _run_by_queue(driver, calls)
    answers = await _run_pipelined(driver, calls)
    if lost_connection(answers[0]) and all(call.script.repeatable for call in calls):
        return await _run_pipelined(driver, calls)
    return answers


async def _run_one(driver: Driver, call: Call) -> object:
    try:
        return await run(driver, call)
    except BrokerError as error:
        return error


async def _run_by_queue(driver: Driver, calls: Sequence[Call]) -> list[object]:
    """Run the calls of one queue in their order, and several queues at the same time.

    Queues are on different nodes of a cluster, and every call uses its own connection.
    """
    answers: list[object] = [None] * len(calls)
    limit = ConcurrencyLimit(QUEUES_AT_ONCE)
    by_queue: defaultdict[str, list[int]] = defaultdict(list)
    for index, call in enumerate(calls):
        by_queue[_hash_tag(call)].append(index)

    async def run_in_order(indexes: Sequence[int]) -> None:
        async with limit.slot():
            for index in indexes:
                answers[index] = await _run_one(driver, calls[index])

    await asyncio.gather(*(run_in_order(indexes) for indexes in by_queue.values()))
    return answers


def _hash_tag(call: Call) -> str:
    """Return the start of the call's first key up to the queue's name, which decides the slot."""
    return str(call.arguments[1]).partition("}")[0]


async def _run_pipelined(driver: Redis, calls: Sequence[Call]) -> list[object]:
    pipeline = driver.pipeline(transaction=False)
    for call in calls:
        pipeline.execute_command("EVALSHA", call.script.sha, *call.arguments)
    try:
        async with broker_errors(driver):
            answers = cast("list[object]", await pipeline.execute(raise_on_error=False))
    except BrokerError as error:
        return [error] * len(calls)
    except UnicodeEncodeError:  # nothing was sent; a single call encodes such names itself
        return [await _run_one(driver, call) for call in calls]
    return [
        await _retry_unloaded(driver, call, answer) if isinstance(answer, Exception) else answer
        for call, answer in zip(calls, answers, strict=True)
    ]


async def _retry_unloaded(driver: Redis, call: Call, error: Exception) -> object:
    if isinstance(error, NoScriptError):
        return await _run_one(driver, call)
    return await handle_error(driver, error)
