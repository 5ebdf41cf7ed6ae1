"""Kill the program at any point between sign-up and mail: each member gets one mail."""

import asyncio
import signal
from collections.abc import Sequence

import pytest

from services.member.tests.faults.crowd import IS_CAMPAIGN, Crowd, people
from services.member.tests.faults.service_process import service_process
from services.member.tests.faults.world import World

SHARE = 40 if IS_CAMPAIGN else 20
"""Sign-ups for each run of the program; a few more callers give up when they are refused."""

GIVE_UP = 5

# Calls of one run of the program: late enough that earlier sign-ups are complete, early enough that
# later ones are not.
HALF, MOST = str(SHARE // 2), str(SHARE * 3 // 4)

DISTRIBUTOR = "member.worker.distributor"
PROCESSOR = "member.worker.processor"
LINKS = "member.store.links"
RELAY = "pyasynq.outbox.relay"
REDIS = "pyasynq.broker.redis.work"
DISTRIBUTE = "OutboxTaskDistributor.distribute_task_send_verify_email"
PROCESS = "RedisTaskProcessor.process_task_send_verify_email"

# Where SIGKILL comes, from sign-up to mail, and at which call.
DEATHS = [
    # The member and its task are written, but not committed.
    ("after", MOST, DISTRIBUTOR, DISTRIBUTE),
    # Both are committed, but the caller has no answer.
    ("after", MOST, "member.rpc.servicer", "MemberServicer.CreateMember"),
    # The relay has read the row, but Redis has no task.
    ("before", "2", RELAY, "Relay._send"),
    # Redis has the task, but the row still exists.
    ("before", "2", RELAY, "Relay._write"),
    # The row is deleted, but the deletion is not committed.
    ("after", "2", RELAY, "Relay._write"),
    # The deletion is committed, but the receipt in Redis still has its long TTL.
    ("before", "2", RELAY, "Relay._shorten"),
    # A worker has taken the task, and done nothing.
    ("before", HALF, PROCESSOR, PROCESS),
    # The worker has read the member, but not written the verification.
    ("before", HALF, LINKS, "Links.insert"),
    # The verification is written, but not committed.
    ("after", HALF, LINKS, "Links.insert"),
    # The verification is committed, but the mail is not sent.
    ("before", HALF, "member.mail.transport", "SmtpTransport.send"),
    # The mail is sent, but not recorded as sent: it is sent again.
    ("after", HALF, "member.mail.transport", "SmtpTransport.send"),
    # The mail is recorded as sent, but not committed: it is sent again.
    ("after", HALF, LINKS, "Links.mark_sent"),
    # The record is committed, but the task is not done.
    ("after", HALF, PROCESSOR, PROCESS),
    ("before", "2", REDIS, "RedisWork.settle"),
    # The task is done.
    ("after", "2", REDIS, "RedisWork.settle"),
]

CAMPAIGN = (640, DEATHS)
"""Sign-ups and kills of `make campaign`, on each database; else each database has half of them."""


class Trial:
    """Runs one program after the other and kills all but the last, while people sign up."""

    def __init__(self, world: World, callers: asyncio.TaskGroup, sign_ups: int) -> None:
        address = world.variables["GRPC_SERVER_ADDRESS"]
        self._world = world
        self._callers = callers
        self._calls: list[asyncio.Task[None]] = []
        self._names = people(sign_ups)
        self.patient, self.hasty = Crowd(address), Crowd(address)

    async def run_until_killed(self, number: int, deadly: tuple[str, ...]) -> None:
        """Let some people sign up while a program runs until it is killed."""
        world, hasty = self._world, [f"h{number}_{caller}" for caller in range(GIVE_UP)]
        async with service_process(world.variables, world.folder, deadly=deadly) as service:
            await service.address()
            for call in (self.patient.sign_up(self._next(SHARE)), self.hasty.try_once(hasty)):
                self._calls.append(self._callers.create_task(call))
            assert await service.ends() == -signal.SIGKILL
        await world.end_leases()

    async def finish(self) -> None:
        """Let all other people sign up, and wait for all answers."""
        await self.patient.sign_up(self._names)
        await asyncio.wait(self._calls)

    def _next(self, count: int) -> list[str]:
        taken, self._names = self._names[:count], self._names[count:]
        return taken


@pytest.mark.parametrize(
    ("db_source", "sign_ups", "deaths"),
    [("postgresql", *CAMPAIGN), ("sqlite", *CAMPAIGN)]
    if IS_CAMPAIGN
    else [("postgresql", 90, DEATHS[::4]), ("sqlite", 90, DEATHS[2::4])],
    ids=["postgresql", "sqlite"],
    indirect=["db_source"],
)
async def test_a_program_killed_at_any_point_sends_each_member_one_mail_whose_link_verifies(
    world: World, sign_ups: int, deaths: Sequence[tuple[str, ...]]
) -> None:
    async with asyncio.TaskGroup() as callers:
        trial = Trial(world, callers, sign_ups)
        [await trial.run_until_killed(number, deadly) for number, deadly in enumerate(deaths)]
        async with service_process(world.variables, world.folder) as service:
            address = await service.address()
            await trial.finish()
            members = await world.members()
            await world.wait_until_done(members)
            verified = await world.verify_all(address)
    assert len(trial.patient.answered) == sign_ups
    assert trial.patient.answered | trial.hasty.answered <= members
    assert world.boxes.letters.keys() == members
    # A program killed between the sending and the record sends the same mail again, byte for byte.
    assert world.boxes.differing() == {}
    assert verified == members
