"""Alembic's migrations; run at every start of the service."""
