"""The port for flows."""

import functools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Final, TypeAlias, cast

import msgspec
from redis.exceptions import ResponseError

from pyasynq.broker.ports.flows import FlowTimer, Neglected, unreadable
from pyasynq.broker.records import decode_name
from pyasynq.broker.redis import keys, pipeline
from pyasynq.broker.redis.connection import CommandArg, Driver, execute, map_error
from pyasynq.broker.redis.creation import RedisCreation
from pyasynq.broker.redis.letters import body_of, plan_of, report_values
from pyasynq.broker.redis.lua import flows as scripts
from pyasynq.broker.redis.mail import RedisMail
from pyasynq.broker.redis.reports import flow_values, receive_call
from pyasynq.broker.redis.scripts import Each, blob
from pyasynq.core.compose import Plan
from pyasynq.core.errors import BrokerError
from pyasynq.core.flow import FlowState
from pyasynq.core.flow_errors import DuplicateFlowError
from pyasynq.core.flow_record import FLOW, FlowChange, FlowRecord, FlowSpec, NewFlow
from pyasynq.core.report import Report, header_of

HOLD_S: Final = 10
"""Seconds for which nobody else gets a timer that is over."""

_encode: Final = msgspec.msgpack.Encoder().encode
_decode_spec: Final = msgspec.msgpack.Decoder(FlowSpec).decode

_decode_state: Final = functools.partial(msgspec.convert, type=FlowState)

_Fields: TypeAlias = list[bytes | None]
_Stored: TypeAlias = tuple[bytes, _Fields, list[bytes | int], list[int]]


class RedisFlows:
    """Flows: each is one hash in the slot of its home."""

    def __init__(self, driver: Driver, creation: RedisCreation, mail: RedisMail) -> None:
        """Send calls over *driver*; *creation* registers queues, *mail* delivers letters."""
        self._driver = driver
        self._creation = creation
        self._mail = mail

    async def open(self, flow: NewFlow) -> bool:
        """Store *flow* and start its first steps, in one step; False if it is stored already."""
        queue, spec = flow.queue, flow.spec
        await self._creation.register({queue, *(node.queue for node in spec.nodes)})
        call = scripts.open_flow(
            list(_fields_of(flow)),
            **_keys(queue),
            id=flow.id,
            starts=_encode(flow.moves.starts),
            name=spec.name,
            unique_s=flow.unique_s,
            timeout_s=spec.timeout_s,
        )
        posted = await pipeline.run(self._driver, call)
        if isinstance(posted, bytes):
            raise DuplicateFlowError(queue, spec.name, decode_name(posted))
        await self._deliver(queue, posted)
        return posted != -1

    async def read(self, queue: str, flow_id: str) -> FlowRecord | None:
        """Return a flow; None if it does not exist, or is no longer kept."""
        stored = next(iter(await self._read(queue, [flow_id])), None)
        if stored is None:
            return None
        record = _record(queue, stored)
        if record is None:
            raise unreadable("Redis", queue, flow_id)
        return record

    async def list(
        self, queue: str, *, running: bool, start: int, count: int
    ) -> Sequence[FlowRecord]:
        """Return up to *count* flows that run, or that have ended; see `FlowPort.list`."""
        key = keys.flows(queue) if running else keys.ended_flows(queue)
        found = await execute(self._driver, "ZREVRANGE", key, start, start + count - 1)
        ids = [decode_name(flow_id) for flow_id in cast("Sequence[bytes]", found)]
        if not ids:
            return []
        stored = await self._read(queue, ids)
        return [record for one in stored if (record := _record(queue, one)) is not None]

    async def outputs(
        self, queue: str, flow_id: str, nodes: Sequence[int]
    ) -> Sequence[bytes | None] | None:
        """Return what steps have reported; None if there is no such flow."""
        names = [f"o:{number}" for number in nodes]
        found = await execute(self._driver, "HMGET", keys.flow(queue, flow_id), "marks", *names)
        marks, *outputs = cast("_Fields", found)
        return None if marks is None else outputs

    async def plans(self, queue: str, flow_id: str, nodes: Sequence[int]) -> Sequence[Plan | None]:
        """Return the plans for the tasks of steps; None for gates, and if there is no such flow."""
        if not nodes:
            return []
        names = [f"b:{number}" for number in nodes]
        found = await execute(self._driver, "HMGET", keys.flow(queue, flow_id), *names)
        bodies = cast("_Fields", found)
        return [None if body is None else plan_of(body) for body in bodies]

    async def change(self, record: FlowRecord, change: FlowChange) -> bool:
        """Change the flow of *record*; False if it has changed since that was read."""
        call = scripts.change_flow(
            list(_changed_fields(change)),
            **_keys(record.queue),
            id=record.id,
            version=record.version,
            state=change.state,
            marks=change.moves.marks,
            starts=_encode(change.moves.starts),
        )
        posted = await pipeline.run(self._driver, call)
        await self._deliver(record.queue, posted)
        return posted != -1

    async def report(self, reports: Sequence[Report]) -> None:
        """Take reports to their records, as `WorkPort.settle` does."""
        batches = pipeline.batches(report.place.queue for report in reports)
        for indexes in batches:
            some = [reports[index] for index in indexes]
            queue = some[0].place.queue
            call = receive_call(queue, [report_values(report) for report in some])
            posted, *answers = cast("list[object]", await pipeline.run(self._driver, call))
            await self._deliver(queue, posted)
            for answer in answers:
                if isinstance(answer, bytes):
                    raise map_error(ResponseError(answer.decode(errors="replace")))

    async def look_after(self, queue: str, *, idle_s: int, count: int) -> Neglected:
        """Return what needs care in *queue*; nobody else gets the same for some seconds."""
        call = scripts.look_after_flows(
            flows=keys.flows(queue),
            flows_ended=keys.ended_flows(queue),
            flow_timers=keys.flow_timers(queue),
            flow_prefix=keys.flow(queue),
            idle_s=idle_s,
            hold_s=HOLD_S,
            limit=count,
        )
        reply = await pipeline.run(self._driver, call)
        timers, idle = cast("tuple[list[bytes], list[bytes]]", reply)
        return Neglected(
            timers=[_timer(decode_name(timer)) for timer in timers],
            idle=[decode_name(flow_id) for flow_id in idle],
        )

    async def _read(self, queue: str, ids: Sequence[str]) -> Sequence[_Stored]:
        call = scripts.read_flows(ids, flows=keys.flows(queue), flow_prefix=keys.flow(queue))
        return cast("list[_Stored]", await pipeline.run(self._driver, call))

    async def _deliver(self, queue: str, posted: object) -> None:
        """Deliver at once what a script has posted; if that fails, a courier does it later."""
        if isinstance(posted, int) and posted > 0:
            with suppress(BrokerError):
                await self._mail.deliver(queue)


