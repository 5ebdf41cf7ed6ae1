"""Distinguish a database that cannot answer now from a wrong statement."""

import asyncio
import sqlite3
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import structlog
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from member.errors import StoreUnavailableError

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

PATIENCE_S = 10.0
"""Longest transaction, including the wait for a connection."""

# Classes of SQLSTATE: connection, rollback, resources, operator, system.
_PASSING_STATES = ("08", "40", "53", "57", "58")

_PASSING_CODES = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
}
_PRIMARY = 0xFF  # the other bits of SQLite's extended codes only give details


@asynccontextmanager
async def available() -> AsyncGenerator[None]:
    """Limit the time of the block, and map errors of an unavailable database.

    Raises:
        StoreUnavailableError: If the database cannot answer now, or not within ten seconds.
    """
    try:
        async with asyncio.timeout(PATIENCE_S):
            yield
    except (SQLAlchemyError, OSError) as error:  # a timeout is an OSError
        if not _is_temporary(error):
            raise
        log.warning("database not available", reason=_reason(error))
        raise StoreUnavailableError from error


def _is_temporary(error: Exception) -> bool:
    """Tell whether the same statement may succeed in a moment."""
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
    """Return the error of the database, without the statement."""
    cause = getattr(error, "orig", None) or error
    return f"{type(cause).__name__}: {cause}"
