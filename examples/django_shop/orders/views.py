"""The pages of the shop."""

from django.db import transaction
from django.http import HttpRequest, JsonResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_POST

from orders import tasks
from orders.models import Order
from pyasynq.integrations.django import enqueue, outbox


@require_POST
@transaction.atomic
def create(request: HttpRequest) -> JsonResponse:
    """Take an order; three tasks do the rest, each enqueued in its own way."""
    order = Order.objects.create(customer=request.POST["customer"])
    enqueue(tasks.confirm.task(order.pk))  # after the commit
    outbox.add(tasks.ship.task(order.pk))  # a row of this transaction, for the relay
    tasks.write_invoice.enqueue(order.pk)  # Django's own API; after the commit, too
    return JsonResponse({"order": order.pk}, status=201)


def show(_request: HttpRequest, number: int) -> JsonResponse:
    """Show how far an order is."""
    order = get_object_or_404(Order, pk=number)
    return JsonResponse(
        {"confirmed": order.confirmed, "shipped": order.shipped, "invoice": order.invoice}
    )
