"""Everything that knows SQL: SQLite out of the box, PostgreSQL by setting.

Statements stand by name in one module for each table: ``store.members.by_name(...)``; mails with
links are all alike, and share one.
"""

from member.store import members, notices, outbox, places, sessions, sign_ups
from member.store.links import Links
from member.store.tables import PasswordResetRow, VerificationRow
from member.verification import PasswordReset, Verification

verifications = Links(VerificationRow, Verification)
password_resets = Links(PasswordResetRow, PasswordReset)

__all__ = [
    "members",
    "notices",
    "outbox",
    "password_resets",
    "places",
    "sessions",
    "sign_ups",
    "verifications",
]
