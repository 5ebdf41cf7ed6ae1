"""Keys are the same as asynq's, and each form has its Redis type."""

import pytest
from redis.asyncio import Redis

from pyasynq.broker.redis import key_kinds, keys, shared_keys
from pyasynq.core.message import unique_key
from pyasynq.core.states import TaskState

SPELLED = {
    "asynq:{q}:": keys.prefix("q"),
    "asynq:{q}:t:1": keys.task("q", "1"),
    "asynq:{q}:t:": keys.task("q"),
    "asynq:{q}:pending": keys.container("q", TaskState.PENDING),
    "asynq:{q}:active": keys.container("q", TaskState.ACTIVE),
    "asynq:{q}:scheduled": keys.container("q", TaskState.SCHEDULED),
    "asynq:{q}:retry": keys.container("q", TaskState.RETRY),
    "asynq:{q}:archived": keys.container("q", TaskState.ARCHIVED),
    "asynq:{q}:completed": keys.container("q", TaskState.COMPLETED),
    "asynq:{q}:lease": keys.lease("q"),
    "asynq:{q}:paused": keys.paused("q"),
    "asynq:{q}:processed": keys.processed("q"),
    "asynq:{q}:processed:2026-01-01": keys.processed("q", "2026-01-01"),
    "asynq:{q}:failed": keys.failed("q"),
    "asynq:{q}:failed:2026-01-01": keys.failed("q", "2026-01-01"),
    "asynq:{q}:unique:t:0cc1": unique_key("q", "t", "0cc1"),
    "asynq:{q}:unique:t:": unique_key("q", "t", ""),
    "asynq:{q}:relayed:1": keys.receipt("q", "1"),
    "asynq:{q}:relayed:": keys.receipt("q"),
    "asynq:{q}:groups": keys.groups("q"),
    "asynq:{q}:g:G": keys.group("q", "G"),
    "asynq:{q}:g:": keys.group("q"),
    "asynq:{q}:g:G:SET": keys.aggregation_set("q", "G", "SET"),
    "asynq:{q}:aggregation_sets": keys.aggregation_sets("q"),
    "asynq:{q}:group_search": keys.group_search("q"),
    "asynq:servers:{h:1:s}": shared_keys.server("h", 1, "s"),
    "asynq:workers:{h:1:s}": shared_keys.workers("h", 1, "s"),
    "asynq:schedulers:{h:1:s}": shared_keys.scheduler("h:1:s"),
    "asynq:schedulers:{h:1:s}:coming": shared_keys.next_entries("h:1:s"),
    "asynq:scheduler_history:entry": shared_keys.history("entry"),
    "asynq:{q}:scheduler_last:entry": keys.last_tick("q", "entry"),
    "asynq:schedulers": shared_keys.SCHEDULERS,
    "asynq:queues": shared_keys.QUEUES,
    "asynq:servers": shared_keys.SERVERS,
    "asynq:workers": shared_keys.WORKERS,
    "asynq:cancel": shared_keys.CANCEL,
}

KINDS = {
    "asynq:{q}:pending": "list",
    "asynq:{q}:active": "list",
    "asynq:{q}:lease": "zset",
    "asynq:{q}:scheduled": "zset",
    "asynq:{q}:retry": "zset",
    "asynq:{q}:archived": "zset",
    "asynq:{q}:completed": "zset",
    "asynq:{q}:t:1": "hash",
    "asynq:{q}:unique:t:": "string",
    "asynq:{q}:relayed:1": "string",
    "asynq:{q}:paused": "string",
    "asynq:{q}:processed": "string",
    "asynq:{q}:processed:2026-01-01": "string",
    "asynq:{q}:failed:2026-01-01": "string",
    "asynq:{q}:groups": "set",
    "asynq:{q}:g:G": "zset",
    "asynq:{q}:g:G:SET": "zset",
    "asynq:{q}:aggregation_sets": "zset",
    "asynq:{q}:group_search": "hash",
    "asynq:{a b}:pending": "list",
    "asynq:{a\nb}:pending": "list",
    "asynq:queues": "set",
    "asynq:servers": "zset",
    "asynq:workers": "zset",
    "asynq:schedulers": "zset",
    "asynq:servers:{h:1:s}": "string",
    "asynq:workers:{h:1:s}": "hash",
    "asynq:schedulers:{h:1:s}": "list",
    "asynq:schedulers:{h:1:s}:coming": "list",
    "asynq:scheduler_history:entry": "zset",
    "asynq:{q}:scheduler_last:entry": "string",
}


@pytest.mark.parametrize(("spelled", "made"), SPELLED.items())
def test_a_key_is_spelled_as_the_protocol_says(spelled: str, made: str) -> None:
    assert made == spelled


@pytest.mark.parametrize(("key", "kind"), KINDS.items())
def test_a_key_has_one_kind(key: str, kind: str) -> None:
    assert {found for form, found in key_kinds.KINDS if form.fullmatch(key)} == {kind}


@pytest.mark.parametrize(
    "key",
    ["asynq:{q}:pendin", "asynq:{q}:t:", "asynq:q:pending", "asynq:{q}:processed:today", "other"],
)
def test_a_key_that_is_not_of_asynq_has_no_kind(key: str) -> None:
    assert [kind for form, kind in key_kinds.KINDS if form.fullmatch(key)] == []


def test_all_keys_of_a_queue_share_its_slot() -> None:
    of_the_queue = {made for made in SPELLED.values() if ":{q}:" in made}
    assert {made[: len(keys.prefix("q"))] for made in of_the_queue} == {keys.prefix("q")}


@pytest.mark.parametrize("start", ["*", "[^a]", "a?", "\\", "^", "asynq:{q}:"])
async def test_a_pattern_fits_what_begins_with_its_text_and_nothing_else(
    start: str, r: Redis
) -> None:
    await r.mset({f"{start}x": "", "bx": "", "abx": ""})
    found = await r.keys(keys.pattern(start))
    await r.flushall()
    assert found == [f"{start}x".encode()]
