"""Report to the user's function whether Redis answers.

Source:
    Protocol section 6.10 (asynq v0.26.0 ``healthcheck.go``).
"""

from collections.abc import Awaitable, Callable

from pyasynq.core.errors import BrokerError
from pyasynq.runtime.actor import Actor, OutageLog
from pyasynq.runtime.callbacks import Callbacks
from pyasynq.runtime.clock import Clock
from pyasynq.server.config import HealthCheck


class HealthChecker(Actor):
    """Pings Redis and calls the user's function with None or the error."""

    name = "health checker"

    def __init__(
        self,
        ping: Callable[[], Awaitable[None]],
        check: HealthCheck,
        *,
        period_s: float,
        clock: Clock,
        outages: OutageLog,
    ) -> None:
        """Call *check* every *period_s* seconds."""
        super().__init__(clock=clock, outages=outages)
        self._ping = ping
        self._check = check
        self._period_s = period_s
        self._callbacks = Callbacks(1)

    async def step(self) -> float:
        """Ping Redis and report the result."""
        error: BrokerError | None = None
        try:
            await self._ping()
        except BrokerError as failure:
            error = failure
        await self._callbacks.call("health_check", self._check, error)
        return self._period_s

    def close(self) -> None:
        """Release the thread."""
        self._callbacks.close()
