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


def tasks_of(order: int) -> Iterator[pyasynq.Task]:
    """Yield the tasks of half a second."""
    for _ in range(random.randrange(4, 14)):
        yield shop.receipt.task(order=order)
    for _ in range(random.randrange(6, 20)):
        event = {"kind": "order.paid", "order": order, "items": random.randrange(1, 9)}
        yield shop.deliver.task(address=f"https://hook.example/{order % 40}", event=event)
    for _ in range(random.randrange(4)):
        yield shop.welcome.task(user=random.randrange(10_000), name=random.choice(NAMES))
    if random.randrange(3):
        yield shop.send_invoice.task(
            invoice=f"INV-{order:06}",
            customer=random.randrange(100_000),
            total=f"{random.randrange(100, 99_999) / 10:.2f}",
            lines=[{"sku": random.randrange(1000), "quantity": 2} for _ in range(3)],
        )
    if random.randrange(5):
        yield shop.resize.task(path=f"/photos/{order}.jpg", width=1280)


def album_of(order: int) -> pyasynq.Batch:
    """Return the pictures of one customer; a receipt follows the last of them."""
    pictures = [shop.resize.task(path=f"/albums/{order}/{n}.jpg", width=640) for n in range(24)]
    return pyasynq.Batch(pictures, then=shop.receipt.task(order=order))


async def prepare(client: pyasynq.Client) -> None:
    """Enqueue what makes the system worth a look: delays, a queue that nobody serves."""
    for order in range(240):
        task = shop.welcome.task(user=order, name=random.choice(NAMES))
        await client.enqueue(task, process_in=timedelta(minutes=random.randrange(5, 600)))
    rollups = [pyasynq.Task("tenant:rollup", b'{"tenant": %d}' % tenant) for tenant in range(1860)]
    await client.enqueue_many(rollups, queue="tenant-42")
    reports = [pyasynq.Task("report:weekly", b'{"report": %d}' % report) for report in range(212)]
    await client.enqueue_many(reports, queue="reports")
    await client.enqueue_many(shop.export.task(month=f"2026-{month:02}") for month in (9, 10))


async def produce(client: pyasynq.Client) -> None:
    """Enqueue until cancelled."""
    while True:
        order = random.randrange(1_000_000)
        for task in tasks_of(order):
            await client.enqueue(task, headers={"x-request-id": f"req_{uuid4().hex[:8]}"})
        for _ in range(random.randrange(6)):
            change = shop.changed.task(product=random.randrange(10_000))
            await client.enqueue(change, group=f"shop-{order % 3}")
        if shop.is_one_in(12):
            await client.enqueue_flow(shop.fulfil(order))
        if shop.is_one_in(80):
            await client.enqueue_batch(album_of(order))
        await asyncio.sleep(ROUND_S * random.uniform(0.5, 1.5))
