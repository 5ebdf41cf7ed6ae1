"""A browser that knows just enough to click a link."""

import asyncio
import re
from dataclasses import dataclass
from email.message import Message
from http.client import HTTPResponse
from urllib.error import HTTPError
from urllib.request import Request, urlopen

_SCENE = re.compile(r'data-scene="(\w+)"')


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What a server answered; *scene* is what the page is about."""

    status: int
    scene: str
    text: str
    headers: Message


async def browse(
    link: str, method: str = "GET", language: str = "en", request_id: str = ""
) -> Page:
    """Ask for *link* and return the page."""
    headers = {"Accept-Language": language, "X-Request-Id": request_id}
    request = Request(link, method=method, headers=headers)
    return await asyncio.to_thread(_ask, request)


def _ask(request: Request) -> Page:
    try:
        response: HTTPResponse
        with urlopen(request, timeout=10) as response:
            return _page(response.status, response.read(), response.headers)
    except HTTPError as error:
        with error:
            return _page(error.code, error.read(), error.headers)


def _page(status: int, body: bytes, headers: Message) -> Page:
    text = body.decode()
    found = _SCENE.search(text)
    return Page(status=status, scene=found[1] if found else "", text=text, headers=headers)
