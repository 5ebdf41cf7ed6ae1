"""Find the caller of an HTTP request."""

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from member.callers import Caller, bearer_token, clean_user_agent
from member.proxies import Networks, Proxies


def caller_of(request: Request) -> Caller:
    """Return the caller; behind proxies, `BehindProxies` around the app puts in its address."""
    return Caller(
        address=request.client.host if request.client else "",
        access_token=bearer_token(request.headers.get("Authorization", "")),
        user_agent=clean_user_agent(request.headers.get("User-Agent", "")),
    )


class BehindProxies:
    """Passes requests to an app with the client that trusted proxies name, not the proxy."""

    def __init__(self, app: ASGIApp, trusted: Networks) -> None:
        """Trust proxies in the *trusted* networks."""
        self._app = app
        self._proxies = Proxies(trusted)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        host, port = scope.get("client") or ("", 0)
        client = self._proxies.client(host, Headers(scope=scope).items())
        await self._app({**scope, "client": (client, port)}, receive, send)
