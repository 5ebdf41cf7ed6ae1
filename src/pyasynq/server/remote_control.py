"""Apply what operators want to a running server."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Final

from pyasynq.core.wanted_state import RunState, WantedState
from pyasynq.runtime.loggers import get_logger
from pyasynq.server.config import PLAIN_PER_PLACE, Config
from pyasynq.server.queue_actors import QueueCrew
from pyasynq.server.run.processor import Processor
from pyasynq.server.run.runner import Runner
from pyasynq.server.upkeep.heartbeater import Heartbeater

log: Final = get_logger("pyasynq.server")

STOPPED_LOCALLY: Final = "a signal or its own program has stopped it, which only a restart undoes"
ENDED_BY_PROGRAM: Final = "only its own program can end it; it takes no more tasks"


class RemoteControl:
    """Changes a server while it runs, and has the heartbeater show it.

    Attributes:
        is_quiet: Operators want it to take no tasks.
    """

    def __init__(
        self,
        runner: Runner,
        processor: Processor,
        heartbeater: Heartbeater,
        queues: QueueCrew,
        *,
        config: Config,
        on_stop: Callable[[], bool],
    ) -> None:
        """Control the server that consists of these.

        Args:
            runner: Has the slots.
            processor: Takes tasks.
            heartbeater: Shows the server.
            queues: Serves its queues.
            config: Its own settings, which hold where operators want nothing else.
            on_stop: Ends the server; returns False if it cannot.
        """
        self.is_quiet: bool = False
        self._runner = runner
        self._processor = processor
        self._heartbeater = heartbeater
        self._queues = queues
        self._config = config
        self._applied = config
        self._on_stop = on_stop
        self._is_known = not config.has_patterns
        self._is_closing = False

    def begin(self) -> None:
        """Take tasks, unless operators want otherwise, or the queues are not known yet."""
        if self._is_known and not self.is_quiet:
            self._processor.begin()

    async def apply(
        self, wanted: WantedState, queues: Mapping[str, int], found: Collection[str]
    ) -> None:
        """Change what differs from *wanted*; *found* are the queues that only a pattern names."""
        if self._is_closing:
            return
        problems = dict(wanted.problems)
        self._set_quiet(is_quiet=wanted.state in {"quiet", "stop"})
        await self._set_concurrency(wanted.concurrency, problems)
        await self._set_queues(queues)
        self._set_state(wanted.state, problems)
        self._is_known = True
        self._show(queues, problems, found)

    def show_stop(self) -> None:
        """Show that the server takes no more tasks, whatever operators want."""
        self._heartbeater.show(replace(self._heartbeater.info, status="stopped"))

    def close(self) -> None:
        """Change nothing from now on: the server ends."""
        self._is_closing = True
        self._heartbeater.info = replace(self._heartbeater.info, status="closed")

    def _set_quiet(self, *, is_quiet: bool) -> None:
        if is_quiet != self.is_quiet:
            log.info("taking no more tasks: operators want it" if is_quiet else "taking tasks")
        self.is_quiet = is_quiet
        if is_quiet:
            self._processor.hold()

    async def _set_concurrency(self, wanted: int | None, problems: dict[str, str]) -> None:
        config = self._config.with_concurrency(wanted)
        if wanted is not None and config.concurrency < wanted:
            problems["concurrency"] = (
                f"{config.concurrency} instead of {wanted}: all its handlers run in threads or "
                f"processes, and it takes {PLAIN_PER_PLACE} tasks for each"
            )
        if config != self._applied:
            self._applied = config
            await self._runner.resize(config)
            log.info("concurrency: %d", config.concurrency)

    async def _set_queues(self, queues: Mapping[str, int]) -> None:
        await self._queues.end_idle()
        if dict(queues) == self._heartbeater.info.queues:
            return
        await self._queues.serve(queues)
        log.info("queues: %s", " ".join(f"{queue}={n}" for queue, n in queues.items()) or "none")

    def _set_state(self, wanted: RunState | None, problems: dict[str, str]) -> None:
        if wanted == "stop" and not self._on_stop():
            problems["state"] = ENDED_BY_PROGRAM
        if wanted == "active" and self._runner.stopping:
            problems["state"] = STOPPED_LOCALLY

    def _show(
        self, queues: Mapping[str, int], problems: Mapping[str, str], found: Collection[str]
    ) -> None:
        """Show the server as it is now; log what cannot be applied, once."""
        before = self._heartbeater.info
        info = replace(
            before,
            concurrency=self._applied.concurrency,
            queues=dict(queues),
            status=self._status(),
            not_applied=problems,
        )
        if problems != before.not_applied:
            for name, why in problems.items():
                log.warning("operators want another %s, which cannot be applied: %s", name, why)
        self._heartbeater.show(info, found=found)

    def _status(self) -> str:
        if self._is_closing:
            return "closed"
        return "stopped" if self.is_quiet or self._runner.stopping else "active"
