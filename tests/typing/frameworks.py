"""Uses of the integrations of frameworks that a type checker must accept or refuse.

It is checked like typed_tasks.py.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Annotated, assert_type

from fastapi import Depends, FastAPI, Request
from flask import Flask, Response
from starlette.applications import Starlette

from pyasynq import App, Client
from pyasynq.integrations.fastapi import (
    AfterResponse,
    ResultEvents,
    ResultResponse,
    get_app,
    get_client,
    lifespan,
)
from pyasynq.integrations.flask import Pyasynq, result_response

SECOND = timedelta(seconds=1)

app = App("sqlite://", concurrency=2)


@app.task("add", retention=SECOND)
async def add(a: int, b: int) -> int:
    return a + b


@asynccontextmanager
async def own(web: FastAPI) -> AsyncGenerator[dict[str, int]]:
    yield {"number": 1}


FastAPI(lifespan=lifespan(app))
Starlette(lifespan=lifespan(app, worker=True))
web = FastAPI(lifespan=lifespan(app, own, worker={"concurrency": 2}))
lifespan(app, worker={"concurency": 2})  # type: ignore[arg-type]
lifespan("app")  # type: ignore[arg-type]


@web.get("/{number}")
async def get(
    number: str, request: Request, client: Annotated[Client, Depends(get_client)]
) -> ResultResponse:
    assert_type(get_app(request), App)
    ResultResponse(add, number, later="/")  # type: ignore[call-arg]
    ResultEvents(add, 7)  # type: ignore[arg-type]
    return ResultResponse(add, number, timeout=SECOND, later=request.url)


@web.post("/")
def post(later: Annotated[AfterResponse, Depends()]) -> None:
    later.add(add.task(1, 2), queue="low")
    later.add(add.task(1, 2), quue="low")  # type: ignore[call-arg]


flask = Flask("shop")
assert_type(Pyasynq(app).app, App)
Pyasynq(app, flask)
Pyasynq(flask)  # type: ignore[arg-type]


@flask.get("/<number>")
def view(number: str) -> Response:
    return result_response(add, number, timeout=SECOND, later="/")
