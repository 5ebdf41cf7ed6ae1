"""A minimal browser that can open links and press buttons."""

import asyncio
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message
from http.client import HTTPResponse
from urllib.error import HTTPError
from urllib.request import Request, urlopen

_SCENE = re.compile(r'data-scene="(\w+)"')


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """The answer of a server; *scene* names the state of the page."""

    status: int
    scene: str
    text: str
    headers: Message


async def browse(
    link: str,
    method: str = "GET",
    *,
    language: str = "en",
    accept: str = "text/html",
    headers: Mapping[str, str] | None = None,
    context: ssl.SSLContext | None = None,
) -> Page:
    """Request *link* and return the page."""
    sent = {"Accept-Language": language, "Accept": accept, **(headers or {})}
    request = Request(link, method=method, headers=sent)
    return await asyncio.to_thread(_ask, request, context)


def _ask(request: Request, context: ssl.SSLContext | None) -> Page:
    try:
        response: HTTPResponse
        with urlopen(request, timeout=10, context=context) as response:
            return _page(response.status, response.read(), response.headers)
    except HTTPError as error:
        with error:
            return _page(error.code, error.read(), error.headers)


def _page(status: int, body: bytes, headers: Message) -> Page:
    text = body.decode()
    found = _SCENE.search(text)
    return Page(status=status, scene=found[1] if found else "", text=text, headers=headers)
