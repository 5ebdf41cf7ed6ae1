"""What the shop does in the background; each worker finds this module by itself."""

import django

from orders.models import Order
from pyasynq.integrations.django import app

if django.VERSION < (6, 0):
    from django_tasks import task
else:
    from django.tasks import task


@app.task("order:confirm")
def confirm(number: int) -> None:
    """Confirm an order: a plain function, with the ORM as in any view."""
    order = Order.objects.get(pk=number)
    print(f"mail to {order.customer}: we have your order {number}", flush=True)
    Order.objects.filter(pk=number).update(confirmed=True)


@app.task("order:ship", max_retry=10)
async def ship(number: int) -> None:
    """Ship an order: in the event loop, with the ORM's async methods."""
    await Order.objects.filter(pk=number).aupdate(shipped=True)


@task()
def write_invoice(number: int) -> str:
    """Write an invoice: a task of Django's own API."""
    name = f"invoice-{number}.pdf"
    Order.objects.filter(pk=number).update(invoice=name)
    return name
