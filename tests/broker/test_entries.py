"""Every broker keeps what entries enqueue, and which of them are paused."""

import math
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from pyasynq.broker import Broker
from pyasynq.broker.records import read_entry_task, write_entry_task
from pyasynq.broker.redis import shared_keys
from pyasynq.broker.sqlite.tasks import MICROS
from pyasynq.core.entry_task import EntryTask
from pyasynq.core.options import Options
from pyasynq.core.policy import UNKEPT_S
from tests.support.waiting import Lapse

pytestmark = pytest.mark.needs("entries")

LONG_S = 10 * UNKEPT_S
SHORT_S = 100

OPTIONS = Options(
    max_retry=3,
    timeout=timedelta(minutes=1.5),
    deadline=datetime(2040, 1, 2, 3, 4, 5, tzinfo=UTC),
    unique=timedelta(hours=100),
    process_in=timedelta(hours=36),
    group="g",
    task_id="x",
)


def a_task(
    entry_id: str = "e", *, payload: bytes | None = b"\x00p", ttl_s: int = LONG_S
) -> EntryTask:
    return EntryTask(
        entry_id=entry_id,
        queue="q",
        type="t",
        payload=payload,
        headers={"a": "ä"},
        options=OPTIONS,
        ttl_s=ttl_s,
    )


async def seconds_left(broker: Broker, entry_id: str = "e") -> float:
    """Return how long the pause of an entry, or its resumption, is remembered from now on."""
    inside: Any = broker
    if broker.name == "SQLite":
        sql = "SELECT ends FROM pyasynq_pause WHERE entry = ?"
        (ends,) = await inside._store.read(lambda tx: tx.row(sql, entry_id))
        return ends / MICROS - time.time()
    value = await inside._driver.hget(shared_keys.PAUSES, entry_id)
    return int(value.rpartition(b":")[2]) - time.time()


# -- what entries enqueue --------------------------------------------------------------------------


async def test_an_entry_that_nobody_keeps_is_not_known(broker: Broker) -> None:
    assert await broker.entries.task("e") is None


@pytest.mark.parametrize("payload", [b"\x00p", b"", None])
async def test_what_is_kept_is_returned(broker: Broker, payload: bytes | None) -> None:
    await broker.entries.keep([a_task(payload=payload)])
    assert await broker.entries.task("e") == a_task(payload=payload)


async def test_what_was_kept_last_is_returned(broker: Broker) -> None:
    await broker.entries.keep([a_task(payload=b"old")])
    await broker.entries.keep([a_task(payload=b"new")])
    assert await broker.entries.task("e") == a_task(payload=b"new")


async def test_hundreds_of_entries_are_kept(broker: Broker) -> None:
    await broker.entries.keep([a_task(str(n)) for n in range(300)])
    assert await broker.entries.task("0") == a_task("0")
    assert await broker.entries.task("299") == a_task("299")


async def test_large_entries_are_kept(broker: Broker) -> None:
    large = bytes(700_000)
    await broker.entries.keep([a_task(str(n), payload=large) for n in range(4)])
    assert await broker.entries.task("3") == a_task("3", payload=large)


async def test_nothing_to_keep_changes_nothing(broker: Broker) -> None:
    await broker.entries.keep([])
    assert await broker.entries.pauses() == {}


def test_a_record_that_cannot_be_decoded_is_none() -> None:
    record = write_entry_task(a_task())
    assert read_entry_task(record) == a_task()
    assert read_entry_task(record[:-1]) is None
    assert read_entry_task(b"") is None


def test_what_a_later_version_adds_to_a_record_is_ignored() -> None:
    fields = msgspec.msgpack.decode(write_entry_task(a_task()))
    record = msgspec.msgpack.encode(
        {**fields, "new": 1, "options": {**fields["options"], "new": 1}}
    )
    assert read_entry_task(record) == a_task()


# -- pauses ----------------------------------------------------------------------------------------


async def test_entries_are_not_paused_at_first(broker: Broker) -> None:
    assert await broker.entries.pauses() == {}


async def test_a_paused_entry_is_paused_until_it_is_resumed(broker: Broker) -> None:
    assert await broker.entries.pause("e", ttl_s=LONG_S)
    assert await broker.entries.pauses() == {"e": math.inf}


async def test_entries_are_paused_one_by_one(broker: Broker) -> None:
    await broker.entries.pause("e", ttl_s=LONG_S)
    await broker.entries.pause("ä", ttl_s=LONG_S)
    await broker.entries.resume("e")
    pauses = await broker.entries.pauses()
    assert pauses.keys() == {"e", "ä"}
    assert [entry_id for entry_id, until_s in pauses.items() if until_s == math.inf] == ["ä"]


