"""Turn the errors of every request under ``/v1`` into problem details."""

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeAlias

import structlog
from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette import exceptions

from member.errors import MemberError
from member.statuses import status_of
from member.web import problems

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

Handler: TypeAlias = Callable[[Request], Coroutine[Any, Any, Response]]


class AnsweringRoute(APIRoute):
    """A route that answers every request, and lets no exception through."""

    def get_route_handler(self) -> Handler:
        """Return the handler, wrapped."""
        handle = super().get_route_handler()

        async def answer(request: Request) -> Response:
            return await _answer(handle, request)

        return answer


async def _answer(handle: Callable[[Request], Awaitable[Response]], request: Request) -> Response:
    try:
        return await handle(request)
    except MemberError as error:
        return _refuse(error)
    except RequestValidationError as error:
        return problems.of_validation(error)
    except exceptions.HTTPException as error:
        return problems.of_http(error)
    except Exception:  # the caller must not see it
        log.exception("request failed")
        return problems.of_accident()


def _refuse(error: MemberError) -> Response:
    write = log.error if status_of(error).is_ours else log.info
    write("request refused", reason=str(error))
    return problems.of_error(error)
