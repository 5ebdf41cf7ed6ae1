"""Tell a database that cannot answer now from one that was asked something wrong."""

import asyncio
import sqlite3
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import structlog
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from member.errors import StoreUnavailableError

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

PATIENCE_S = 10.0
"""Longest transaction, the wait for a connection included."""

# Classes of SQLSTATE: connection, rollback, resources, operator, system.
_PASSING_STATES = ("08", "40", "53", "57", "58")

_PASSING_CODES = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
}
_PRIMARY = 0xFF  # the rest of a code of SQLite says more about the same


@asynccontextmanager
async def available() -> AsyncGenerator[None]:
    """Bound the time that the block takes, and translate what the database says in it.

    Raises:
        StoreUnavailableError: If the database cannot answer now, or not within ten seconds.
    """
    try:
        async with asyncio.timeout(PATIENCE_S):
            yield
    except (SQLAlchemyError, OSError) as error:  # a timeout is an OSError
        if not _passes(error):
            raise
        log.warning("database not available", reason=_reason(error))
        raise StoreUnavailableError from error


def _passes(error: Exception) -> bool:
    """Tell whether the same question may be answered in a moment."""
    match error:
        case OSError():
            return True
        case DBAPIError(orig=orig, connection_invalidated=is_lost):
            state = str(getattr(orig, "sqlstate", None))
            code = getattr(orig, "sqlite_errorcode", 0) & _PRIMARY
            return is_lost or state.startswith(_PASSING_STATES) or code in _PASSING_CODES
        case _:
            return False


def _reason(error: Exception) -> str:
    """Return what the database said, without the statement."""
    said = getattr(error, "orig", None) or error
    return f"{type(said).__name__}: {said}"
