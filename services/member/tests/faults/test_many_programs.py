"""Several programs share one database and one Redis."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from services.member.tests.faults.crowd import IS_CAMPAIGN, Crowd, people
from services.member.tests.faults.service_process import service_process
from services.member.tests.faults.world import World

SIGN_UPS = 300 if IS_CAMPAIGN else 36
PROGRAMS = 3


@pytest.mark.parametrize(
    "db_source", ["postgresql", "sqlite"] if IS_CAMPAIGN else ["postgresql"], indirect=True
)
async def test_three_programs_send_each_member_one_mail(world: World) -> None:
    names = people(SIGN_UPS)
    free = {**world.variables, "GRPC_SERVER_ADDRESS": "127.0.0.1:0"}
    async with AsyncExitStack() as stack:
        services = [
            await stack.enter_async_context(service_process(free, world.folder))
            for _ in range(PROGRAMS)
        ]
        crowds = [Crowd(await service.address()) for service in services]
        await asyncio.gather(
            *(crowd.sign_up(names[place::PROGRAMS]) for place, crowd in enumerate(crowds))
        )
        await world.wait_until_done(names)
        verified = await world.verify_all(await services[0].address())
    assert [len(letters) for letters in world.boxes.letters.values()] == [1] * SIGN_UPS
    assert verified == set(names)
