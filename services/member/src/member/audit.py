"""The audit trail: who did what, to whom, from where, and with what result; never a secret.

Each call of the service that changes something leaves one record, once the change is committed. So
does each refused call, even one that only reads. A call that fails by a fault of the service
changes nothing and leaves no record; the error log has it. A call whose caller leaves in the middle
leaves a record, because the change may have been committed.

Records go to the logger ``member.audit`` at every LOG_LEVEL. They name members by name and id. The
only text from a stranger that they hold is a valid member name.
"""

import asyncio
import os
import pwd
from collections.abc import Callable, Coroutine, Generator, Iterable
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, Concatenate, Final, ParamSpec, TypeAlias, TypeVar
from uuid import UUID

import structlog

from member.callers import Caller
from member.errors import MemberError, kind_of
from member.members import Member
from member.statuses import status_of
from member.validation import is_membername

LOGGER: Final = "member.audit"

log: structlog.stdlib.BoundLogger = structlog.get_logger(LOGGER)

Value: TypeAlias = str | int | list[str]

Service = TypeVar("Service")
Given = ParamSpec("Given")
Answer = TypeVar("Answer")
Method: TypeAlias = Callable[Concatenate[Service, Caller, Given], Coroutine[Any, Any, Answer]]


@dataclass(slots=True, kw_only=True)
class Record:
    """The facts known so far about one call.

    Attributes:
        event: Name of the RPC, or of the command.
        values: The facts, by their names in the log.
    """

    event: str
    values: dict[str, Value] = field(default_factory=dict[str, Value])

    def write(self, outcome: str) -> None:
        """Write the record; the log adds time and request id."""
        log.info(self.event, outcome=outcome, **self.values)


_current: ContextVar[Record | None] = ContextVar("audit", default=None)


def audited(
    event: str, *, changes: bool = True
) -> Callable[[Method[Service, Given, Answer]], Method[Service, Given, Answer]]:
    """Return a decorator that makes a method of the service leave records.

    Args:
        event: Name of the RPC that the method answers.
        changes: Whether the method changes anything. If not, only a refused call leaves a record.
    """

    def wrap(call: Method[Service, Given, Answer]) -> Method[Service, Given, Answer]:
        @wraps(call)
        async def recorded(
            service: Service, caller: Caller, *args: Given.args, **kwargs: Given.kwargs
        ) -> Answer:
            with recording(event, changes=changes):
                note(address=caller.address)
                return await call(service, caller, *args, **kwargs)

        return recorded

    return wrap


@contextmanager
def recording(event: str, *, changes: bool = True) -> Generator[None]:
    """Write one record of the block when it ends; for code that is no method of the service."""
    record = Record(event=event)
    outer = _current.set(record)
    try:
        yield
    except MemberError as error:
        if not status_of(error).is_ours:
            record.values.setdefault("reason", kind_of(error))
            record.write("refused")
        raise
    except asyncio.CancelledError:
        if changes:
            record.write("interrupted")
        raise
    else:
        if changes:
            record.write("succeeded")
    finally:
        _current.reset(outer)


def note(**values: Value) -> None:
    """Add *values* to the record of this call; never a secret, nor text that a stranger typed."""
    if record := _current.get():
        record.values |= values


def note_actor(member: Member, session_id: UUID) -> None:
    """Add the caller and its session to the record."""
    note(actor=member.membername, actor_id=str(member.id), actor_session_id=str(session_id))


def note_member(member: Member) -> None:
    """Add the member that the call is about to the record."""
    note(member=member.membername, member_id=str(member.id))


def record_purges(members: Iterable[Member]) -> None:
    """Write a record for each of *members*, which the service removed by itself."""
    for member in members:
        with recording("PurgeMember"):
            note_member(member)


def note_name(membername: str) -> None:
    """Add the member name that the caller sent to the record, if it is a valid one."""
    if is_membername(membername):
        note(member=membername)


def operator() -> str:
    """Return the operating system's user of this process; environment variables do not count."""
    user = os.getuid()
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:  # in a container the user may have no name
        return str(user)
