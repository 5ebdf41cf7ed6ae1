"""The server: starts and stops its actors, and handles signals."""

import functools
import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Final, Self, Unpack

from pyasynq.broker import BrokerAddress, open_broker, redact_url
from pyasynq.core.errors import OptionError, ServerStateError, seconds
from pyasynq.core.options import check_known
from pyasynq.runtime.loggers import enable_loggers, get_logger
from pyasynq.runtime.os_signals import STOP_SIGNALS, handle_os_signals
from pyasynq.runtime.service import Service
from pyasynq.runtime.waiting import wait_for_first
from pyasynq.server.actors import FLUSH_S, INTERRUPT_S, ServerActors
from pyasynq.server.config import Config, ServerOptions
from pyasynq.server.mux import Handler, Mux, as_async, places_of
from pyasynq.server.run.slots import ServerLoad

log: Final = get_logger("pyasynq.server")

SIGNALS: Final = (*STOP_SIGNALS, "SIGTSTP")


class Server:
    """Takes tasks from queues and runs their handlers.

    Source:
        Protocol sections 6.1, 6.2 and 6.12 (asynq v0.26.0 ``server.go``).
    """

    def __init__(
        self,
        broker: BrokerAddress,
        *,
        handler: Handler | None = None,
        **options: Unpack[ServerOptions],
    ) -> None:
        """Use *broker*; send nothing before the server runs.

        Args:
            broker: A URL, a bare ``host:port``, a redis-py asyncio client, or an open broker; the
                last two stay yours to close.
            handler: The handler that `run` and `running` use by default.
            **options: See `ServerOptions`.

        Raises:
            OptionError: If the broker or an option cannot be used.
            TypeError: If an option is unknown.
        """
        check_known(options, ServerOptions.__annotations__)
        self._service = Service()
        self._handler = handler
        self._config = Config.of(options)
        self.id: str = self._config.server_id
        self._broker = open_broker(broker, self._config.clock)
        self._address = redact_url(broker)
        self._actors: ServerActors | None = None
        self._may_end = False
        self._ended_by_operator = False

    @property
    def state(self) -> str:
        """``new``, ``active``, ``stopped`` (takes no tasks) or ``closed``."""
        if self._service.state == "active" and self._actors is not None and self._actors.is_quiet:
            return "stopped"
        return self._service.state

    @property
    def deployment(self) -> str | None:
        """The name that it shares with other servers; None if it has none."""
        return self._config.deployment

    @property
    def ended_by_operator(self) -> bool:
        """Whether it ends, or has ended, because operators want it; see `Inspector.control`."""
        return self._ended_by_operator

    @property
    def problem(self) -> str | None:
        """Why the server is not ready; None while it takes tasks and its last calls succeeded.

        It is not ready if its state is not ``active``, if it could not write the leases of its
        tasks and its own record, which it does every few seconds, or if no queue answers. Nothing
        is sent to find out.
        """
        if self.state != "active" or self._actors is None:
            return f"the server is {self.state}"
        return self._actors.problem()

    @property
    def load(self) -> ServerLoad:
        """How busy the server is now."""
        if self._actors is None:
            return ServerLoad(slots=self._config.concurrency)
        return self._actors.load()

    async def run(self, handler: Handler | None = None) -> None:
        """Work until SIGTERM, SIGINT or SIGHUP.

        A second one interrupts running handlers at once. After SIGTSTP the server takes no more
        tasks.

        Args:
            handler: A `Mux`, or one handler for all types. A server that an `App` made has one.

        Raises:
            OptionError: If there is no handler.
            ServerStateError: If the server has run before.
        """
        with handle_os_signals(SIGNALS, self._on_signal):
            self._may_end = True
            async with self.running(handler):
                await self._wait_for_end()

    @asynccontextmanager
    async def running(self, handler: Handler | None = None) -> AsyncGenerator[Self]:
        """Work while the block runs; its end stops the server gracefully, as a signal stops `run`.

        Args:
            handler: A `Mux`, or one handler for all types. A server that an `App` made has one.

        Raises:
            OptionError: If there is no handler.
            ServerStateError: If the server has run before.
        """
        handler = handler or self._handler
        if not callable(handler):
            raise OptionError("handler", handler, "a Mux or a function that takes a task")
        self._service.check_new(ServerStateError)
        self._actors = actors = self._make_actors(handler)
        async with self._service.running(
            actors.actors,
            drain=actors.drain,
            cleanup=functools.partial(self._close, actors),
            lifespan=self._config.lifespan,
        ):
            yield self

    def _make_actors(self, handler: Handler) -> ServerActors:
        config = self._config.for_places(places_of(handler))
        actors = ServerActors(
            self._broker, as_async(handler), config, self._service, on_stop=self._on_operator_stop
        )
        self._log_start(handler, config)
        return actors

    @property
    def longest_stop(self) -> timedelta:
        """Longest time of a stop, including interrupted handlers and the last writes."""
        return self._config.shutdown_timeout + timedelta(seconds=INTERRUPT_S + FLUSH_S)

    async def ping(self) -> None:
        """Return when the broker answers and accepts writes, which a replica of Redis does not.

        Raises:
            BrokerError: If it does not.
        """
        await self._broker.ping()

    def stop(self) -> None:
        """Take no more tasks; running tasks and the server itself go on until a shutdown."""
        if self._service.state == "active":
            self._service.state = "stopped"
            log.info("taking no more tasks")
        if self._actors is not None:
            self._actors.stop()

    def shut_down(self) -> None:
        """Make `run` return once running handlers have ended; called again, interrupt them."""
        self._service.shut_down()

    async def _wait_for_end(self) -> None:
        """Return when a stop is requested or, in a burst, when the queues are empty."""
        requested = self._service.stop_requested
        if not self._config.burst or self._actors is None:
            await requested.wait()
        elif await wait_for_first(self._actors.wait_until_empty(), requested.wait()):
            requested.set()
            log.info("the queues are empty: shutting down")

    async def _close(self, actors: ServerActors) -> None:
        try:
            await actors.close()
        finally:
            await self._broker.aclose()
        log.info("server %s has stopped", self.id)

    def _on_signal(self, number: int) -> None:
        if number == getattr(signal, "SIGTSTP", None):
            self.stop()
            return
        name = signal.Signals(number).name
        if self._service.stop_requested.is_set():
            log.info("%s again: interrupting running tasks", name)
        else:
            time = seconds(self._config.shutdown_timeout)
            log.info("%s: shutting down server %s; running tasks have %s", name, self.id, time)
        self.shut_down()

    def _on_operator_stop(self) -> bool:
        """End as operators want; return False if only the program that runs the server can."""
        if self._may_end and not self._ended_by_operator:
            self._ended_by_operator = True
            log.info("operators want server %s to end: shutting down", self.id)
            self._service.stop_requested.set()
        return self._may_end

    def _log_start(self, handler: Handler, config: Config) -> None:
        enable_loggers()
        queues = " ".join(f"{queue}={weight}" for queue, weight in config.queues.items())
        types = f", task types: {len(handler.patterns)}" if isinstance(handler, Mux) else ""
        log.info(
            "server %s starts: %s, queues %s%s, %d at once%s",
            self.id,
            self._address,
            queues,
            " strictly" if config.strict_priority else "",
            config.concurrency,
            types,
        )
