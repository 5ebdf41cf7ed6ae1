"""Mail: tasks that wait in one queue until they are created in another.

A script can write to the queues of one cluster slot only. So `continued` stores the tasks for other
queues as mail beside the task that has ended. Delivery is: take letters, create their tasks, delete
the letters. A server that dies in between leaves letters that are sent again. Each task is created
together with a receipt, as those of an outbox, so a second sending changes nothing.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple, cast

import msgspec
from redis.exceptions import ResponseError

from pyasynq.broker.ports.mail import Delivery
from pyasynq.broker.records import decode_name, read_message
from pyasynq.broker.redis import keys, pipeline
from pyasynq.broker.redis.connection import Driver, map_error
from pyasynq.broker.redis.creation import CREATED, NOT_CREATED, RedisCreation
from pyasynq.broker.redis.lua import mail as scripts
from pyasynq.broker.redis.new_tasks import EachValues, MailBody, create_call, log_refusal
from pyasynq.broker.redis.receipts import RedisReceipts
from pyasynq.broker.redis.scripts import unblob
from pyasynq.core.errors import BrokerError
from pyasynq.core.info import MailInfo
from pyasynq.core.message import instant
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

_decode: Final = msgspec.msgpack.Decoder(MailBody).decode


class _Stored(NamedTuple):
    """A letter as it is stored; *body* is None if it cannot be read."""

    id: str
    posted_s: int
    body: MailBody | None


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
        """Create the tasks of a batch of the mail of *queue* that is due, each once."""
        began = self._clock.monotonic()
        call = scripts.take_mail(
            mail=keys.mail(queue),
            mail_bodies=keys.mail_bodies(queue),
            limit=MAX_TASKS,
            max_bytes=MAX_BYTES,
            hold_s=HOLD_S,
        )
        reply = cast("list[bytes]", await pipeline.run(self._driver, call))
        wait_ms, taken = int(reply[0]), _read_letters(reply[1:])
        next_in_s = None if wait_ms < 0 else wait_ms / 1000
        sent: list[_Stored] = []
        error: BrokerError | None = None
        if taken and self._clock.monotonic() - began < STALE_S:
            sent, error = await self._send(queue, taken)
        return Delivery(delivered=len(sent), more=next_in_s == 0, next_in_s=next_in_s, error=error)

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
        return [_letter(stored) for stored in _read_letters(reply)]

    async def _send(
        self, queue: str, taken: Sequence[_Stored]
    ) -> tuple[list[_Stored], BrokerError | None]:
        """Create the tasks of *taken* and delete those letters; return them, and an error."""
        readable = [(letter, letter.body) for letter in taken if letter.body is not None]
        error = None
        if len(readable) < len(taken):
            error = BrokerError(f"Redis: the mail of {queue!r} has letters that cannot be read")
        sent: list[_Stored] = []
        rows: list[tuple[str, str]] = []
        await self._creation.register({body.queue for _, body in readable})
        for (letter, body), answer in zip(readable, await self._create(readable), strict=True):
            if isinstance(answer, BrokerError):
                error = answer
                continue
            if answer not in {CREATED, NOT_CREATED}:
                log_refusal(body.queue, body.id, answer)
            sent.append(letter)
            rows.append((body.queue, letter.id))
        if sent:
            call = scripts.delete_mail(
                [letter.id for letter in sent],
                mail=keys.mail(queue),
                mail_bodies=keys.mail_bodies(queue),
            )
            await pipeline.run(self._driver, call)
            await self._receipts.expire(rows, ttl_s=SENT_RECEIPT_TTL_S)
        return sent, error

    async def _create(self, letters: Sequence[tuple[_Stored, MailBody]]) -> list[int | BrokerError]:
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


def _answer(reply: object) -> int | BrokerError:
    if isinstance(reply, bytes):
        return map_error(ResponseError(reply.decode(errors="replace")))
    return cast("int | BrokerError", reply)


def _row(letter: _Stored, body: MailBody) -> EachValues:
    """Return the values for the script `create`, with a receipt."""
    receipt = "receipt", keys.receipt(body.queue, letter.id), RECEIPT_TTL_S
    return body.id, body.message, body.lock, body.ttl_s, body.at_s, body.group, receipt


def _read_letters(fields: Sequence[bytes]) -> list[_Stored]:
    """Return the letters in a script's reply: id and body of each."""
    found: list[_Stored] = []
    for letter_id, stored in zip(fields[::2], fields[1::2], strict=True):
        posted_s, _, packed = stored.partition(b":")
        try:
            body = _decode(packed)
        except (msgspec.DecodeError, UnicodeDecodeError):  # a later version has written it
            body = None
        since = int(posted_s) if posted_s.isdigit() else 0
        found.append(_Stored(decode_name(letter_id), since, body))
    return found


def _letter(stored: _Stored) -> MailInfo:
    body = stored.body
    posted_at = instant(stored.posted_s)
    if body is None:
        return MailInfo(id=stored.id, to_queue="", task_id="", type="", posted_at=posted_at)
    message, _ = read_message(body.queue, body.id.encode(), unblob(body.message))
    return MailInfo(
        id=stored.id, to_queue=body.queue, task_id=body.id, type=message.type, posted_at=posted_at
    )
