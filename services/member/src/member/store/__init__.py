"""Everything that knows SQL: SQLite out of the box, PostgreSQL by setting.

Statements stand by name in one module for each table: ``store.members.by_name(...)``.
"""

from member.store import members, notices, outbox, places, sessions, sign_ups, verifications

__all__ = ["members", "notices", "outbox", "places", "sessions", "sign_ups", "verifications"]
