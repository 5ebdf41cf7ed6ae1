"""Tests of the shop; its tasks are in memory."""

from django.test import TestCase

from orders import tasks
from orders.models import Order
from pyasynq.integrations.django import app, outbox
from pyasynq.testing import SyncTasks


class OrderTest(TestCase):
    def setUp(self) -> None:
        self.tasks = self.enterContext(SyncTasks(app))

    def test_an_order_is_confirmed(self) -> None:
        with self.captureOnCommitCallbacks(execute=True):
            self.client.post("/orders/", {"customer": "ann@example.org"})
        order = Order.objects.get()
        self.tasks.assert_enqueued(tasks.confirm, number=order.pk)
        self.tasks.drain()
        order.refresh_from_db()
        assert order.confirmed
        assert order.invoice == f"invoice-{order.pk}.pdf"

    def test_an_order_is_shipped_by_the_outbox(self) -> None:
        self.client.post("/orders/", {"customer": "ann@example.org"})
        self.tasks.refute_enqueued(tasks.ship)
        outbox.flush()
        self.tasks.assert_enqueued(tasks.ship, number=Order.objects.get().pk)
