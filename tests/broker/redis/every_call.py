"""Do something at each script call of the broker."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

import pytest

from pyasynq.broker.redis import pipeline
from pyasynq.broker.redis.connection import Driver
from pyasynq.broker.redis.scripts import Call
from pyasynq.core.errors import BrokerError

Run: TypeAlias = Callable[[Driver, Call], Awaitable[object]]


def replace_runs(patch: pytest.MonkeyPatch, run: Run) -> None:
    """Let *run* run each script call, in place of the pipeline; calls of a pipeline one by one."""

    async def run_all(driver: Driver, calls: Sequence[Call]) -> list[object]:
        return [await answer(driver, call) for call in calls]

    async def answer(driver: Driver, call: Call) -> object:
        try:
            return await run(driver, call)
        except BrokerError as error:
            return error

    patch.setattr(pipeline, "run", run)
    patch.setattr(pipeline, "run_all", run_all)
