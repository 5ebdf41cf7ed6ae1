"""Log which handler blocks the event loop.

While the loop is blocked no lease is extended, and after 30 s other workers run the same tasks
again. The author of a ``time.sleep`` in an ``async def`` should know before that.
"""

import asyncio
import threading
import time
from collections.abc import Collection
from typing import Final

from pyasynq.runtime.callbacks import role_in
from pyasynq.runtime.loggers import get_logger
from pyasynq.runtime.threads import frame_of, stack_of
from pyasynq.server.run.slots import Run

log: Final = get_logger("pyasynq.server")

BEATS: Final = 4
"""Number of signs of life from the loop in the time after which it counts as blocked."""

ON_THE_LOOP: Final = ("retry_delay", "is_failure")
"""Plain functions that are called on the event loop."""


class Watchdog:
    """A thread that expects signs of life from the loop."""

    name = "watchdog"

    def __init__(self, runs: Collection[Run], *, longest_s: float) -> None:
        """Warn once a run has held the loop for *longest_s* seconds."""
        self._runs = runs
        self._longest_s = longest_s
        self._alive_at = time.monotonic()
        self._over = threading.Event()

    async def run(self) -> None:
        """Give signs of life until cancelled."""
        loop = asyncio.get_running_loop()
        watch = (loop, threading.get_ident())
        threading.Thread(
            target=self._watch, args=watch, name="pyasynq-watchdog", daemon=True
        ).start()
        try:
            while True:
                self._alive_at = time.monotonic()
                await asyncio.sleep(self._longest_s / BEATS)
        finally:
            self._over.set()

    def _watch(self, loop: asyncio.AbstractEventLoop, thread_id: int) -> None:
        warned_at = 0.0
        while not self._over.wait(self._longest_s / BEATS):
            alive_at = self._alive_at
            if time.monotonic() - alive_at >= self._longest_s and alive_at != warned_at:
                warned_at = alive_at
                self._warn(loop, thread_id)

    def _warn(self, loop: asyncio.AbstractEventLoop, thread_id: int) -> None:
        job = asyncio.current_task(loop)
        run = next((run for run in list(self._runs) if run.job is job), None)
        role = role_in(frame_of(thread_id))
        advice = "use a plain def (it runs in a thread) or await"
        who = role or ("something outside the handlers" if run is None else "the handler")
        log.warning(
            "%s%s has blocked the event loop for %.1f s; leases cannot be extended: %s\n%s",
            who,
            "" if run is None else f" of {run.active!r}",
            self._longest_s,
            "let it decide without waiting" if role in ON_THE_LOOP else advice,
            stack_of(thread_id),
        )
