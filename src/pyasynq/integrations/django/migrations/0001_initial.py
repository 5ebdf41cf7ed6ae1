"""Make the table of the outbox, and the permissions of the admin's pages."""

from django.db import migrations, models


class Migration(migrations.Migration):
    """The first one."""

    initial = True
    dependencies = ()
    operations = (
        migrations.CreateModel(
            name="QueuedTask",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                )
            ],
            options={
                "verbose_name": "task",
                "managed": False,
                "default_permissions": ("view", "change", "delete"),
            },
        ),
        migrations.CreateModel(
            name="OutboxTask",
            fields=[
                ("seq", models.BigAutoField(primary_key=True, serialize=False)),
                ("row_id", models.CharField(db_column="id", max_length=36)),
                ("queue", models.CharField(max_length=255)),
                ("type", models.CharField(max_length=255)),
                ("message", models.BinaryField()),
                ("lock_digest", models.CharField(max_length=32, null=True)),
                ("lock_ttl_s", models.BigIntegerField(null=True)),
                ("at_s", models.BigIntegerField(null=True)),
                ("created_at", models.DateTimeField()),
                ("error", models.TextField(null=True)),
            ],
            options={
                "db_table": "pyasynq_outbox",
                "indexes": [
                    models.Index(
                        condition=models.Q(("error__isnull", True)),
                        fields=["seq"],
                        name="ix_pyasynq_outbox_waiting",
                    )
                ],
            },
        ),
    )
