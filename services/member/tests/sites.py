"""Serve an app like the program does, and the pages without building them for each test."""

import asyncio
import functools
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

from fastapi import FastAPI

from member.parts import start
from member.service import MemberService
from member.web.pages import pages
from member.web.server import HttpServer, listen


@asynccontextmanager
async def serve(app: FastAPI) -> AsyncGenerator[str]:
    """Serve *app* until the end of the block; yield its address."""
    stop = asyncio.Event()
    server = HttpServer(app, listen("127.0.0.1", 0), grace=timedelta(seconds=1))
    async with asyncio.TaskGroup() as group:
        yield f"http://{await start(group, server, stop)}"
        stop.set()


@contextmanager
def pages_of(service: MemberService, mailbox: Path | None = None) -> Generator[FastAPI]:
    """Yield the pages of *service*, which are the same app for all tests with this *mailbox*.

    The framework takes 40 ms of CPU to build the app; a test that is about the other arguments of
    `pages` builds its own.
    """
    app, passed_on = _pages(mailbox)
    assert passed_on.service is None, "a test may serve the pages of one service at a time"
    passed_on.service = service
    try:
        yield app
    finally:
        passed_on.service = None


class _PassedOn:
    """Has the attributes of the service that the running test serves."""

    service: MemberService | None = None

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - those of the service
        return getattr(self.service, name)


@functools.cache
def _pages(mailbox: Path | None) -> tuple[FastAPI, _PassedOn]:
    passed_on = _PassedOn()
    return pages(cast("MemberService", passed_on), mailbox), passed_on
