"""Control running servers: the broker keeps what operators want, and the servers read it there."""

import time
from collections.abc import Iterable, Mapping
from typing import Final

from pyasynq.core.errors import OptionError
from pyasynq.core.info import ServerInfo
from pyasynq.core.options import check_name
from pyasynq.core.wanted_state import EVERY, ServerControl, Setting, controls_of, encode_settings
from pyasynq.inspector.reader import Reader

DAY_US: Final = 86_400_000_000
"""Time after which settings for a server that is gone are forgotten; it may only be unreachable."""


class ServerController(Reader):
    """Changes running servers, and reads what is wanted of them."""

    async def control(
        self,
        target: str,
        *,
        quiet: bool | None = None,
        stop: bool = False,
        concurrency: int | None = None,
        queues: Mapping[str, int] | None = None,
        reset: bool = False,
    ) -> list[ServerInfo]:
        """Want something else of running servers, from now on.

        Servers notice it at once, or within 5 s if the notice is lost, and show it in `servers`. Of
        each setting the newest value holds, whichever target it was written for. What is wanted of
        a server's id ends with the server. What is wanted of a deployment, or of all servers, also
        holds for servers that start later, until it is reset. Go's servers ignore it.

        Args:
            target: Id of a running server, name of a deployment, or ``*`` for all servers.
            quiet: Whether they take no tasks; their running tasks end, and the servers stay.
            stop: They end, once their running tasks have ended or the shutdown timeout is over.
            concurrency: Tasks that they run at once. If more run now, those go on.
            queues: Their queues with weights, or patterns of queues such as ``tenant-*``.
            reset: Forget all that is wanted of *target*.

        Returns:
            The running servers that *target* names.

        Raises:
            OptionError: If a value is not allowed, or if nothing is asked for.
            NotSupportedError: If the broker has no control of servers.
        """
        check_name("target", target)
        state = _state_of(quiet=quiet, stop=stop)
        given = {"state": state, "concurrency": concurrency, "queues": queues}
        values = encode_settings({name: it for name, it in given.items() if it is not None})
        if reset == bool(values):
            raise OptionError("control", target, "with either reset or something that is wanted")
        port = self._broker.control
        servers = await self.servers()
        await self._forget_dead(await port.read(), servers)
        if reset:
            await port.clear(target)
        else:
            for_server = any(server.id == target for server in servers)
            await port.write(target, values, for_server=for_server)
        named = [it for it in servers if target in {it.id, it.deployment, EVERY}]
        return [server for server in named if server.version is not None]

    async def controls(self) -> list[ServerControl]:
        """Return what is wanted of servers, by target.

        Raises:
            NotSupportedError: If the broker has no control of servers.
        """
        settings = await self._broker.control.read()
        return controls_of(await self._forget_dead(settings, await self.servers()))

    async def _forget_dead(
        self, settings: Iterable[Setting], servers: Iterable[ServerInfo]
    ) -> list[Setting]:
        """Forget *settings* for ids of servers that have been gone for a day; return the others."""
        before_us, alive = time.time() * 1e6 - DAY_US, {server.id for server in servers}
        kept: list[Setting] = []
        dead: set[str] = set()
        for setting in settings:
            is_old = setting.for_server and setting.at_us < before_us
            if is_old and setting.target not in alive:
                dead.add(setting.target)
            else:
                kept.append(setting)
        for target in dead:
            await self._broker.control.clear(target)
        return kept


def _state_of(*, quiet: bool | None, stop: bool) -> str | None:
    if stop and quiet is not None:
        raise OptionError("stop", stop, "without quiet")
    if stop:
        return "stop"
    return None if quiet is None else ("quiet" if quiet else "active")
