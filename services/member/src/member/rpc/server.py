"""Serve gRPC, with health and reflection."""

import asyncio
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import grpc
import structlog
from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer
from grpc_reflection.v1alpha import reflection

from member.bounds import BOUNDS, Bounds
from member.health import Health
from member.metrics import Metrics
from member.parts import Start, Stop
from member.proxies import Networks
from member.rpc.health import follow, update
from member.rpc.interceptor import RpcInterceptor
from member.rpc.servicer import MemberServicer
from member.service import MemberService
from member.tls import Certificate, Loaded
from member.v1 import member_pb2
from member.v1.member_pb2_grpc import add_MemberServiceServicer_to_server

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

_NAME = member_pb2.DESCRIPTOR.services_by_name["MemberService"].full_name
_HEALTH = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name
_WATCHED = ("", _NAME)
_REFLECTED = (_NAME, _HEALTH, reflection.SERVICE_NAME)

# A connection ends after some time, between RPCs, so that clients find new servers. An idle one,
# or one whose client is gone, ends sooner.
_AGE = timedelta(minutes=30)
_AGE_GRACE = timedelta(seconds=30)
_IDLE = timedelta(minutes=1)
_PING_EVERY = timedelta(minutes=1)
_PING_TIMEOUT = timedelta(seconds=20)

_PROBES = 8
"""Connections to the address that serves only health."""


class GrpcServer:
    """Serves the member service over gRPC."""

    def __init__(  # noqa: PLR0913 - all independent
        self,
        service: MemberService,
        address: str,
        *,
        health: Health,
        metrics: Metrics,
        grace: timedelta,
        health_address: str = "",
        trusted_proxies: Networks = (),
        certificate: Certificate | None = None,
        bounds: Bounds = BOUNDS,
        reflects: bool = True,
    ) -> None:
        """Listen on *address*; give RPCs *grace* to end when the program stops.

        With a *certificate* the server speaks only TLS; if it *reflects*, it lists its RPCs. At
        *health_address* it serves only health, without TLS, even if strangers hold all connections
        that *address* may have.
        """
        self._service = service
        self._health = health
        self._metrics = metrics
        self._address = address
        self._grace = grace
        self._health_address = health_address
        self._trusted_proxies = trusted_proxies
        self._certificate = certificate
        self._bounds = bounds
        self._reflects = reflects

    async def run(self, started: Start, stop: Stop) -> None:
        """Serve until *stop*; call *started* with the address."""
        health = HealthServicer()
        server = self._server(health)
        address = _bind(server, self._address, self._certificate)
        await update(self._health, health, _WATCHED)
        async with self._serve_health(health), asyncio.TaskGroup() as group:
            await server.start()
            started(address)
            following = group.create_task(follow(self._health, health, _WATCHED))
            try:
                await stop.wait()
                await health.enter_graceful_shutdown()
            finally:
                following.cancel()
                await server.stop(self._grace.total_seconds())

    def _server(self, health: HealthServicer) -> aio.Server:
        server = self._empty_server(self._bounds)
        add_MemberServiceServicer_to_server(
            MemberServicer(self._service, self._trusted_proxies), server
        )
        health_pb2_grpc.add_HealthServicer_to_server(health, server)
        if self._reflects:
            reflection.enable_server_reflection(_REFLECTED, server)
        return server

    @asynccontextmanager
    async def _serve_health(self, health: HealthServicer) -> AsyncGenerator[None]:
        """Serve *health* at its own address, if it has one, until the end of the block."""
        if not self._health_address:
            yield
            return
        server = self._empty_server(replace(self._bounds, rpc_connections=_PROBES))
        health_pb2_grpc.add_HealthServicer_to_server(health, server)
        address = _bind(server, self._health_address, None)
        await server.start()
        log.info("health of grpc", address=address)
        try:
            yield
        finally:
            await server.stop(None)

    def _empty_server(self, bounds: Bounds) -> aio.Server:
        return aio.server(
            interceptors=[RpcInterceptor(_NAME, self._metrics, bounds)], options=_options(bounds)
        )


def _options(bounds: Bounds) -> list[tuple[str, int]]:
    return [
        ("grpc.so_reuseport", 0),
        ("grpc.max_receive_message_length", bounds.request_bytes),
        ("grpc.max_metadata_size", bounds.header_bytes),
        ("grpc.absolute_max_metadata_size", bounds.header_bytes),
        ("grpc.max_allowed_incoming_connections", bounds.rpc_connections),
        ("grpc.max_concurrent_streams", bounds.calls_of_one),
        ("grpc.server_handshake_timeout_ms", _ms(bounds.sending)),
        ("grpc.max_connection_age_ms", _ms(_AGE)),
        ("grpc.max_connection_age_grace_ms", _ms(_AGE_GRACE)),
        ("grpc.max_connection_idle_ms", _ms(_IDLE)),
        ("grpc.keepalive_time_ms", _ms(_PING_EVERY)),
        ("grpc.keepalive_timeout_ms", _ms(_PING_TIMEOUT)),
    ]


def _ms(time: timedelta) -> int:
    return int(time.total_seconds() * 1000)


def _bind(server: aio.Server, address: str, certificate: Certificate | None) -> str:
    host, _, port = address.rpartition(":")
    try:
        _try_to_bind(host.strip("[]"), int(port))
        if certificate:
            bound = server.add_secure_port(address, _credentials(certificate))
        else:
            bound = server.add_insecure_port(address)
    except (OSError, RuntimeError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        msg = f"cannot serve gRPC on {address}: {reason}"
        raise OSError(msg) from error
    return f"{host}:{bound}"


def _credentials(certificate: Certificate) -> grpc.ServerCredentials:
    current = certificate.current()

    def reload() -> Any:  # noqa: ANN401 - grpc's types know no None
        """Return a new certificate, or None if it is the same; gRPC calls this per connection."""
        nonlocal current
        before, current = current, certificate.current()
        return None if current is before else _configuration(current)

    return grpc.dynamic_ssl_server_credentials(_configuration(current), reload)


def _configuration(loaded: Loaded) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration([(loaded.key, loaded.chain)])


def _try_to_bind(host: str, port: int) -> None:
    """Bind once before gRPC, whose error fills many lines and does not name the reason."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    socket.create_server((host, port), family=family).close()
