"""A key that does not belong to asynq is found."""

import re
from collections.abc import Iterator

import pytest

from tests.support.key_audit import unknown_keys
from tests.support.servers import RedisServer

KINDS = ((re.compile(r"asynq:queues"), "set"), (re.compile(r"asynq:\{.+\}:t:.+"), "hash"))


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


def test_keys_of_asynq_are_known(server: RedisServer) -> None:
    server.client().sadd("asynq:queues", "q")
    server.client().hset("asynq:{q}:t:1", "msg", "m")
    assert unknown_keys(server, KINDS) == {}


def test_an_unknown_name_is_found(server: RedisServer) -> None:
    server.client().set("asynq:{q}:typo", "x")
    assert unknown_keys(server, KINDS) == {"asynq:{q}:typo": "string"}


def test_a_known_name_of_another_type_is_found(server: RedisServer) -> None:
    server.client().set("asynq:{q}:t:1", "x")
    assert unknown_keys(server, KINDS) == {"asynq:{q}:t:1": "string"}
