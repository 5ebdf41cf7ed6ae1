"""The data of the shop."""

from django.db import models


class Order(models.Model):
    """An order; each step sets one of the flags."""

    customer = models.EmailField()
    confirmed = models.BooleanField(default=False)
    shipped = models.BooleanField(default=False)
    invoice = models.CharField(max_length=100, default="")
