"""Write the list of a scheduler's entries, for inspectors.

Source:
    Protocol sections 3.20 and 7.2 (asynq v0.26.0 ``Scheduler.beat``).

Differs:
    The first write is at once; another follows when an entry is registered or removed (D50).
"""

import os
import socket
import uuid
from collections.abc import Mapping

from pyasynq.broker import SchedulePort
from pyasynq.core.options import whole_seconds
from pyasynq.runtime.actor import OutageLog, Wakeable
from pyasynq.scheduler.config import Config
from pyasynq.scheduler.entry import Entry


class Heartbeater(Wakeable):
    """Writes the entries periodically."""

    name = "heartbeater"

    def __init__(
        self,
        port: SchedulePort,
        entries: Mapping[str, Entry],
        *,
        config: Config,
        outages: OutageLog,
    ) -> None:
        """Write *entries*, which others may add and remove."""
        super().__init__(clock=config.clock, outages=outages)
        self._port = port
        self._entries = entries
        # An entry is written without headers, so nobody could see that its payload is sealed.
        self._hide_payloads = bool(config.codecs.names)
        self._interval = config.heartbeat_interval
        self.scheduler_id: str = f"{_host()}:{os.getpid()}:{uuid.uuid4()}"

    async def step(self) -> float:
        """Write the entries."""
        now = self._clock.now()
        entries = [entry.info(now, hidden=self._hide_payloads) for entry in self._entries.values()]
        ttl_s = whole_seconds(2 * self._interval)
        await self._port.write_entries(self.scheduler_id, entries, ttl_s=ttl_s)
        return self._interval.total_seconds()

    async def clear(self) -> None:
        """Delete the list of entries.

        Raises:
            BrokerError: If Redis does not answer; the list expires by itself.
        """
        await self._port.clear_entries(self.scheduler_id)


def _host() -> str:
    return socket.gethostname() or "unknown-host"
