"""Serve an app like the program does."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta

from fastapi import FastAPI

from member.parts import start
from member.web.server import HttpServer, listen


@asynccontextmanager
async def serve(app: FastAPI) -> AsyncGenerator[str]:
    """Serve *app* until the end of the block; yield its address."""
    stop = asyncio.Event()
    server = HttpServer(app, listen("127.0.0.1", 0), grace=timedelta(seconds=1))
    async with asyncio.TaskGroup() as group:
        yield f"http://{await start(group, server, stop)}"
        stop.set()
