"""Migrations: the table of the outbox, and permissions."""
