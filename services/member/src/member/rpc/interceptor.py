"""What every RPC goes through: an id for its log lines, and errors in the form callers expect."""

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
from member.rpc.metrics import measured
from member.statuses import status_of

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

_MALFORMED = "the request is no valid message"
_TOO_SLOW = "the request did not come in time"
_TOO_MANY = "too many calls at once: try again in a moment"

Call: TypeAlias = Callable[[Any, Context], Awaitable[Any]]
"""What answers a call: with a message, or by writing some."""

Request = TypeVar("Request")
Response = TypeVar("Response")

if TYPE_CHECKING:  # generic for the type checker alone
    Found: TypeAlias = grpc.RpcMethodHandler[Request, Response] | None


class RpcInterceptor(aio.ServerInterceptor):
    """Wraps the handlers of one service; health and reflection answer for themselves.

    But no call waits for its request for longer than it may, of whatever service. gRPC itself
    would wait as long as a client likes, and calls a handler only with the whole request. So calls
    are answered by handlers of streams, which are the same on the wire: they begin with the call.
    Reflection reads as many requests as a client sends; it is for development.
    """

    def __init__(self, service_name: str, metrics: Metrics, bounds: Bounds) -> None:
        """Wrap the RPCs of the service with this full name, and count them in *metrics*.

        More calls at once than *bounds* says are refused. gRPC's own bound also counts calls of
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
        call = self._measured(call, method) if method.startswith(self._prefix) else _checked(call)
        streaming = grpc.stream_stream_rpc_method_handler
        handler = streaming if found.response_streaming else grpc.stream_unary_rpc_method_handler
        return handler(
            _punctual(call, self._bounds.sending.total_seconds()),
            request_deserializer=_lenient(found.request_deserializer),
            response_serializer=found.response_serializer,
        )

    def _measured(self, call: Call, method: str) -> Call:
        name, rpcs = method.removeprefix(self._prefix), self._metrics.rpcs
        return measured(self._bounded(_wrapped(call, method)), name, rpcs)

    def _bounded(self, handler: Call) -> Call:
        async def handle(request: object, context: Context) -> object:
            if self._running >= self._bounds.calls_at_once:
                await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, _TOO_MANY)
            self._running += 1
            try:
                return await handler(request, context)
            finally:
                self._running -= 1

        return handle


def _punctual(call: Call, patience_s: float) -> Call:
    """Return what gives *call* the request that comes within *patience_s* seconds."""

    async def handle(_requests: object, context: Context) -> object:
        try:
            async with asyncio.timeout(patience_s):
                request = await context.read()
        except TimeoutError:
            await context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, _TOO_SLOW)
        if request is aio.EOF:  # there is none, or it is too big, which gRPC has told by now
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, _MALFORMED)
        return await call(request, context)

    return handle


def _checked(call: Call) -> Call:
    """Return *call*, but for requests that are none."""

    async def handle(request: object, context: Context) -> object:
        if isinstance(request, _Malformed):
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, _MALFORMED)
        return await call(request, context)

    return handle


class _Malformed:
    """Stands for a request whose bytes are no message."""


def _lenient(deserialize: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    """Return *deserialize*, but for bytes that it refuses: gRPC would call them our fault."""

    def read(data: bytes) -> object:
        try:
            return deserialize(data)
        except DecodeError:
            return _Malformed()

    return read


def _wrapped(handler: Call, method: str) -> Call:
    async def handle(request: object, context: Context) -> object:
        start = time.perf_counter()
        metadata = {key: str(value) for key, value in context.invocation_metadata() or ()}
        request_id = request_ids.request_id(metadata.get(request_ids.HEADER))
        # Not initial metadata: once a client has that, it may not try again by itself.
        context.set_trailing_metadata(((request_ids.HEADER, request_id),))
        with request_ids.bound(request_id, method=method):
            if isinstance(request, _Malformed):
                log.info("rpc refused", code="INVALID_ARGUMENT", reason=_MALFORMED)
                await context.abort(grpc.StatusCode.INVALID_ARGUMENT, _MALFORMED)
            try:
                with tracing.span("server", method.removeprefix("/"), metadata):
                    response = await handler(request, context)
            except MemberError as error:
                await _refuse(context, error)
            except Exception:  # the last line before the caller, who must not see it
                log.exception("rpc failed")
                await context.abort(grpc.StatusCode.INTERNAL, "internal error")
            log.info("rpc answered", ms=round((time.perf_counter() - start) * 1000, 1))
            return response

    return handle


async def _refuse(context: Context, error: MemberError) -> Never:
    found = status_of(error)
    tell = log.error if found.is_ours else log.info
    tell("rpc refused", code=found.grpc.name, reason=str(error))
    status = rpc_status.to_status(rich_status(error))
    metadata = (*context.trailing_metadata(), *status.trailing_metadata)
    await context.abort(status.code, status.details, metadata)
