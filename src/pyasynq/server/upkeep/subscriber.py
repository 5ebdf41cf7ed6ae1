"""Listen for cancelations, and for changes of what operators want.

Source:
    Protocol sections 3.19 and 6.10 (asynq v0.26.0 ``subscriber.go``).
"""

from collections.abc import Callable

from pyasynq.broker import Notice, RegistryPort, Vacancy
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
        on_vacancy: Callable[[str], None],
        clock: Clock,
        outages: OutageLog,
    ) -> None:
        """Call *cancel* with each task id that *registry* receives.

        Call *on_control* when operators want something else, and *on_vacancy* with each queue of
        which no server does the upkeep any more.
        """
        super().__init__(clock=clock, outages=outages)
        self._registry = registry
        self._cancel = cancel
        self._on_control = on_control
        self._on_vacancy = on_vacancy

    async def step(self) -> float:
        """Listen until the connection breaks.

        What was published before the subscription began is lost, so then operators may already want
        something else.
        """
        listening = False
        async for notice in self._registry.notices():
            if notice is Notice.CONTROL or not listening:
                listening = True
                self._on_control()
            elif isinstance(notice, Vacancy):
                self._on_vacancy(notice.queue)
            elif notice is not None:
                self._cancel(notice)
            self._outages.record_success(self.name)
            self.steps.finish()
        return 0.0
