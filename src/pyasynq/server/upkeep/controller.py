"""Read what operators want of this server, and have it applied."""

from collections.abc import Collection, Mapping
from typing import Final, Protocol

from pyasynq.broker import ControlPort, InspectionPort
from pyasynq.core.errors import BrokerError
from pyasynq.core.queue_weights import is_pattern, match_queues
from pyasynq.core.wanted_state import EVERY, WantedState, combine
from pyasynq.runtime.actor import OutageLog, Wakeable
from pyasynq.server.config import Config

PERIOD_S: Final = 5.0
"""Time between two reads if a pattern is to find new queues."""

RARE_S: Final = 15.0
"""Time between two reads otherwise: a message says when operators want something else."""


class Controlled(Protocol):
    """What is controlled: the parts of a server that operators may change."""

    def begin(self) -> None:
        """Take tasks, although it is not known what operators want."""
        ...

    async def apply(
        self, wanted: WantedState, queues: Mapping[str, int], found: Collection[str]
    ) -> None:
        """Change what differs from *wanted*.

        Args:
            wanted: What operators want.
            queues: The queues to serve, with their weights.
            found: Those of them that only a pattern names.
        """
        ...


class Controller(Wakeable):
    """Reads what operators want, and which queues match patterns: when it is woken, and at times.

    While the broker is away, the last state holds.
    """

    name = "controller"

    def __init__(
        self,
        server: Controlled,
        *,
        port: ControlPort | None,
        inspection: InspectionPort,
        config: Config,
        outages: OutageLog,
    ) -> None:
        """Control *server*; without a *port* only by the patterns of its own queues."""
        super().__init__(clock=config.clock, outages=outages)
        self._server = server
        self._port = port
        self._inspection = inspection
        self._config = config
        self._wanted = WantedState()
        self._wanted_alone = False
        self._has_patterns = False

    async def step(self) -> float:
        """Read once, and apply what has changed."""
        failure: BrokerError | None = None
        try:
            try:
                self._wanted = await self._read()
            except BrokerError as error:  # only the settings may be broken: patterns go on
                failure = error
            await self._apply(self._wanted)
        finally:
            self._server.begin()
        if failure is not None:
            raise failure
        return PERIOD_S if self._has_patterns else RARE_S

    async def _apply(self, wanted: WantedState) -> None:
        weights = self._config.queues if wanted.queues is None else wanted.queues
        queues = weights
        self._has_patterns = any(map(is_pattern, weights))
        if self._has_patterns:
            queues = match_queues(weights, await self._inspection.queues())
        found = [queue for queue in queues if queue not in weights]
        await self._server.apply(wanted, queues, found)

    async def _read(self) -> WantedState:
        if self._port is None:
            return WantedState()
        config = self._config
        targets = [config.server_id, *([config.deployment] if config.deployment else []), EVERY]
        settings = await self._port.read(targets)
        self._wanted_alone = any(setting.for_server for setting in settings)
        return combine(settings)

    async def clear(self) -> None:
        """Forget what operators wanted of this server alone, which has ended."""
        if self._port is not None and self._wanted_alone:
            await self._port.clear(self._config.server_id)
