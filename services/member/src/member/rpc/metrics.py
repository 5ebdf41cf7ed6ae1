"""Count RPCs."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from grpc import StatusCode, aio

from member.metrics import Calls
from member.rpc.callers import Context


def measure(handler: Callable[[Any, Context], Awaitable[Any]], method: str, rpcs: Calls) -> Any:  # noqa: ANN401 - grpc's types know no async handler
    """Return *handler* so that *rpcs* counts and times its calls as *method*."""

    async def handle(request: object, context: Context) -> object:
        with rpcs.timing(StatusCode.UNKNOWN.name) as call:
            call.what = (method,)
            try:
                response = await handler(request, context)
            except aio.AbortError:
                call.code = context.code().name
                raise
            except asyncio.CancelledError:
                call.code = StatusCode.CANCELLED.name
                raise
            call.code = StatusCode.OK.name
            return response

    return handle
