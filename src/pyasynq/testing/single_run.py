"""Run one leased task as a server does, and keep what comes of it."""

from concurrent.futures import Executor

from pyasynq.broker import Broker, Lease
from pyasynq.core.verdict import Verdict
from pyasynq.server import ActiveTask, AsyncHandler, Mux
from pyasynq.server.config import Config
from pyasynq.server.run.runner import Runner
from pyasynq.server.run.slots import Run
from pyasynq.server.run.workflows import Workflows


class SingleRun(Runner):
    """The runner of one task.

    Attributes:
        error: Why the run failed; None if it succeeded.
        value: What the function returned.
        verdict: The verdict on the task; None without a run.
    """

    def __init__(self, mux: Mux, broker: Broker, config: Config, executor: Executor) -> None:
        """Run with the handlers of *mux*; plain functions run in *executor*."""
        self.error: Exception | None = None
        self.value: object = None
        self.verdict: Verdict | None = None
        handler = mux.around(self._keep_value)
        workflows = Workflows(broker, config)
        super().__init__(handler, broker.work, self, config, workflows=workflows, executor=executor)

    async def run(self, lease: Lease) -> None:
        """Run the task of *lease*; a cancellation interrupts it, and it is to be put back."""
        self.start([lease])
        try:
            await self.wait_until_finished()
        finally:
            self.interrupt()
            await self.wait_until_finished()
            await self.close()

    async def run_handler(self, run: Run) -> Exception | None:
        """Run the handler of *run*, and keep its error."""
        self.error = await super().run_handler(run)
        return self.error

    def add(self, lease: Lease, verdict: Verdict) -> None:
        """Keep the *verdict* on *lease*, as the completer of this runner."""
        self.verdict = verdict

    async def _keep_value(self, task: ActiveTask, call_next: AsyncHandler) -> object:
        self.value = await call_next(task)
        return self.value
