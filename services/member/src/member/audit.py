"""The audit trail: who did what, to whom, from where, and what came of it; never a secret.

Each call of the service that changes something leaves one record, once the change is committed,
and so does each call that is refused, whatever it asked for. What fails by a fault of ours changes
nothing and leaves none; the log of errors tells of it. A caller who leaves in the middle leaves a
record, for the change may have been committed.

Records go to the logger ``member.audit``, whatever LOG_LEVEL is. They name members by name and id,
and hold no text that a stranger chose but for member names that can be some.
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
from member.errors import MemberError, word_of
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
    """What is known so far of one call.

    Attributes:
        event: Name of the RPC, or of the command.
        values: By the names that the log shows.
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
    """Return what makes a method of the service leave records.

    Args:
        event: Name of the RPC that the method answers.
        changes: Whether it changes anything; what only looks leaves a record if it is refused.
    """

    def wrap(call: Method[Service, Given, Answer]) -> Method[Service, Given, Answer]:
        @wraps(call)
        async def recorded(
            service: Service, caller: Caller, *args: Given.args, **kwargs: Given.kwargs
        ) -> Answer:
            with recording(event, changes=changes):
                tell(address=caller.address)
                return await call(service, caller, *args, **kwargs)

        return recorded

    return wrap


@contextmanager
def recording(event: str, *, changes: bool = True) -> Generator[None]:
    """Write one record of the block when it ends; for whatever is no method of the service."""
    record = Record(event=event)
    outer = _current.set(record)
    try:
        yield
    except MemberError as error:
        if not status_of(error).is_ours:
            record.values.setdefault("reason", word_of(error))
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


def tell(**values: Value) -> None:
    """Put *values* into the record of this call; never a secret, nor what a stranger typed."""
    if record := _current.get():
        record.values |= values


def tell_actor(member: Member, session_id: UUID) -> None:
    """Say who calls, and in which session."""
    tell(actor=member.membername, actor_id=str(member.id), actor_session_id=str(session_id))


def tell_member(member: Member) -> None:
    """Say whom the call is about."""
    tell(member=member.membername, member_id=str(member.id))


def tell_purged(members: Iterable[Member]) -> None:
    """Leave a record for each of *members* who was removed without asking."""
    for member in members:
        with recording("PurgeMember"):
            tell_member(member)


def tell_name(membername: str) -> None:
    """Say whom the call is about by the name that was typed, if anybody can have that name."""
    if is_membername(membername):
        tell(member=membername)


def operator() -> str:
    """Return the user of the operating system that runs this program, whatever variables say."""
    user = os.getuid()
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:  # in a container it may have no name
        return str(user)
