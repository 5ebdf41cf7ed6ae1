"""Sign up members."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid4

from member import audit, store
from member.answered_sign_ups import AnsweredSignUp, answered_sign_up, digest
from member.audit import audited
from member.callers import Caller
from member.clock import Clock, utc_now
from member.errors import AlreadyExistsError, RequestIdError
from member.limits import Limits
from member.members import Member, NewMember, SignUp
from member.metrics import Outcomes
from member.passwords import Passwords
from member.service.password_checks import PasswordChecks
from member.service.verify_email_tasks import VerifyEmailTasks
from member.store.database import Database
from member.validation import validate_request_id, validate_sign_up


@dataclass(frozen=True, slots=True, kw_only=True)
class SignUps:
    """Stores members and queues their verification mails."""

    database: Database
    passwords: Passwords
    checks: PasswordChecks
    tasks: VerifyEmailTasks
    limits: Limits
    outcomes: Outcomes
    clock: Clock = utc_now

    @audited("CreateMember")
    async def create_member(self, caller: Caller, sign_up: SignUp, request_id: str = "") -> Member:
        """Store a member and queue the verification mail; both or neither.

        The task is distributed inside the transaction. If that fails, the member is not
        stored, and the same sign-up can be tried again.

        Args:
            caller: The person who signs up.
            sign_up: The typed fields.
            request_id: Names the sign-up: a repetition gets the first answer. Empty: no id.

        Raises:
            InvalidInputError: If fields break their rules.
            RequestIdError: If *request_id* named another sign-up.
            AlreadyExistsError: If the name or the address is taken.
            DistributeError: If the mail could not be queued.
            LimitedError: If there were too many sign-ups.
        """
        with self.outcomes.counting():
            validate_request_id(request_id)
            new = validate_sign_up(sign_up)
            await self.limits.create_member(caller.address, new.email)
            if first := await self._find_first(request_id):
                return await self._answer_again(caller, first, new)
            try:
                return await self._create(caller, new, request_id)
            except AlreadyExistsError:
                if first := await self._find_first(request_id):  # the same request was quicker
                    return await self._answer_again(caller, first, new)
                raise

    async def _create(self, caller: Caller, new: NewMember, request_id: str) -> Member:
        password_hash = await self.passwords.hash(new.password, caller.address)
        member = _member(new, uuid4(), self.clock())
        async with self.database.writing() as session:
            await store.members.insert(session, member, password_hash=password_hash)
            if request_id:
                await store.sign_ups.insert(session, answered_sign_up(request_id, new, member))
            await self.tasks.queue(member)
        audit.note_member(member)
        return member

    async def _find_first(self, request_id: str) -> AnsweredSignUp | None:
        if not request_id:
            return None
        async with self.database.reading() as session:
            return await store.sign_ups.by_request_id(session, request_id)

    async def _answer_again(self, caller: Caller, first: AnsweredSignUp, new: NewMember) -> Member:
        """Return the *first* answer, if the sign-up is the same and has the same password."""
        found = await self.checks.from_outside(caller, new.membername, new.password)
        if found is None or first.digest != digest(new):
            raise RequestIdError
        member = _member(new, first.member_id, first.created_at)
        audit.note_member(member)
        audit.note(reason="answered_again")
        return member


def _member(new: NewMember, member_id: UUID, created_at: datetime) -> Member:
    return Member(
        id=member_id,
        membername=new.membername,
        full_name=new.full_name,
        email=new.email,
        locale=new.locale,
        created_at=created_at,
    )
