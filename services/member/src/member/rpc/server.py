"""Serve gRPC, with health and reflection."""

import asyncio
import socket
from datetime import timedelta

from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer
from grpc_reflection.v1alpha import reflection

from member.health import Health
from member.metrics import Metrics
from member.parts import Start, Stop
from member.rpc.health import follow, tell
from member.rpc.interceptor import RpcInterceptor
from member.rpc.servicer import MemberServicer
from member.service import MemberService
from member.v1 import member_pb2
from member.v1.member_pb2_grpc import add_MemberServiceServicer_to_server

_NAME = member_pb2.DESCRIPTOR.services_by_name["MemberService"].full_name
_WATCHED = ("", _NAME)
_REQUEST_BYTES = 64 * 1024
_RPCS_AT_ONCE = 256


class GrpcServer:
    """Serves the member service over gRPC."""

    def __init__(
        self,
        service: MemberService,
        address: str,
        *,
        health: Health,
        metrics: Metrics,
        grace: timedelta,
    ) -> None:
        """Listen on *address*; give RPCs *grace* to end when the program stops."""
        self._service = service
        self._health = health
        self._metrics = metrics
        self._address = address
        self._grace = grace

    async def run(self, started: Start, stop: Stop) -> None:
        """Serve until *stop*; tell *started* the address."""
        server, health = self._server()
        address = _bind(server, self._address)
        await tell(self._health, health, _WATCHED)
        await server.start()
        started(address)
        async with asyncio.TaskGroup() as group:
            following = group.create_task(follow(self._health, health, _WATCHED))
            try:
                await stop.wait()
                await health.enter_graceful_shutdown()
            finally:
                following.cancel()
                await server.stop(self._grace.total_seconds())

    def _server(self) -> tuple[aio.Server, HealthServicer]:
        server = aio.server(
            interceptors=[RpcInterceptor(_NAME, self._metrics)],
            options=[("grpc.max_receive_message_length", _REQUEST_BYTES), ("grpc.so_reuseport", 0)],
            maximum_concurrent_rpcs=_RPCS_AT_ONCE,
        )
        add_MemberServiceServicer_to_server(MemberServicer(self._service), server)
        return server, _add_health(server)


def _add_health(server: aio.Server) -> HealthServicer:
    health = HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(health, server)
    names = (_NAME, health_pb2.DESCRIPTOR.services_by_name["Health"].full_name)
    reflection.enable_server_reflection((*names, reflection.SERVICE_NAME), server)
    return health


def _bind(server: aio.Server, address: str) -> str:
    host, _, port = address.rpartition(":")
    try:
        _try(host.strip("[]"), int(port))
        bound = server.add_insecure_port(address)
    except (OSError, RuntimeError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        msg = f"cannot serve gRPC on {address}: {reason}"
        raise OSError(msg) from error
    return f"{host}:{bound}"


def _try(host: str, port: int) -> None:
    """Bind once before gRPC does, which would tell a failure in many lines, and not why."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    socket.create_server((host, port), family=family).close()
