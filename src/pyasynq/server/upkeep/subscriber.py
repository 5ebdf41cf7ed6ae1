"""Listen for cancelations.

Source:
    Protocol sections 3.19 and 6.10 (asynq v0.26.0 ``subscriber.go``).
"""

from collections.abc import Callable

from pyasynq.broker import RegistryPort
from pyasynq.runtime.actor import Actor, OutageLog
from pyasynq.runtime.clock import Clock


class Subscriber(Actor):
    """Stops the runs that operators cancel."""

    name = "subscriber"

    def __init__(
        self,
        registry: RegistryPort,
        cancel: Callable[[str], None],
        *,
        clock: Clock,
        outages: OutageLog,
    ) -> None:
        """Call *cancel* with each task id that *registry* receives."""
        super().__init__(clock=clock, outages=outages)
        self._registry = registry
        self._cancel = cancel

    async def step(self) -> float:
        """Listen until the connection breaks."""
        async for task_id in self._registry.cancelations():
            if task_id is not None:
                self._cancel(task_id)
            self._outages.record_success(self.name)
            self.steps.finish()
        return 0.0
