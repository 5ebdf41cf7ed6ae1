"""Mail: tasks that wait in one queue until they are created in another, and reports.

A script can write to the queues of one cluster slot only. So `continued` stores the tasks for other
queues as mail beside the task that has ended. Delivery is: take letters, create their tasks, delete
the letters. A server that dies in between leaves letters that are sent again. Each task is created
together with a receipt, as those of an outbox, and a receiver ignores a report that it has already
got, so a second sending changes nothing.
"""

from collections.abc import Sequence
from contextlib import suppress
from typing import Final, cast

import msgspec
from redis.exceptions import ResponseError

from pyasynq.broker.ports.mail import Delivery
from pyasynq.broker.redis import keys, pipeline
from pyasynq.broker.redis.connection import Driver, map_error
from pyasynq.broker.redis.creation import CREATED, NOT_CREATED, RedisCreation
from pyasynq.broker.redis.letters import (
    Letter,
    MailBody,
    ReportBody,
    describe,
    log_answer_to_report,
    log_refused_task,
    read_letters,
    report_of_refusal,
)
from pyasynq.broker.redis.lua import mail as scripts
from pyasynq.broker.redis.new_tasks import EachValues, create_call
from pyasynq.broker.redis.receipts import RedisReceipts
from pyasynq.broker.redis.reports import receive_call
from pyasynq.core.errors import BrokerError
from pyasynq.core.info import MailInfo
from pyasynq.core.policy import MAX_BYTES, MAX_TASKS
from pyasynq.runtime.clock import Clock

HOLD_S: Final = 10
"""Seconds for which nobody else sends a letter that was taken."""

RECEIPT_TTL_S: Final = 365 * 86_400
"""Seconds for which a receipt is kept while its letter may exist."""

SENT_RECEIPT_TTL_S: Final = 600
"""Seconds for which a receipt is kept after its letter was deleted; another may have taken it."""

STALE_S: Final = SENT_RECEIPT_TTL_S / 2
"""After this many seconds letters are taken again, because another may have sent them."""

MOST_HOPS: Final = 8
"""Queues through which one delivery goes on, if what it delivers makes mail there."""


