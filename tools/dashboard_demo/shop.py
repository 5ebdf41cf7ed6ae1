"""The tasks of a shop that has troubles, so that the dashboard has something to show."""

import asyncio
import os
import random
import socket
from datetime import timedelta

import pyasynq

QUEUES = {"critical": 6, "default": 3, "billing": 2, "media": 1, "low": 1}

if host := os.environ.get("DEMO_HOST"):
    # Workers on one machine show the name of one: the demo has several.
    socket.gethostname = lambda: host

app = pyasynq.App(
    queues=QUEUES,
    group_grace_period=timedelta(seconds=20),
    group_max_size=200,
    retry_delay=lambda retried, _error, _task: timedelta(seconds=8 * 2 ** min(retried, 6)),
)


class SmtpBusyError(Exception):
    """The mail server takes no mails for now."""


class PaymentTimeoutError(Exception):
    """The bank does not answer."""


def is_one_in(number: int) -> bool:
    """Return whether a random draw among *number* hits."""
    return random.randrange(number) == 0


async def work(least_s: float, most_s: float) -> None:
    """Take a while, most often a short one."""
    await asyncio.sleep(least_s + (most_s - least_s) * random.random() ** 3)


@app.task("email:welcome", max_retry=8, retention=timedelta(hours=1))
async def welcome(user: int, name: str) -> str:
    """Send a mail; now and then the mail server is busy."""
    await work(0.05, 0.4)
    if is_one_in(16):
        msg = "421 4.7.0 try again later"
        raise SmtpBusyError(msg)
    return f"sent to {user}"


@app.task("email:receipt", queue="critical", retention=timedelta(minutes=10))
async def receipt(order: int) -> None:
    """Send a receipt."""
    await work(0.02, 0.2)


@app.task("invoice:send", queue="billing", max_retry=2, timeout=timedelta(minutes=2))
async def send_invoice(
    invoice: str, customer: int, total: str, lines: list[dict[str, int]]
) -> None:
    """Post an invoice to a bank that is often away."""
    await work(0.3, 3)
    if is_one_in(3):
        await post_to_bank()


async def post_to_bank() -> None:
    """Fail as a bank does."""
    msg = "pay.example:443 did not answer within 60 s"
    raise PaymentTimeoutError(msg)


@app.task("image:resize", queue="media", timeout=timedelta(minutes=5))
async def resize(path: str, width: int) -> dict[str, str | int]:
    """Take long for large pictures."""
    await work(0.3, 12)
    return {"path": path, "width": width}


@app.task("webhook:deliver", max_retry=4, retention=timedelta(minutes=5))
async def deliver(address: str, event: dict[str, str | int]) -> None:
    """Deliver an event; some addresses are gone for good."""
    await work(0.05, 1)
    if is_one_in(50):
        msg = f"410 Gone for {address.rpartition('/')[0]}"
        raise pyasynq.SkipRetry(msg)


@app.task("order:check", retention=timedelta(hours=1))
async def check(order: int) -> int:
    """Look whether an order can be delivered."""
    await work(0.1, 1)
    return order


@app.task("order:pay", queue="billing", max_retry=1, retention=timedelta(hours=1))
async def pay(order: int) -> None:
    """Get the money; now and then the bank is away."""
    await work(0.5, 3)
    if is_one_in(4):
        await post_to_bank()


@app.task("order:label", queue="low", max_retry=3, retention=timedelta(hours=1))
async def label(order: int) -> None:
    """Print the label of a parcel."""
    await work(1, 8)


@app.task("order:ship", queue="low", retention=timedelta(hours=1))
async def ship(order: int) -> None:
    """Hand the parcel over."""
    await work(1, 4)


@app.task("order:apologize", queue="low", retention=timedelta(hours=1))
async def apologize(order: int) -> None:
    """Tell the customer that nothing comes."""
    await work(0.1, 0.5)


def fulfil(order: int) -> pyasynq.Flow:
    """Return the flow that delivers an order; every third one waits for a person."""
    flow = pyasynq.Flow("order:fulfil")
    checked = flow.add(check.task(order=order), name="check")
    paid = flow.add(pay.task(checked.result), name="pay")
    labelled = flow.add(label.task(order=order), after=checked, name="label")
    ready = [paid, labelled]
    if order % 3 == 0:
        ready.append(flow.gate("approval", after=paid, timeout=timedelta(minutes=10)))
    flow.add(ship.task(order=order), after=ready, name="ship")
    flow.add(apologize.task(order=order), after=paid, when="failed", name="apologize")
    return flow


@app.periodic("@every 90s", queue="low")
@app.task("fx:rates", retention=timedelta(hours=1))
async def rates() -> None:
    """Fetch the rates of currencies."""
    await work(0.1, 1)


@app.periodic("0 3 * * *", queue="low")
@app.task("search:reindex")
async def reindex() -> None:
    """Index everything again."""
    await work(1, 5)


@app.periodic("30 9 * * 1-5", queue="low")
@app.task("invoice:remind", queue="low")
async def remind() -> None:
    """Remind customers who have not paid."""
    await work(0.5, 2)


@app.periodic("*/5 * * * *", queue="low")
@app.task("cart:expire", queue="low", retention=timedelta(hours=1))
async def expire() -> None:
    """Forget old carts."""
    await work(0.01, 0.05)


@app.task("ledger:export", queue="low", timeout=timedelta(minutes=20))
async def export(month: str) -> None:
    """Run for minutes."""
    await asyncio.sleep(random.uniform(60, 600))


@app.task("search:index")
async def index(products: list[int]) -> None:
    """Index some products."""
    await work(0.2, 2)


@app.task("search:changed")
async def changed(product: int) -> None:
    """Stand for one change of a product; changes are combined before they run."""


@app.aggregator
async def combine(_group: str, tasks: list[pyasynq.Task]) -> pyasynq.Task:
    """Make one task of the changes of a group."""
    return index.task(products=[changed.arguments(task)["product"] for task in tasks])
