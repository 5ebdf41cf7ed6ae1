"""Serve HTTP."""

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Callable, Generator
from datetime import timedelta
from functools import partial

import uvicorn
from starlette.types import ASGIApp

from member.bounds import BOUNDS, Bounds
from member.parts import Start, Stop
from member.proxies import Networks
from member.tls import Certificate
from member.web.bounds import Bounded
from member.web.callers import BehindProxies
from member.web.listener import Listener
from member.web.protocol import PunctualProtocol
from member.web.shield import Shielded

# For a year. Not for subdomains: the service does not know what runs there.
_STRICT: tuple[str, str] = ("Strict-Transport-Security", "max-age=31536000")


class HttpServer:
    """Serves one app over HTTP."""

    def __init__(  # noqa: PLR0913 - all independent
        self,
        app: ASGIApp,
        listener: Listener,
        *,
        grace: timedelta,
        trusted_proxies: Networks = (),
        certificate: Certificate | None = None,
        bounds: Bounds = BOUNDS,
        always_tls: bool = False,
    ) -> None:
        """Accept on *listener*; give requests *grace* to end when the program stops.

        With a *certificate* the server speaks only TLS. With a *certificate*, or with *always_tls*
        for a proxy that speaks TLS, answers tell browsers to use only TLS.
        """
        self._listener = listener
        self._grace = grace
        self._app = Shielded(Bounded(BehindProxies(app, trusted_proxies), bounds))
        self._certificate = certificate
        self._bounds = bounds
        self._headers = [_STRICT] if certificate or always_tls else []
        self._ends_at_s: float | None = None

    def drain(self) -> None:
        """Start the grace period; the server still serves until it is stopped."""
        self._ends_at_s = asyncio.get_running_loop().time() + self._grace.total_seconds()

    async def run(self, started: Start, stop: Stop) -> None:
        """Serve until *stop*; call *started* with the address."""
        server = _Server(self._config(), lambda: started(bound_address(self._listener)))
        self._listener.limit(self._bounds.connections, server.busy)
        async with asyncio.TaskGroup() as group:
            group.create_task(server.serve(sockets=[self._listener]))
            await stop.wait()
            server.config.timeout_graceful_shutdown = self._left_s()
            server.should_exit = True

    def _left_s(self) -> int:
        """Return the rest of the grace period, in whole seconds; at least one, to answer."""
        grace_s = self._grace.total_seconds()
        if self._ends_at_s is not None:
            grace_s = self._ends_at_s - asyncio.get_running_loop().time()
        return max(1, int(grace_s))

    def _config(self) -> uvicorn.Config:
        # Any handler of the access log would see the token in the URL of a page.
        logging.getLogger("uvicorn.access").disabled = True
        certificate = self._certificate
        return uvicorn.Config(
            self._app,
            http=PunctualProtocol,
            h11_max_incomplete_event_size=self._bounds.header_bytes,
            timeout_keep_alive=int(self._bounds.sending.total_seconds()),
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            backlog=128,
            server_header=False,
            headers=self._headers,
            proxy_headers=False,
            ssl_context_factory=partial(_context, certificate) if certificate else None,
        )


def _context(certificate: Certificate, *_: object) -> ssl.SSLContext:
    """Return a context that uses the current *certificate* for each connection."""

    def use_current(connection: ssl.SSLSocket | ssl.SSLObject, *_: object) -> None:
        connection.context = certificate.current().context

    context = certificate.current().context
    context.set_servername_callback(use_current)
    return context


class _Server(uvicorn.Server):
    """A server that leaves signals to the program, and calls *started* when it is ready."""

    def __init__(self, config: uvicorn.Config, started: Callable[[], None]) -> None:
        super().__init__(config)
        self._call_started = started

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen as uvicorn does, but with a shorter time limit for TLS handshakes."""
        config, loop = self.config, asyncio.get_running_loop()
        self.servers = [
            await loop.create_server(
                self._protocol,
                sock=listener,
                ssl=config.ssl,
                ssl_handshake_timeout=config.timeout_keep_alive if config.ssl else None,
                backlog=config.backlog,
            )
            for listener in sockets or ()
        ]
        self.started = True
        self._call_started()

    def busy(self) -> set[int]:
        """Return the descriptors of connections whose clients wait for an answer."""
        return {
            connection.transport.get_extra_info("socket").fileno()
            for connection in self.server_state.connections
            if isinstance(connection, PunctualProtocol) and connection.is_busy
        }

    def _protocol(self) -> asyncio.Protocol:
        return PunctualProtocol(
            self.config, server_state=self.server_state, app_state=self.lifespan.state
        )


def listen(host: str, port: int) -> Listener:
    """Return a socket that accepts on an address; port 0 takes a free one."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return Listener(socket.create_server((host, port), family=family))
    except OSError as error:
        msg = f"cannot serve HTTP on {host}:{port}: {error.strerror}"
        raise OSError(msg) from error


def bound_address(listener: socket.socket) -> str:
    """Return the actual ``host:port`` of *listener*."""
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
