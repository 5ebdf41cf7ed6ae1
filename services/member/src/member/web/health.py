"""The pages for health checks: ``/healthz`` and ``/readyz``."""

from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from member.health import Health

NO_STORE = {"Cache-Control": "no-store"}


def health_routes(health: Health) -> list[Route]:
    """Return the routes; they name no reasons, because anybody may read them."""

    async def alive(_request: Request) -> Response:
        return PlainTextResponse("ok\n", headers=NO_STORE)

    async def ready(_request: Request) -> Response:
        report = await health.report()
        checks = {name: "ok" if yes else "away" for name, yes in report.answers.items()}
        status = HTTPStatus.OK if report.ready else HTTPStatus.SERVICE_UNAVAILABLE
        body = {"status": report.status, "checks": checks}
        return JSONResponse(body, status, headers=NO_STORE)

    return [Route("/healthz", alive), Route("/readyz", ready)]
