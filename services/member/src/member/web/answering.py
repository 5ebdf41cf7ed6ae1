"""What every request goes through: an id for its log lines, and errors as problem details."""

import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from http import HTTPStatus
from typing import Any, TypeAlias
from uuid import uuid4

import structlog
from fastapi import HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette import exceptions

from member.errors import MemberError
from member.web import problems

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

_REQUEST_BYTES = 64 * 1024

Handler: TypeAlias = Callable[[Request], Coroutine[Any, Any, Response]]


class AnsweringRoute(APIRoute):
    """A route that answers every request, and lets no exception through."""

    def get_route_handler(self) -> Handler:
        """Return the handler, wrapped."""
        handle, method = super().get_route_handler(), self.operation_id

        async def answer(request: Request) -> Response:
            start = time.perf_counter()
            with structlog.contextvars.bound_contextvars(request_id=uuid4().hex, method=method):
                response = await _answered(handle, _BoundedRequest(request.scope, request.receive))
                ms = round((time.perf_counter() - start) * 1000, 1)
                log.info("request answered", status=int(response.status_code), ms=ms)
                return response

        return answer


class _BoundedRequest(Request):
    """A request whose body has an end."""

    async def stream(self) -> AsyncGenerator[bytes, None]:
        """Yield the body, in pieces.

        Raises:
            HTTPException: If it is too big.
        """
        size = 0
        async for piece in super().stream():
            size += len(piece)
            if size > _REQUEST_BYTES:
                raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            yield piece


async def _answered(handle: Callable[[Request], Awaitable[Response]], request: Request) -> Response:
    try:
        return await handle(request)
    except MemberError as error:
        return _refused(error)
    except RequestValidationError as error:
        return problems.of_validation(error)
    except exceptions.HTTPException as error:
        return problems.of_http(error)
    except Exception:  # the last line before the caller, who must not see it
        log.exception("request failed")
        return problems.of_accident()


def _refused(error: MemberError) -> Response:
    response = problems.of_error(error)
    tell = log.error if response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR else log.info
    tell("request refused", reason=str(error))
    return response
