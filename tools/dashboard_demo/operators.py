"""What the operators of the shop do, so that the audit tells something."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeVar

import pyasynq
from pyasynq.broker import open_broker
from pyasynq.core.flow_info import FlowInfo
from pyasynq.core.info import TaskInfo
from pyasynq.operations.audit import Audit
from pyasynq.operations.permissions import Permission, Principal, Role

MEI: Final = Principal(name="mei", role=Role.OPERATOR)
OMAR: Final = Principal(name="omar", role=Role.OPERATOR)
ROUND_S: Final = 20
MOST: Final = 4
"""Flows or tasks that one of them changes at a time."""

T = TypeVar("T", FlowInfo, TaskInfo)


def awaits_approval(flow: FlowInfo) -> bool:
    """Return whether *flow* waits for a person."""
    return any(it.name == "approval" and it.state == "running" for it in flow.steps)


def name_of(one: FlowInfo | TaskInfo) -> str:
    """Return the name of a flow or task in the audit."""
    return f"{one.queue}/{one.id}"


class Operators:
    """Mei approves orders; Omar runs again what has failed."""

    def __init__(self, inspector: pyasynq.Inspector, audit: Audit) -> None:
        """Look and act with *inspector*, and write to *audit*."""
        self._inspector = inspector
        self._audit = audit

    async def operate(self) -> None:
        """Act now and then, until cancelled."""
        while True:
            for act in (self._approve, self._retry_flows, self._stop_billing, self._run_archived):
                await asyncio.sleep(ROUND_S * random.uniform(0.5, 1.5))
                await act()

    async def _approve(self) -> None:
        """Signal the gates of some orders."""
        flows = [it for it in await self._inspector.flows("default") if awaits_approval(it)]

        async def signal(flow: FlowInfo) -> None:
            await self._inspector.signal(flow.queue, flow.id, "approval", {"by": MEI.name})

        await self._do(MEI, Permission.FLOW_SIGNAL, flows[:MOST], signal)

    async def _retry_flows(self) -> None:
        """Retry some orders that have failed."""
        flows = await self._inspector.flows("default", "ended")
        failed = [flow for flow in flows if flow.state == "failed"]

        async def retry(flow: FlowInfo) -> None:
            await self._inspector.retry_flow(flow.queue, flow.id)

        await self._do(OMAR, Permission.FLOW_RETRY, failed[:MOST], retry)

    async def _stop_billing(self) -> None:
        """Pause a queue for some seconds, while the bank is away."""
        inspector, act = self._inspector, self._audit.act_on_each
        await act(OMAR, Permission.QUEUE_PAUSE, ["billing"], inspector.pause, str)
        await asyncio.sleep(ROUND_S / 4)
        await act(OMAR, Permission.QUEUE_RESUME, ["billing"], inspector.unpause, str)

    async def _run_archived(self) -> None:
        """Run some archived tasks again."""
        tasks = await self._inspector.list_tasks("default", pyasynq.TaskState.ARCHIVED, size=MOST)

        async def run(task: TaskInfo) -> None:
            await self._inspector.run_task(task.queue, task.id)

        await self._do(OMAR, Permission.TASK_RUN, tasks, run)

    async def _do(
        self,
        who: Principal,
        permission: Permission,
        items: Sequence[T],
        act: Callable[[T], Awaitable[None]],
    ) -> None:
        if items:
            await self._audit.act_on_each(who, permission, items, act, name_of)


async def operate(url: str) -> None:
    """Have the operators act, until cancelled."""
    broker = open_broker(url)
    try:
        async with pyasynq.Inspector(broker) as inspector:
            await Operators(inspector, Audit(broker)).operate()
    finally:
        await broker.aclose()
