"""The data of the project."""

from django.db import models


class Order(models.Model):
    """An order of a customer."""

    customer = models.CharField(max_length=100)
    confirmed = models.BooleanField(default=False)
