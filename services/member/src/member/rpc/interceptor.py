"""The steps around every RPC: an id for its log lines, time limits, and errors for the caller."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Never, TypeAlias, TypeVar

import grpc
import structlog
from google.protobuf.message import DecodeError
from grpc import aio
from grpc_status import rpc_status

from member import request_ids, tracing
from member.bounds import Bounds
from member.errors import MemberError
from member.metrics import Metrics
from member.rpc.callers import Context
from member.rpc.errors import rich_status
from member.rpc.metrics import measure
from member.statuses import status_of

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

_MALFORMED = "the request is no valid message"
_TOO_SLOW = "the request did not come in time"
_TOO_MANY = "too many calls at once: try again in a moment"

Call: TypeAlias = Callable[[Any, Context], Awaitable[Any]]
"""Handles a call: it returns a message, or writes several."""

Request = TypeVar("Request")
Response = TypeVar("Response")

if TYPE_CHECKING:  # generic only for the type checker
    Found: TypeAlias = grpc.RpcMethodHandler[Request, Response] | None


class RpcInterceptor(aio.ServerInterceptor):
    """Wraps the handlers of one service; limits the time for requests in all services.

    gRPC waits for a request as long as a client likes, and calls a handler only with the whole
    request. So the interceptor makes stream handlers of all handlers: they start with the call, and
    are the same on the wire. Only reflection, which is for development, reads requests without a
    time limit.
    """

    def __init__(self, service_name: str, metrics: Metrics, bounds: Bounds) -> None:
        """Wrap the RPCs of the service with this full name, and count them in *metrics*.

        Calls above the limit of *bounds* are refused. gRPC's own limit would also count calls of
        health and reflection, which last as long as a client likes.
        """
        self._prefix = f"/{service_name}/"
        self._metrics = metrics
        self._bounds = bounds
        self._running = 0

    async def intercept_service(
        self,
        continuation: "Callable[[grpc.HandlerCallDetails], Awaitable[Found[Request, Response]]]",
        handler_call_details: grpc.HandlerCallDetails,
    ) -> "Found[Request, Response]":
        """Return the handler of the call, wrapped."""
        found: Any = await continuation(handler_call_details)
        if found is None or found.request_streaming:
            return found
        method = handler_call_details.method
        call = found.unary_unary or found.unary_stream
        call = self._wrap(call, method) if method.startswith(self._prefix) else _check(call)
        streaming = grpc.stream_stream_rpc_method_handler
        handler = streaming if found.response_streaming else grpc.stream_unary_rpc_method_handler
        return handler(
            _read_in_time(call, self._bounds.sending.total_seconds()),
            request_deserializer=_mark_malformed(found.request_deserializer),
            response_serializer=found.response_serializer,
        )

    def _wrap(self, call: Call, method: str) -> Call:
        name, rpcs = method.removeprefix(self._prefix), self._metrics.rpcs
        return measure(self._limit(_log_and_map_errors(call, method)), name, rpcs)

    def _limit(self, handler: Call) -> Call:
        async def handle(request: object, context: Context) -> object:
            if self._running >= self._bounds.calls_at_once:
                await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, _TOO_MANY)
            self._running += 1
            try:
                return await handler(request, context)
            finally:
                self._running -= 1

        return handle


def _read_in_time(call: Call, patience_s: float) -> Call:
    """Return a handler that gives *call* the request if it comes within *patience_s* seconds."""

    async def handle(_requests: object, context: Context) -> object:
        try:
            async with asyncio.timeout(patience_s):
                request = await context.read()
        except TimeoutError:
            await context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, _TOO_SLOW)
        if request is aio.EOF:  # no request, or one that is too big, which gRPC has answered
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, _MALFORMED)
        return await call(request, context)

    return handle


def _check(call: Call) -> Call:
    """Return *call* with a check that refuses malformed requests."""

    async def handle(request: object, context: Context) -> object:
        if isinstance(request, _Malformed):
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, _MALFORMED)
        return await call(request, context)

    return handle


class _Malformed:
    """Takes the place of a request whose bytes are no valid message."""


def _mark_malformed(deserialize: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    """Return *deserialize* without its errors, which gRPC would report as a fault of the server."""

    def read(data: bytes) -> object:
        try:
            return deserialize(data)
        except DecodeError:
            return _Malformed()

    return read


def _log_and_map_errors(handler: Call, method: str) -> Call:
    async def handle(request: object, context: Context) -> object:
        start = time.perf_counter()
        metadata = {key: str(value) for key, value in context.invocation_metadata() or ()}
        request_id = request_ids.request_id(metadata.get(request_ids.HEADER))
        # Trailing metadata: after initial metadata a client library may not retry by itself.
        context.set_trailing_metadata(((request_ids.HEADER, request_id),))
        with request_ids.bind(request_id, method=method):
            if isinstance(request, _Malformed):
                log.info("rpc refused", code="INVALID_ARGUMENT", reason=_MALFORMED)
                await context.abort(grpc.StatusCode.INVALID_ARGUMENT, _MALFORMED)
            try:
                with tracing.span("server", method.removeprefix("/"), metadata):
                    response = await handler(request, context)
            except MemberError as error:
                await _refuse(context, error)
            except Exception:  # the caller must not see it
                log.exception("rpc failed")
                await context.abort(grpc.StatusCode.INTERNAL, "internal error")
            log.info("rpc answered", ms=round((time.perf_counter() - start) * 1000, 1))
            return response

    return handle


async def _refuse(context: Context, error: MemberError) -> Never:
    found = status_of(error)
    write = log.error if found.is_ours else log.info
    write("rpc refused", code=found.grpc.name, reason=str(error))
    status = rpc_status.to_status(rich_status(error))
    metadata = (*context.trailing_metadata(), *status.trailing_metadata)
    await context.abort(status.code, status.details, metadata)