class RedisMail:
    """The port for mail."""

    def __init__(
        self, driver: Driver, creation: RedisCreation, receipts: RedisReceipts, clock: Clock
    ) -> None:
        """Send calls over *driver*; *creation* registers queues, *receipts* expire."""
        self._driver = driver
        self._creation = creation
        self._receipts = receipts
        self._clock = clock

    async def deliver(self, queue: str) -> Delivery:
        """Carry out a batch of the mail of *queue* that is due, each letter once.

        If a report makes mail in its home, that is delivered as well; if it cannot be, the courier
        of that queue tries again.
        """
        delivery, homes = await self._deliver(queue)
        with suppress(BrokerError):
            for _ in range(MOST_HOPS):
                if not homes:
                    break
                _, more = await self._deliver(homes.pop())
                homes |= more
        return delivery

    async def letters(self, queue: str, start: int, count: int) -> Sequence[MailInfo]:
        """Return up to *count* letters of *queue*, the next to be delivered first."""
        call = scripts.read_mail(
            mail=keys.mail(queue),
            mail_bodies=keys.mail_bodies(queue),
            start=start,
            limit=count,
            max_bytes=MAX_BYTES,
        )
        reply = cast("list[bytes]", await pipeline.run(self._driver, call))
        return [describe(letter) for letter in read_letters(reply)]

    async def _deliver(self, queue: str) -> tuple[Delivery, set[str]]:
        """Carry out a batch of mail; return the delivery, and queues that have new mail now."""
        began = self._clock.monotonic()
        call = scripts.take_mail(
            mail=keys.mail(queue),
            mail_bodies=keys.mail_bodies(queue),
            limit=MAX_TASKS,
            max_bytes=MAX_BYTES,
            hold_s=HOLD_S,
        )
        reply = cast("list[bytes]", await pipeline.run(self._driver, call))
        wait_ms, taken = int(reply[0]), read_letters(reply[1:])
        next_in_s = None if wait_ms < 0 else wait_ms / 1000
        sending = _Sending()
        if taken and self._clock.monotonic() - began < STALE_S:
            sending = await self._send(queue, taken)
        delivery = Delivery(
            delivered=len(sending.sent),
            more=next_in_s == 0,
            next_in_s=next_in_s,
            error=sending.error,
        )
        return delivery, sending.homes

    async def _send(self, queue: str, taken: Sequence[Letter]) -> "_Sending":
        """Carry out the letters that were *taken*, and delete them."""
        sending = _Sending()
        if any(letter.body is None for letter in taken):
            text = f"Redis: the mail of {queue!r} has letters that cannot be read"
            sending.error = BrokerError(text)
        tasks = [(it, it.body) for it in taken if isinstance(it.body, MailBody)]
        if tasks:
            await self._creation.register({body.queue for _, body in tasks})
            sending.add_tasks(tasks, await self._create(tasks))
        reports = [(it, it.body) for it in taken if isinstance(it.body, ReportBody)]
        if reports := [*reports, *sending.refused]:
            await self._report(reports, sending)
        if sending.sent:
            call = scripts.delete_mail(
                sending.sent, mail=keys.mail(queue), mail_bodies=keys.mail_bodies(queue)
            )
            await pipeline.run(self._driver, call)
        if sending.rows:
            await self._receipts.expire(sending.rows, ttl_s=SENT_RECEIPT_TTL_S)
        return sending

    async def _create(self, letters: Sequence[tuple[Letter, MailBody]]) -> list[int | BrokerError]:
        """Create the tasks of *letters*; return for each what the script answers, or an error."""
        batches = pipeline.batches(
            (body.queue for _, body in letters), (len(body.message) for _, body in letters)
        )
        calls = [
            create_call(
                letters[indexes[0]][1].queue,
                [_row(*letters[index]) for index in indexes],
            )
            for indexes in batches
        ]
        answers: list[int | BrokerError] = [0] * len(letters)
        replies = await pipeline.run_all(self._driver, calls)
        for indexes, reply in zip(batches, replies, strict=True):
            for n, index in enumerate(indexes):
                one = reply if isinstance(reply, BrokerError) else cast("list[object]", reply)[n]
                answers[index] = _answer(one)
        return answers

    async def _report(
        self, letters: Sequence[tuple[Letter, ReportBody]], sending: "_Sending"
    ) -> None:
        """Take the reports of *letters* to their records."""
        batches = pipeline.batches(
            (body.queue for _, body in letters), (len(body.output) for _, body in letters)
        )
        calls = [
            receive_call(
                letters[indexes[0]][1].queue,
                [msgspec.structs.astuple(letters[index][1]) for index in indexes],
            )
            for indexes in batches
        ]
        replies = await pipeline.run_all(self._driver, calls)
        for indexes, reply in zip(batches, replies, strict=True):
            some = [letters[index] for index in indexes]
            if isinstance(reply, BrokerError):
                sending.error = reply
                continue
            posted, *answers = cast("list[object]", reply)
            if posted:
                sending.homes.add(some[0][1].queue)
            for (letter, body), one in zip(some, answers, strict=True):
                sending.add_report(letter, body, _answer(one))


class _Sending:
    """What was sent of some letters.

    Attributes:
        sent: Ids of the letters that were carried out, or never can be.
        refused: Letters whose tasks were refused, with what is reported of it to their records.
        rows: Queues and ids of the receipts of the tasks that were created.
        homes: Queues that have new mail.
        error: Why others wait; None if none do.
    """

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.refused: list[tuple[Letter, ReportBody]] = []
        self.rows: list[tuple[str, str]] = []
        self.homes: set[str] = set()
        self.error: BrokerError | None = None

    def add_tasks(
        self,
        letters: Sequence[tuple[Letter, MailBody]],
        answers: Sequence[int | BrokerError],
    ) -> None:
        """Note the *answers* for the tasks of *letters*."""
        for (letter, body), answer in zip(letters, answers, strict=True):
            if isinstance(answer, BrokerError):
                self.error = answer
                continue
            if answer not in {CREATED, NOT_CREATED}:
                log_refused_task(body.queue, body.id, answer)
                if (report := report_of_refusal(body, answer)) is not None:
                    self.refused.append((letter, report))
                    continue
            self.sent.append(letter.id)
            self.rows.append((body.queue, letter.id))

    def add_report(self, letter: Letter, body: ReportBody, answer: int | BrokerError) -> None:
        """Note the *answer* for the report of *letter*."""
        if isinstance(answer, BrokerError):
            self.error = answer
            return
        log_answer_to_report(body.kind, body.queue, body.id, answer)
        self.sent.append(letter.id)


def _answer(reply: object) -> int | BrokerError:
    if isinstance(reply, bytes):
        return map_error(ResponseError(reply.decode(errors="replace")))
    return cast("int | BrokerError", reply)


def _row(letter: Letter, body: MailBody) -> EachValues:
    """Return the values for the script `create`, with a receipt."""
    receipt = "receipt", keys.receipt(body.queue, letter.id), RECEIPT_TTL_S
    return body.id, body.message, body.lock, body.ttl_s, body.at_s, body.group, receipt
