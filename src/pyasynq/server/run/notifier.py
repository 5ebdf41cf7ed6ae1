"""Call the worker's own hooks after verdicts are written."""

import asyncio
from collections import deque
from concurrent.futures import Executor
from typing import Final

from pyasynq.core.outcome import Outcome
from pyasynq.runtime.actor import StepSignal
from pyasynq.runtime.callbacks import Callbacks
from pyasynq.runtime.loggers import get_logger
from pyasynq.server.hooks import Hooks

log: Final = get_logger("pyasynq.server")

CALLS_AT_ONCE: Final = 8
"""Hooks that run at once; of plain functions as many have a thread."""

MOST_WAITING: Final = 10_000
"""Outcomes that wait for a hook; further ones are dropped, because a slow hook must not fill the
memory.
"""


class Notifier:
    """Calls functions of the user with outcomes, some at once, in the order of the outcomes.

    Attributes:
        steps: Signals each outcome whose functions have returned.
    """

    name = "notifier"

    def __init__(self, hooks: Hooks, executor: Executor | None = None) -> None:
        """Call the functions of *hooks*; plain ones in *executor*, None for own threads."""
        self.steps: StepSignal = StepSignal()
        self._hooks = hooks
        self._callbacks = Callbacks(CALLS_AT_ONCE, executor)
        self._waiting: deque[Outcome] = deque()
        self._calling = 0
        self._added = asyncio.Event()
        self._dropping = False

    def add(self, outcome: Outcome) -> None:
        """Call the hooks for *outcome* soon."""
        if len(self._waiting) < MOST_WAITING:
            self._waiting.append(outcome)
            self._added.set()
            self._dropping = False
        elif not self._dropping:
            self._dropping = True
            log.error("functions on outcomes are too slow: calls are dropped from now on")

    async def run(self) -> None:
        """Call hooks until cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(CALLS_AT_ONCE):
                group.create_task(self._call_all())

    async def wait_until_called(self) -> None:
        """Return when no outcome waits and no hook runs."""
        while self._waiting or self._calling:
            await self.steps.next()

    def close(self) -> None:
        """Release the threads; one that does not return ends with the process."""
        self._callbacks.close()

    async def _call_all(self) -> None:
        while True:
            while not self._waiting:
                self._added.clear()
                await self._added.wait()
            outcome = self._waiting.popleft()
            self._calling += 1
            try:
                await self.call(outcome)
            finally:
                self._calling -= 1
                self.steps.finish()

    async def call(self, outcome: Outcome) -> None:
        """Call the hooks for *outcome*, one after the other; log what they raise."""
        for function in self._hooks.functions(outcome.outcome, outcome.type):
            await self._callbacks.call(f"on({outcome.outcome!r})", function, outcome)
