"""Routes about servers: what they run, and what operators want of them."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Final, TypeAlias

import msgspec

from pyasynq.core.info import ServerInfo, WorkerInfo
from pyasynq.core.json_form import fields
from pyasynq.dashboard.problems import Problem
from pyasynq.dashboard.routes import Call, Handler, Nothing, acts_on, reads
from pyasynq.inspector import Inspector
from pyasynq.operations.payloads import preview
from pyasynq.operations.permissions import Permission

Control: TypeAlias = Callable[[Inspector, str], Awaitable[list[ServerInfo]]]
"""Wants something else of the servers that a target names, and returns them."""


class TargetInput(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Some servers."""

    target: Annotated[
        str, msgspec.Meta(description="Id of a server, name of a deployment, or * for all servers.")
    ]


class SetInput(TargetInput, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Some servers, and what is to change; the other setting stays."""

    concurrency: Annotated[
        int | None, msgspec.Meta(description="Tasks that each runs at once.")
    ] = None
    queues: Annotated[
        dict[str, int] | None, msgspec.Meta(description="Their queues, with weights.")
    ] = None


async def list_servers(call: Call, _given: Nothing) -> object:
    """Return the servers with their running tasks, and what operators want of them."""
    services = call.services
    has_control = services.broker.supports("control")
    return {
        "items": [_server(call, it) for it in await services.inspector.servers()],
        "controls": await services.inspector.controls() if has_control else [],
    }


def _server(call: Call, server: ServerInfo) -> dict[str, object]:
    return {
        **fields(server),
        "active_workers": [_worker(call, worker) for worker in server.active_workers],
    }


def _worker(call: Call, worker: WorkerInfo) -> dict[str, object]:
    members = fields(worker)
    payload = call.services.payloads.visible(worker.task_type, worker.task_payload)
    del members["task_payload"]
    return {**members, "payload_preview": preview(payload)}


# -- actions ---------------------------------------------------------------------------------------


def _control(permission: Permission, control: Control) -> Handler:
    """Return a handler that calls *control*."""

    async def handle(call: Call, given: TargetInput) -> object:
        servers = await control(call.services.inspector, given.target)
        return await _write(call, permission, given.target, servers)

    return handle


async def change(call: Call, given: SetInput) -> object:
    """Have servers run more or fewer tasks at once, or serve other queues.

    Raises:
        Problem: If nothing is to change.
        OptionError: If a value is not allowed.
    """
    wanted = {
        name: value
        for name, value in (("concurrency", given.concurrency), ("queues", given.queues))
        if value is not None
    }
    if not wanted:
        raise Problem(400, "invalid", "nothing is to change: give concurrency or queues")
    servers = await call.services.inspector.control(
        given.target, concurrency=given.concurrency, queues=given.queues
    )
    detail = ", ".join(f"{name} {msgspec.json.encode(it).decode()}" for name, it in wanted.items())
    return await _write(call, Permission.SERVER_SET, given.target, servers, detail)


async def _write(
    call: Call, permission: Permission, target: str, servers: list[ServerInfo], detail: str = ""
) -> object:
    """Write to the audit what the *servers* are to do; return their ids."""
    named = [f"{server.host}:{server.pid}" for server in servers if server.id == target]
    detail = ", ".join(filter(None, [*named, detail]))  # an id says little
    await call.services.audit.write(
        call.principal, permission, target, count=len(servers), detail=detail
    )
    return {"servers": [server.id for server in servers]}


_act: Final = acts_on("Servers", "/servers")

ROUTES: Final = (
    reads("listServers", "/servers", Nothing, list_servers, "Servers with their running tasks"),
    _act(
        Permission.SERVER_QUIET,
        TargetInput,
        _control(Permission.SERVER_QUIET, lambda it, target: it.control(target, quiet=True)),
        "Have servers take no more tasks; those that run go on",
    ),
    _act(
        Permission.SERVER_RESUME,
        TargetInput,
        _control(Permission.SERVER_RESUME, lambda it, target: it.control(target, quiet=False)),
        "Have servers take tasks again",
    ),
    _act(
        Permission.SERVER_STOP,
        TargetInput,
        _control(Permission.SERVER_STOP, lambda it, target: it.control(target, stop=True)),
        "Have servers end once their running tasks have ended",
    ),
    _act(
        Permission.SERVER_RESET,
        TargetInput,
        _control(Permission.SERVER_RESET, lambda it, target: it.control(target, reset=True)),
        "Forget what is wanted of servers: their own options hold again",
    ),
    _act(
        Permission.SERVER_SET,
        SetInput,
        change,
        "Have servers run more or fewer tasks at once, or serve other queues",
    ),
)
