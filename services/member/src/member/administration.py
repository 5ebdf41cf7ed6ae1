"""Grant and revoke the role of an administrator: the commands of an operator."""

from member import audit, store
from member.errors import MemberUnknownError
from member.members import Role
from member.settings import Settings
from member.store.database import open_database


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
    audit.note(operator=audit.operator())
    audit.note_name(membername)
    async with (
        open_database(settings.db_source.get_secret_value()) as database,
        database.writing() as session,
    ):
        if not await store.members.set_role(session, membername, role):
            raise MemberUnknownError
