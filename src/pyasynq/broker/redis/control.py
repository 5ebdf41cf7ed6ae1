"""What operators want of servers: one hash, and a channel on which they hear of changes."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Final, cast

import msgspec

from pyasynq.broker.records import decode_name
from pyasynq.broker.redis import pipeline, shared_keys
from pyasynq.broker.redis.connection import Driver, execute
from pyasynq.broker.redis.lua import control as scripts
from pyasynq.core.wanted_state import CHECKS, Setting

NAMES: Final = tuple(CHECKS)


class _Stored(msgspec.Struct, frozen=True, kw_only=True):
    """What the hash has of a setting, after the time."""

    value: msgspec.Raw
    for_server: bool


class RedisControl:
    """The port for the control of servers."""

    def __init__(self, driver: Driver) -> None:
        """Send calls over *driver*."""
        self._driver = driver

    async def write(self, target: str, values: Mapping[str, str], *, for_server: bool) -> None:
        """Keep *values*, JSON by setting, for *target*, then notify all servers."""
        each: list[str] = []
        for name, value in values.items():
            stored = _Stored(value=msgspec.Raw(value.encode()), for_server=for_server)
            each += (_field(name, target), msgspec.json.encode(stored).decode())
        await pipeline.run(self._driver, scripts.write_settings(each, control=shared_keys.CONTROL))
        await self._notify()

    async def read(self, targets: Sequence[str] | None = None) -> list[Setting]:
        """Return the settings of *targets*, in their order; None for all targets."""
        if targets is None:
            answer = await execute(self._driver, "HGETALL", shared_keys.CONTROL)
            stored = cast("Mapping[bytes, bytes]", answer)
            return list(_settings({decode_name(field): value for field, value in stored.items()}))
        fields = [_field(name, target) for target, name in product(targets, NAMES)]
        values = await execute(self._driver, "HMGET", shared_keys.CONTROL, *fields)
        found = zip(fields, cast("list[bytes | None]", values), strict=True)
        return list(_settings({field: value for field, value in found if value is not None}))

    async def clear(self, target: str) -> None:
        """Forget all settings of *target*, then notify all servers."""
        fields = [_field(name, target) for name in NAMES]
        await execute(self._driver, "HDEL", shared_keys.CONTROL, *fields)
        await self._notify()

    async def _notify(self) -> None:
        await execute(self._driver, "PUBLISH", shared_keys.CONTROL_CHANNEL, "")


def _field(name: str, target: str) -> str:
    return f"{name}:{target}"


def _settings(found: Mapping[str, bytes]) -> Iterator[Setting]:
    for field, content in found.items():
        name, _, target = field.partition(":")
        at_us, _, text = content.partition(b" ")
        try:
            stored = msgspec.json.decode(text, type=_Stored)
            setting = Setting(
                target=target,
                name=name,
                value=bytes(stored.value).decode(),
                at_us=int(at_us),
                for_server=stored.for_server,
            )
        except (msgspec.DecodeError, ValueError):
            continue
        if name in CHECKS:
            yield setting
