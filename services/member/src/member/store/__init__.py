"""Everything that knows SQL: SQLite out of the box, PostgreSQL by setting."""
