"""Many people who sign up at once, and the mails that the mail server got for them."""

import asyncio
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator
from email import message_from_bytes
from email.policy import default

import grpc
from aiosmtpd.smtp import SMTP, Envelope, Session
from grpc import aio

from member.demo.smtp import SmtpSink
from member.v1 import member_pb2 as pb
from member.v1.member_pb2_grpc import MemberServiceStub
from services.member.tests.doubles import token_of
from tests.support.waiting import wait_until

IS_CAMPAIGN = "PYASYNQ_CAMPAIGN" in os.environ

AT_ONCE = 20
DEADLINE_S = 15
PATIENCE_S = 120

# A caller that lost its server reconnects soon.
_OPTIONS = [
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 200),
]


class Crowd:
    """Callers of one service.

    Attributes:
        answered: Names that got the answer that they are members.
        refusals: Every other answer, and missing answers.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self.answered: set[str] = set()
        self.refusals: list[aio.AioRpcError] = []

    async def sign_up(self, names: Iterable[str]) -> None:
        """Let each of *names* try until it gets its answer, several at a time."""
        await self._all(names, once=False)

    async def try_once(self, names: Iterable[str]) -> None:
        """Let each of *names* try once."""
        await self._all(names, once=True)

    async def _all(self, names: Iterable[str], *, once: bool) -> None:
        waiting = iter(names)
        async with aio.insecure_channel(self._address, options=_OPTIONS) as channel:
            stub = MemberServiceStub(channel)
            async with asyncio.TaskGroup() as group:
                for _ in range(AT_ONCE):
                    group.create_task(self._some(stub, waiting, once=once))

    async def _some(self, stub: MemberServiceStub, names: Iterator[str], *, once: bool) -> None:
        for name in names:
            if not await self._is_answered(stub, name) and not once:
                await wait_until(lambda name=name: self._is_answered(stub, name), PATIENCE_S)

    async def _is_answered(self, stub: MemberServiceStub, name: str) -> bool:
        try:
            await stub.CreateMember(sign_up(name), timeout=DEADLINE_S, wait_for_ready=True)
        except aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.ALREADY_EXISTS:
                self.refusals.append(error)
                return False
        self.answered.add(name)
        return True


def crowd_of(count: int) -> int:
    """Return the number of sign-ups: *count* in `make campaign`, a quarter of it in the tests."""
    return count if IS_CAMPAIGN else count // 4


def people(count: int) -> list[str]:
    """Return *count* names."""
    return [f"m{number:04}" for number in range(count)]


def sign_up(name: str) -> pb.CreateMemberRequest:
    """Return the request for the sign-up of *name*."""
    return pb.CreateMemberRequest(
        membername=name,
        full_name=name.title(),
        email=f"{name}@example.com",
        password="curiouser and curiouser",
    )


class LetterBoxes(SmtpSink):
    """Keeps every mail as it came, by the name of the recipient."""

    def __init__(self) -> None:
        super().__init__()
        self.letters: dict[str, list[bytes]] = defaultdict(list)

    async def handle_DATA(  # noqa: N802 - aiosmtpd calls it by this name
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        assert isinstance(envelope.content, bytes)
        self.letters[envelope.rcpt_tos[0].partition("@")[0]].append(envelope.content)
        return self.answer

    def differing(self) -> dict[str, int]:
        """Return the names that got different mails, and how many different ones."""
        counts = {name: len(set(letters)) for name, letters in self.letters.items()}
        return {name: count for name, count in counts.items() if count > 1}

    def tokens(self) -> dict[str, str]:
        """Return the token in the first mail of each name."""
        return {
            name: token_of(message_from_bytes(letters[0], policy=default))
            for name, letters in self.letters.items()
        }


async def verify_all(address: str, tokens: Iterable[str]) -> list[str]:
    """Use *tokens* one after the other; return the names that they verified."""
    async with aio.insecure_channel(address) as channel:
        stub = MemberServiceStub(channel)
        answers = [await stub.VerifyEmail(pb.VerifyEmailRequest(token=token)) for token in tokens]
    return [answer.member.membername for answer in answers if not answer.already_verified]
