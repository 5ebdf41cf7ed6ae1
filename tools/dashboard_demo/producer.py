"""What the customers of the shop do."""

import asyncio
import random
from collections.abc import Iterator
from datetime import timedelta
from uuid import uuid4

import shop

import pyasynq

ROUND_S = 0.5
NAMES = ("Mei", "Aylin", "José", "Ольга", "佳穎", "<b>Bob</b>", "O'Neil \u202etxt.exe")


def customers(order: int) -> Iterator[tuple[pyasynq.Task, dict[str, object]]]:
    """Yield the tasks of half a second, with their options."""
    for _ in range(random.randrange(4, 14)):
        yield shop.receipt.task(order=order), {"queue": "critical"}
    for _ in range(random.randrange(6, 20)):
        event = {"kind": "order.paid", "order": order, "items": random.randrange(1, 9)}
        task = shop.deliver.task(address=f"https://hook.example/{order % 40}", event=event)
        yield task, {"max_retry": 4, "retention": timedelta(minutes=5)}
    for _ in range(random.randrange(0, 4)):
        task = shop.welcome.task(user=random.randrange(10_000), name=random.choice(NAMES))
        yield task, {"max_retry": 8, "retention": timedelta(hours=1)}
    if random.random() < 0.7:
        lines = [{"sku": random.randrange(1000), "quantity": 2} for _ in range(3)]
        task = shop.send_invoice.task(
            invoice=f"INV-{order:06}", customer=90417, total="1290.00", lines=lines
        )
        yield task, {"queue": "billing", "max_retry": 2, "timeout": timedelta(minutes=2)}
    if random.random() < 0.8:
        task = shop.resize.task(path=f"/photos/{order}.jpg", width=1280)
        yield task, {"queue": "media", "timeout": timedelta(minutes=5)}


async def prepare(client: pyasynq.Client) -> None:
    """Enqueue what makes the system worth a look: delays, groups, a queue that nobody serves."""
    for order in range(240):
        task = shop.welcome.task(user=order, name=random.choice(NAMES))
        await client.enqueue(task, process_in=timedelta(minutes=random.randrange(5, 600)))
    for tenant in range(1_860):
        await client.enqueue(
            pyasynq.Task("tenant:rollup", b'{"tenant": %d}' % tenant), queue="tenant-42"
        )
    for report in range(212):
        await client.enqueue(
            pyasynq.Task("report:weekly", b'{"report": %d}' % report), queue="reports"
        )
    for month in ("2026-09", "2026-10"):
        await client.enqueue(
            shop.export.task(month=month), queue="low", timeout=timedelta(minutes=20)
        )


async def produce(client: pyasynq.Client) -> None:
    """Enqueue until cancelled."""
    while True:
        order = random.randrange(1_000_000)
        for task, options in customers(order):
            headers = {"x-request-id": f"req_{uuid4().hex[:8]}"}
            await client.enqueue(pyasynq.Task(task.type, task.payload, headers=headers), **options)
        for product in range(random.randrange(0, 6)):
            await client.enqueue(shop.changed.task(product=product), group=f"shop-{order % 3}")
        await asyncio.sleep(ROUND_S * random.uniform(0.5, 1.5))
