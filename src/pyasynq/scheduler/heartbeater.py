"""Show the entries of a scheduler to inspectors.

Source:
    Protocol sections 3.20 and 7.2 (asynq v0.26.0 ``Scheduler.beat``).

Differs:
    The first time at once, and when an entry comes or goes (D50).
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
    """Writes the entries again and again."""

    name = "heartbeater"

    def __init__(
        self,
        port: SchedulePort,
        entries: Mapping[str, Entry],
        *,
        config: Config,
        outages: OutageLog,
    ) -> None:
        """Show *entries*, which may come and go."""
        super().__init__(clock=config.clock, outages=outages)
        self._port = port
        self._entries = entries
        # What is written here bears no headers, which would say how a payload is sealed.
        self._hidden = bool(config.codecs.names)
        self._interval = config.heartbeat_interval
        self.scheduler_id: str = f"{_host()}:{os.getpid()}:{uuid.uuid4()}"

    async def step(self) -> float:
        """Write the entries."""
        now = self._clock.now()
        entries = [entry.info(now, hidden=self._hidden) for entry in self._entries.values()]
        ttl_s = whole_seconds(2 * self._interval)
        await self._port.write_entries(self.scheduler_id, entries, ttl_s=ttl_s)
        return self._interval.total_seconds()

    async def clear(self) -> None:
        """Show nothing any more.

        Raises:
            BrokerError: If Redis does not answer; what is shown expires by itself.
        """
        await self._port.clear_entries(self.scheduler_id)


def _host() -> str:
    return socket.gethostname() or "unknown-host"
