"""All code that knows SQL: for SQLite by default, for PostgreSQL by setting.

Each table has a module of named statements: ``store.members.by_name(...)``. The tables of mails
with links share one.
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
