"""A shop on Flask: orders in the transaction of their request, and reports that take a while.

Its data is in a file of this folder, its tasks are in another, or in Redis if you set PYASYNQ_URI.
First its tables are made; then there are three terminals::

    pip install gunicorn flask-sqlalchemy aiosqlite 'pyasynq[flask,sqlalchemy]'
    python shop.py
    gunicorn --workers 2 --preload 'shop:create_app()'
    pyasynq worker worker:app
    pyasynq relay worker:relay

    curl -X POST http://127.0.0.1:8000/orders/book
    curl http://127.0.0.1:8000/orders/1
    curl -i -X POST http://127.0.0.1:8000/reports/2026-05
"""

import os
import time
from datetime import timedelta
from pathlib import Path

from flask import Flask, Response, url_for
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

import pyasynq
from pyasynq.integrations.flask import Pyasynq, result_response
from pyasynq.outbox import Outbox

DATA = f"sqlite:///{Path.cwd()}/shop.db"


class Base(DeclarativeBase):
    pass


db = SQLAlchemy(model_class=Base)
app = pyasynq.App(os.environ.get("PYASYNQ_URI", "sqlite:///tasks.db"))
tasks = Pyasynq(app)
outbox = Outbox(Base.metadata)


class Order(Base):
    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    item: Mapped[str]
    state: Mapped[str] = mapped_column(default="ordered")


# -- tasks -----------------------------------------------------------------------------------------


@app.task("order:ship")
def ship(order_id: int) -> None:
    """Ship an order; it is there, because the task was enqueued after its commit."""
    db.session.get_one(Order, order_id).state = "shipped"
    db.session.commit()


@app.task("report:make", retention=timedelta(hours=1))
def make_report(month: str, seconds: float = 0) -> dict[str, str]:
    """Make a report, which takes a while."""
    time.sleep(seconds)
    return {"month": month, "sold": "many books"}


# -- views -----------------------------------------------------------------------------------------


def post_order(item: str) -> tuple[dict[str, int], int]:
    order = Order(item=item)
    db.session.add(order)
    db.session.flush()
    outbox.add(db.session, ship.task(order.id))
    db.session.commit()
    return {"id": order.id}, 201


def get_order(order_id: int) -> dict[str, str]:
    order = db.get_or_404(Order, order_id)
    return {"item": order.item, "state": order.state}


def post_report(month: str) -> Response:
    info = make_report.enqueue_sync(month)
    later = url_for("get_report", report_id=info.id)
    return result_response(make_report, info, timeout=timedelta(seconds=2), later=later)


def get_report(report_id: str) -> Response:
    later = url_for("get_report", report_id=report_id)
    return result_response(make_report, report_id, timeout=timedelta(seconds=2), later=later)


def create_app() -> Flask:
    """Return the application; gunicorn, the worker and tests call this."""
    flask = Flask(__name__)
    flask.config["SQLALCHEMY_DATABASE_URI"] = DATA
    db.init_app(flask)
    tasks.init_app(flask)
    flask.post("/orders/<item>")(post_order)
    flask.get("/orders/<int:order_id>")(get_order)
    flask.post("/reports/<month>")(post_report)
    flask.get("/reports/<report_id>")(get_report)
    return flask


if (
    __name__ == "__main__"
):  # once: programs that make the tables at the same time disturb each other
    with create_app().app_context():
        db.create_all()
