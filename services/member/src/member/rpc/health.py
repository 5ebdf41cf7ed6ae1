"""Keep gRPC's health service in step with the health of the process."""

import asyncio
from collections.abc import Sequence

from grpc_health.v1 import health_pb2
from grpc_health.v1._async import HealthServicer

from member.health import LASTS_S, Health

_Status = health_pb2.HealthCheckResponse


async def follow(health: Health, servicer: HealthServicer, names: Sequence[str]) -> None:
    """Update the status of *names* forever; the server itself sets it when it drains."""
    while True:
        await update(health, servicer, names)
        await asyncio.sleep(LASTS_S)


async def update(health: Health, servicer: HealthServicer, names: Sequence[str]) -> None:
    """Update the status of *names* in *servicer*; other parts may still be starting."""
    able = (await health.report()).able
    for name in names:
        await servicer.set(name, _Status.SERVING if able else _Status.NOT_SERVING)
