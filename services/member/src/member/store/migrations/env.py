"""Run migrations on the connection that the service provides."""

from alembic import context

from member.store.tables import Table

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Table.metadata,
    render_as_batch=True,  # on SQLite Alembic changes a table by copying it
)
with context.begin_transaction():
    context.run_migrations()
