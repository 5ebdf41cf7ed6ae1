"""Find keys in Redis that do not belong to asynq."""

import re
from collections.abc import Generator, Iterable
from contextlib import closing, contextmanager
from typing import cast

from pyasynq.broker.redis import key_kinds
from tests.support.servers import RedisServer

Kinds = Iterable[tuple[re.Pattern[str], str]]


@contextmanager
def audit_keys(server: RedisServer) -> Generator[None]:
    """Empty *server*; at the end refuse keys that asynq does not know."""
    with closing(server.client()) as client:
        client.flushall()
    yield
    assert unknown_keys(server, key_kinds.KINDS) == {}


def unknown_keys(server: RedisServer, kinds: Kinds) -> dict[str, str]:
    """Return name and type of each key whose name and type match none of *kinds*."""
    return {
        key: found
        for key, found in _keys(server).items()
        if not any(found == kind and form.fullmatch(key) for form, kind in kinds)
    }


# One call, not one for each key: this runs after thousands of tests.
_TYPES = """
local types = {}
for _, key in ipairs(redis.call("KEYS", "*")) do
  types[#types + 1] = {key, redis.call("TYPE", key).ok}
end
return types
"""


def _keys(server: RedisServer) -> dict[str, str]:
    with closing(server.client()) as client:
        types = cast("Iterable[tuple[bytes, bytes]]", client.eval(_TYPES, 0))
    return {name.decode(errors="backslashreplace"): kind.decode() for name, kind in types}
