"""The database goes away while people sign up: callers may try again, and nothing is lost."""

import asyncio
import sqlite3
from collections.abc import Collection
from contextlib import closing
from typing import Literal

import grpc
import pytest
from grpc import aio

from services.member.tests.faults.crowd import Crowd, crowd_of, people
from services.member.tests.faults.service_process import ServiceProcess, service_process
from services.member.tests.faults.world import World
from tests.support.postgres import PostgresServer
from tests.support.waiting import wait_until

SIGN_UPS = crowd_of(200)
REFUSED = "the members' database is not available now: try again in a moment"


def answers(refusals: Collection[aio.AioRpcError]) -> set[tuple[grpc.StatusCode, str | None]]:
    return {(refusal.code(), refusal.details()) for refusal in refusals}


@pytest.fixture
def postgres(own_postgres: PostgresServer) -> PostgresServer:
    """The server of the program's database."""
    return own_postgres


only_postgresql = pytest.mark.parametrize("db_source", ["postgresql"], indirect=True)
only_sqlite = pytest.mark.parametrize("db_source", ["sqlite"], indirect=True)


@only_postgresql
@pytest.mark.parametrize("mode", ["fast", "immediate"])
async def test_while_postgresql_restarts_the_answer_is_to_try_again_and_nothing_is_lost(
    world: World, postgres: PostgresServer, mode: Literal["fast", "immediate"]
) -> None:
    names = people(SIGN_UPS)
    async with service_process(world.variables, world.folder) as service:
        crowd = Crowd(await service.address())
        async with asyncio.TaskGroup() as callers:
            callers.create_task(crowd.sign_up(names))
            await wait_until(lambda: len(crowd.answered) > SIGN_UPS / 4)
            await asyncio.to_thread(postgres.halt, mode)
            refused = len(crowd.refusals)
            await wait_until(lambda: len(crowd.refusals) > refused)
            await asyncio.to_thread(postgres.start_again)
        await world.wait_until_done(names)
        assert traces(service) == []
    assert answers(crowd.refusals) == {(grpc.StatusCode.UNAVAILABLE, REFUSED)}
    assert await world.members() == set(names)
    assert world.boxes.letters.keys() == set(names)
    assert world.boxes.differing() == {}


def traces(service: ServiceProcess) -> list[str]:
    """Return the log lines with the traceback of an unexpected error.

    Failed tasks also log a traceback, but a database that is away is expected.
    """
    traces = [line for line in service.said.splitlines() if "Traceback" in line]
    return [line for line in traces if "StoreUnavailableError" not in line]


@only_sqlite
async def test_while_another_program_holds_sqlites_lock_the_answer_is_to_try_again(
    world: World,
) -> None:
    async with service_process(world.variables, world.folder) as service:
        crowd = Crowd(await service.address())
        with closing(sqlite3.connect(world.folder / "member.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            await crowd.try_once(["early"])
            other.execute("ROLLBACK")
        await crowd.sign_up(["late"])
        await world.wait_until_done(["late"])
        assert traces(service) == []
    assert answers(crowd.refusals) == {(grpc.StatusCode.UNAVAILABLE, REFUSED)}
    assert await world.members() == {"late"}
