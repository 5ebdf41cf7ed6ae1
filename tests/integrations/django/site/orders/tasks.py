"""Tasks of the project."""

from pyasynq.integrations.django import app
from tests.integrations.django.site.orders.models import Order


@app.task("order:confirm")
def confirm(order: int) -> None:
    """Confirm an order."""
    Order.objects.filter(pk=order).update(confirmed=True)


@app.task("order:aconfirm", queue="mails")
async def aconfirm(order: int) -> None:
    """Confirm an order, in the event loop."""
    await Order.objects.filter(pk=order).aupdate(confirmed=True)


@app.periodic("0 3 * * *")
@app.task("order:clean")
def clean() -> None:
    """Delete the orders."""
    Order.objects.all().delete()


@app.task("order:confirm-in", max_retry=0)
def confirm_in(order: int, database: str) -> None:
    """Confirm an order of another database."""
    Order.objects.using(database).filter(pk=order).update(confirmed=True)


@app.task("order:aconfirm-in", max_retry=0)
async def aconfirm_in(order: int, database: str) -> None:
    """Confirm an order of another database, in the event loop."""
    await Order.objects.using(database).filter(pk=order).aupdate(confirmed=True)
