"""Make members administrators, and take it back; who runs the service does so by command."""

from member import audit, store
from member.errors import MemberUnknownError
from member.members import Role
from member.settings import Settings
from member.store import database


async def grant(settings: Settings, membername: str) -> None:
    """Make a member an administrator.

    Raises:
        MemberUnknownError: If there is no such member.
        StoreUnavailableError: If the database does not answer now.
        SQLAlchemyError: If it cannot be opened.
    """
    with audit.recording("GrantAdmin"):
        await _set_role(settings, membername, "admin")


async def revoke(settings: Settings, membername: str) -> None:
    """Make an administrator an ordinary member again.

    Raises:
        MemberUnknownError: If there is no such member.
        StoreUnavailableError: If the database does not answer now.
        SQLAlchemyError: If it cannot be opened.
    """
    with audit.recording("RevokeAdmin"):
        await _set_role(settings, membername, "member")


async def _set_role(settings: Settings, membername: str, role: Role) -> None:
    audit.tell(operator=audit.operator())
    audit.tell_name(membername)
    async with (
        database.opened(settings.db_source.get_secret_value()) as opened,
        opened.writing() as session,
    ):
        if not await store.members.set_role(session, membername, role):
            raise MemberUnknownError