async def test_a_paused_entry_cannot_be_paused(broker: Broker) -> None:
    await broker.entries.pause("e", ttl_s=LONG_S)
    assert not await broker.entries.pause("e", ttl_s=LONG_S)


async def test_it_is_remembered_when_an_entry_was_resumed(broker: Broker, lapse: Lapse) -> None:
    await broker.entries.pause("e", ttl_s=LONG_S)
    assert await broker.entries.resume("e")
    pauses = await broker.entries.pauses()
    assert pauses["e"] in lapse
    assert pauses["e"] == int(pauses["e"]) <= time.time()
    assert await seconds_left(broker) == pytest.approx(LONG_S, abs=60)


async def test_an_entry_that_was_not_paused_cannot_be_resumed(broker: Broker) -> None:
    await broker.entries.keep([a_task()])
    assert not await broker.entries.resume("e")


async def test_a_resumed_entry_cannot_be_resumed(broker: Broker) -> None:
    await broker.entries.pause("e", ttl_s=LONG_S)
    await broker.entries.resume("e")
    assert not await broker.entries.resume("e")


async def test_a_resumed_entry_can_be_paused_again(broker: Broker) -> None:
    await broker.entries.pause("e", ttl_s=LONG_S)
    await broker.entries.resume("e")
    assert await broker.entries.pause("e", ttl_s=LONG_S)
    assert await broker.entries.pauses() == {"e": math.inf}


# -- how long pauses are remembered ----------------------------------------------------------------


async def test_a_pause_that_is_over_is_none(broker: Broker) -> None:
    await broker.entries.pause("e", ttl_s=0)
    assert await broker.entries.pauses() == {}
    assert not await broker.entries.resume("e")
    assert await broker.entries.pause("e", ttl_s=LONG_S)


async def test_the_pause_of_a_kept_entry_lasts_longer(broker: Broker) -> None:
    await broker.entries.pause("e", ttl_s=SHORT_S)
    await broker.entries.pause("other", ttl_s=SHORT_S)
    await broker.entries.keep([a_task()])
    assert await seconds_left(broker) == pytest.approx(LONG_S, abs=60)
    assert await seconds_left(broker, "other") <= SHORT_S
    assert await broker.entries.pauses() == {"e": math.inf, "other": math.inf}


async def test_the_resumption_of_a_kept_entry_is_remembered_longer(broker: Broker) -> None:
    await broker.entries.pause("e", ttl_s=SHORT_S)
    await broker.entries.resume("e")
    before = await broker.entries.pauses()
    await broker.entries.keep([a_task()])
    assert await broker.entries.pauses() == before
    assert await seconds_left(broker) == pytest.approx(LONG_S, abs=60)


async def test_keeping_an_entry_never_shortens_its_pause(broker: Broker) -> None:
    await broker.entries.pause("e", ttl_s=LONG_S)
    await broker.entries.keep([a_task(ttl_s=SHORT_S)])
    assert await seconds_left(broker) == pytest.approx(LONG_S, abs=60)


async def test_keeping_an_entry_brings_no_pause_back(broker: Broker) -> None:
    await broker.entries.pause("e", ttl_s=0)
    await broker.entries.keep([a_task()])
    assert await broker.entries.pauses() == {}


async def test_a_forgotten_entry_is_known_for_another_day(broker: Broker) -> None:
    await broker.entries.keep([a_task()])
    await broker.entries.pause("e", ttl_s=LONG_S)
    await broker.entries.forget("e")
    assert await broker.entries.task("e") == a_task()
    assert await broker.entries.pauses() == {"e": math.inf}
    assert await seconds_left(broker) <= UNKEPT_S


async def test_an_entry_that_is_kept_after_it_was_forgotten_stays_paused(broker: Broker) -> None:
    await broker.entries.keep([a_task()])
    await broker.entries.pause("e", ttl_s=LONG_S)
    await broker.entries.forget("e")
    await broker.entries.keep([a_task()])
    assert await seconds_left(broker) == pytest.approx(LONG_S, abs=60)


async def test_an_unknown_entry_can_be_forgotten(broker: Broker) -> None:
    await broker.entries.forget("e")
    assert await broker.entries.pauses() == {}


async def test_forgetting_an_entry_never_prolongs_its_pause(broker: Broker) -> None:
    await broker.entries.pause("e", ttl_s=SHORT_S)
    await broker.entries.forget("e")
    assert await seconds_left(broker) <= SHORT_S
