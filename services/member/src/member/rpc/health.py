"""The health service of gRPC, which follows how the process is."""

import asyncio
from collections.abc import Sequence

from grpc_health.v1 import health_pb2
from grpc_health.v1._async import HealthServicer

from member.health import LASTS_S, Health

_Status = health_pb2.HealthCheckResponse


async def follow(health: Health, servicer: HealthServicer, names: Sequence[str]) -> None:
    """Tell *servicer* for ever how *names* are; to drain is the server's to tell."""
    while True:
        await tell(health, servicer, names)
        await asyncio.sleep(LASTS_S)


async def tell(health: Health, servicer: HealthServicer, names: Sequence[str]) -> None:
    """Tell *servicer* how *names* are; that other parts are still starting does not matter."""
    able = (await health.report()).able
    for name in names:
        await servicer.set(name, _Status.SERVING if able else _Status.NOT_SERVING)
