"""Redis goes away or is full while people sign up: nobody is refused, and all mails follow."""

import asyncio
from contextlib import closing

import pytest

from services.member.tests.faults.crowd import Crowd, crowd_of, people
from services.member.tests.faults.service_process import service_process
from services.member.tests.faults.world import World
from tests.support.waiting import wait_until

SIGN_UPS = crowd_of(200)

# Redis breaks here, so one kind of database is enough.
pytestmark = pytest.mark.parametrize("db_source", ["postgresql"], indirect=True)


async def test_while_redis_is_away_everybody_signs_up_and_the_mails_follow(world: World) -> None:
    names = people(SIGN_UPS)
    async with service_process(world.variables, world.folder) as service:
        crowd = Crowd(await service.address())
        async with asyncio.TaskGroup() as callers:
            callers.create_task(crowd.sign_up(names))
            await wait_until(lambda: len(crowd.answered) > SIGN_UPS / 4)
            await asyncio.to_thread(world.redis.stop)
        await crowd.sign_up(["late"])
        await asyncio.to_thread(world.redis.start)
        await world.wait_until_done([*names, "late"])
    assert crowd.refusals == []
    assert world.boxes.differing() == {}


async def test_while_redis_is_full_everybody_signs_up_and_the_mails_follow(world: World) -> None:
    names = people(SIGN_UPS)
    async with service_process(world.variables, world.folder) as service:
        crowd = Crowd(await service.address())
        with closing(world.redis.client()) as redis:
            redis.config_set("maxmemory", "1")  # noeviction: it refuses commands that need memory
            await crowd.sign_up(names)
            assert await world.rows() == SIGN_UPS
            redis.config_set("maxmemory", "0")
        await world.wait_until_done(names)
    assert crowd.refusals == []
    assert world.boxes.differing() == {}
