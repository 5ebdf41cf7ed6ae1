"""A key that asynq does not know is found out."""

import re
from collections.abc import Iterator

import pytest

from tests.support.audit import strange_keys
from tests.support.servers import RedisServer

KINDS = ((re.compile(r"asynq:queues"), "set"), (re.compile(r"asynq:\{.+\}:t:.+"), "hash"))


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


def test_keys_that_asynq_knows_are_not_strange(server: RedisServer) -> None:
    server.client().sadd("asynq:queues", "q")
    server.client().hset("asynq:{q}:t:1", "msg", "m")
    assert strange_keys(server, KINDS) == {}


def test_an_unknown_name_is_strange(server: RedisServer) -> None:
    server.client().set("asynq:{q}:typo", "x")
    assert strange_keys(server, KINDS) == {"asynq:{q}:typo": "string"}


def test_a_known_name_of_another_type_is_strange(server: RedisServer) -> None:
    server.client().set("asynq:{q}:t:1", "x")
    assert strange_keys(server, KINDS) == {"asynq:{q}:t:1": "string"}
