"""An application of Flask that gunicorn serves; its tasks and its data are where variables say."""

import os
from datetime import timedelta

from flask import Flask, Response, current_app
from sqlalchemy import create_engine
from sqlalchemy.orm import scoped_session, sessionmaker

from pyasynq import App
from pyasynq.integrations.flask import Pyasynq, result_response
from tests.integrations.flask.shop_data import Order, outbox

LONG = timedelta(minutes=1)
RETENTION = timedelta(minutes=5)

app = App(os.environ["SHOP_TASKS"])
flask = Flask(__name__)
Pyasynq(app, flask)
session = scoped_session(sessionmaker(create_engine(os.environ["SHOP_DATA"])))


@flask.teardown_appcontext
def end_session(_error: BaseException | None) -> None:
    session.remove()


@app.task("sum", retention=RETENTION)
def add(a: int, b: int) -> int:
    return a + b


@app.task("order:ship", retention=RETENTION)
def ship(order: int) -> list[object]:
    """Return the application, and the process that has taken the order."""
    found = session.get(Order, order)
    assert found is not None
    return [current_app.name, found.pid]


@app.task("meet", retention=RETENTION)
def meet() -> None:
    """End a wait."""


# With --preload the master has a client, with a thread and connections, when it forks.
app.sync_client.ping()


@flask.post("/sums/<int:a>/<int:b>")
def post_sum(a: int, b: int) -> Response:
    return result_response(add, add.enqueue_sync(a, b), timeout=LONG, later="/")


@flask.post("/orders")
def post_order() -> list[object]:
    order = Order(pid=os.getpid())
    session.add(order)
    session.flush()
    task_id = outbox.add(session, ship.task(order.id))
    session.commit()
    return [task_id, os.getpid()]


@flask.get("/orders/<task_id>")
def get_order(task_id: str) -> Response:
    return result_response(ship, task_id, timeout=LONG, later="/")


@flask.post("/meetings/<task_id>")
def wait_for_meeting(task_id: str) -> Response:
    info = app.sync_client.enqueue(meet.task(), task_id=task_id, process_in=timedelta(hours=1))
    return result_response(meet, info, timeout=LONG, later="/")


@flask.put("/meetings/<task_id>")
def begin_meeting(task_id: str) -> str:
    with app.sync_inspector() as inspector:
        inspector.run_task("default", task_id)
    return "begun"