def _keys(queue: str) -> dict[str, CommandArg]:
    return flow_values(queue) | {"task_prefix": keys.task(queue)}


def _fields_of(flow: NewFlow) -> Iterator[Each]:
    """Yield the fields of a new record, each followed by its value."""
    spec = flow.spec
    yield from ("spec", blob(_encode(spec)), "state", "running", "marks", flow.moves.marks)
    yield from ("version", "0", "keep_s", str(spec.keep_s))
    yield from ("keep_failed_s", str(spec.keep_failed_s))
    if spec.parent is not None:
        yield from ("parent", header_of(spec.parent))
    for number, (node, plan) in enumerate(zip(spec.nodes, flow.plans, strict=True)):
        wait_s = node.timeout_s if node.is_gate else node.delay_s
        values = (node.when, node.after, node.then, node.is_gate, node.queue == flow.queue, wait_s)
        of_map = (node.batch_id, node.queue) if node.is_map else ()
        yield from (f"n:{number}", blob(_encode((*values, *of_map))))
        if plan is not None:
            yield from (f"b:{number}", blob(body_of(plan)))


def _changed_fields(change: FlowChange) -> Iterator[Each]:
    """Yield the fields of a record to set, each followed by its value; empty to delete it."""
    if change.reason:
        yield from ("reason", change.reason)
    for number, output in change.outputs.items():
        yield from (f"o:{number}", blob(output))
    for number, error in change.errors.items():
        yield from (f"e:{number}", error)
    for number, plan in change.plans.items():
        yield from (f"b:{number}", blob(body_of(plan)))
    for number, times in change.times.items():
        yield from (f"t:{number}", str(times), "retried", "1")


def _record(queue: str, stored: _Stored) -> FlowRecord | None:
    """Return a flow as it is stored; None if it cannot be read."""
    try:
        record = _decode_record(queue, stored)
    except (ValueError, msgspec.DecodeError):
        return None
    return record if len(record.marks) == len(record.spec.nodes) else None


def _decode_record(queue: str, stored: _Stored) -> FlowRecord:
    flow_id, fields, errors, times = stored
    spec, state, marks, version, created_s, ended_s, reason, own = (it or b"" for it in fields)
    own_times = {FLOW: int(own)} if own else {}
    return FlowRecord(
        queue=queue,
        id=decode_name(flow_id),
        spec=_decode_spec(spec),
        state=_decode_state(state.decode()),
        marks=marks.decode(),
        version=int(version or 0),
        created_s=int(created_s or 0),
        ended_s=int(ended_s or 0),
        reason=reason.decode(errors="replace"),
        errors=_errors(errors),
        times=dict(zip(times[::2], times[1::2], strict=True)) | own_times,
    )


def _errors(pairs: Sequence[bytes | int]) -> Mapping[int, str]:
    texts = cast("Sequence[bytes]", pairs[1::2])
    numbers = cast("Sequence[int]", pairs[::2])
    return {n: text.decode(errors="replace") for n, text in zip(numbers, texts, strict=True)}


def _timer(text: str) -> FlowTimer:
    number, _, flow_id = text.partition(":")
    return FlowTimer(id=flow_id, node=int(number))
