"""The tables: the outbox. And the tasks for the admin, which are in the broker and in no table."""

# pyright: reportUnknownVariableType=false
# The stubs of Django have the types of fields only for mypy.

from django.db import models

from pyasynq.core.options import MAX_NAME
from pyasynq.outbox.rows import MD5_CHARACTERS, TABLE, UUID_CHARACTERS


class OutboxTask(models.Model):
    """A task in the outbox; the table is that of `pyasynq.outbox.Outbox`."""

    seq = models.BigAutoField(primary_key=True)
    row_id = models.CharField(db_column="id", max_length=UUID_CHARACTERS)
    queue = models.CharField(max_length=MAX_NAME)
    type = models.CharField(max_length=MAX_NAME)
    message = models.BinaryField()
    lock_digest = models.CharField(max_length=MD5_CHARACTERS, null=True)
    lock_ttl_s = models.BigIntegerField(null=True)
    at_s = models.BigIntegerField(null=True)
    created_at = models.DateTimeField()
    error = models.TextField(null=True)

    class Meta:
        """The table and its index."""

        db_table = TABLE
        indexes = (
            models.Index(
                fields=["seq"],
                condition=models.Q(error__isnull=True),
                name=f"ix_{TABLE}_waiting",
            ),
        )

    def __str__(self) -> str:
        """Return type and queue."""
        return f"{self.type} in {self.queue!r}"


class QueuedTask(models.Model):
    """A task in the broker, for the pages and permissions of the admin; there is no table."""

    class Meta:
        """Permissions to see, to change and to delete tasks."""

        managed = False
        default_permissions = ("view", "change", "delete")
        verbose_name = "task"
