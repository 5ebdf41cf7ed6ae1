"""An operator grants and revokes the role of an administrator."""

from collections.abc import Awaitable, Callable
from typing import TypeAlias

import pytest
from pydantic import SecretStr

from member import store
from member.administration import grant, revoke
from member.errors import MemberUnknownError
from member.members import Role
from member.service import MemberService
from member.settings import Settings
from member.store.database import Database
from services.member.tests.doubles import ALICE, log_in_as
from services.member.tests.scenes import Scenes, alice_and_bob

Command: TypeAlias = Callable[[Settings, str], Awaitable[None]]


@pytest.fixture
def settings(db_source: str) -> Settings:
    """Settings without a reachable Redis and mail server."""
    return Settings(
        environment="development", db_source=SecretStr(db_source), redis_address=SecretStr("[::]:1")
    )


@pytest.fixture(autouse=True)
async def members(scenes: Scenes) -> None:
    """Alice and Bob are members."""
    await scenes.play(alice_and_bob)


async def role_of(db: Database, membername: str) -> Role | None:
    async with db.reading() as session:
        member = await store.members.by_name(session, membername)
    return member and member.role


async def test_a_grant_makes_one_member_an_administrator(settings: Settings, db: Database) -> None:
    await grant(settings, "alice")
    assert [await role_of(db, name) for name in ("alice", "bob")] == ["admin", "member"]


async def test_a_revocation_takes_it_back(settings: Settings, db: Database) -> None:
    await grant(settings, "alice")
    await revoke(settings, "alice")
    assert await role_of(db, "alice") == "member"


async def test_a_grant_holds_at_once_for_sessions_that_live(
    settings: Settings, service: MemberService
) -> None:
    alice = await log_in_as(service, ALICE)
    await grant(settings, "alice")
    assert len((await service.members.list_page(alice)).members) == 2


@pytest.mark.parametrize("command", [grant, revoke])
@pytest.mark.parametrize("nobody", ["nobody", "ALICE", ""])
async def test_an_unknown_member_is_reported(
    settings: Settings, command: Command, nobody: str
) -> None:
    with pytest.raises(MemberUnknownError, match="there is no such member"):
        await command(settings, nobody)


@pytest.mark.parametrize("command", [grant, revoke])
async def test_a_command_can_be_given_twice(settings: Settings, command: Command) -> None:
    await command(settings, "alice")
    await command(settings, "alice")
