"""Listen for cancelations, and for changes of what operators want.

Source:
    Protocol sections 3.19 and 6.10 (asynq v0.26.0 ``subscriber.go``).
"""

from collections.abc import Callable

from pyasynq.broker import Notice, RegistryPort
from pyasynq.runtime.actor import Actor, OutageLog
from pyasynq.runtime.clock import Clock


class Subscriber(Actor):
    """Stops the runs that operators cancel, and tells when they want something else."""

    name = "subscriber"

    def __init__(
        self,
        registry: RegistryPort,
        cancel: Callable[[str], None],
        *,
        on_control: Callable[[], None],
        clock: Clock,
        outages: OutageLog,
    ) -> None:
        """Call *cancel* with each task id that *registry* receives, *on_control* at each change."""
        super().__init__(clock=clock, outages=outages)
        self._registry = registry
        self._cancel = cancel
        self._on_control = on_control

    async def step(self) -> float:
        """Listen until the connection breaks."""
        async for notice in self._registry.notices():
            if notice is Notice.CONTROL:
                self._on_control()
            elif notice is not None:
                self._cancel(notice)
            self._outages.record_success(self.name)
            self.steps.finish()
        return 0.0
