"""Small stories, which together call every script, for tests of what holds for all scripts."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import TypeAlias

from redis.asyncio import Redis

from pyasynq.broker import Container, GroupRules, Position, TaskCopy, Token
from pyasynq.broker.redis import RedisBroker
from pyasynq.client.flow_control import FlowControl
from pyasynq.core.entry_task import EntryTask
from pyasynq.core.info import SchedulerEvent
from pyasynq.core.options import Options
from pyasynq.core.run_stats import LENGTH
from pyasynq.core.states import Action, TaskState
from pyasynq.core.verdict import DONE
from tests.broker.redis.stored_keys import GROUPS
from tests.broker.test_counted_batches import BATCH, PLAN, a_member, end, fail, start
from tests.broker.test_following_tasks import followed
from tests.support.factories import (
    FUTURE_S,
    LEASE_S,
    PAST_S,
    STARTED,
    a_grouped,
    a_lease,
    a_message,
    a_pending,
    a_scheduled,
    a_server,
    a_staged_set,
    a_worker,
    an_entry,
    archived,
    completed,
    enqueue,
    every_verdict,
    many_pending,
    one_of_each,
    postpone,
    relay,
    settle,
    take,
    tasks_in_set,
)
from tests.support.flow_model import StepShape
from tests.support.flows import a_flow, a_map, end_step, hold_map, open_flow, record_of

Use: TypeAlias = Callable[[RedisBroker, Redis], Awaitable[None]]

FIRST: StepShape = ("succeeded", ())
SECOND: StepShape = ("succeeded", (0,))

ARCHIVED = Container(queue="q", state=TaskState.ARCHIVED)
SCHEDULED = Container(queue="q", state=TaskState.SCHEDULED)


async def run_tasks(broker: RedisBroker, _: Redis) -> None:
    await enqueue(broker, *many_pending(6), a_scheduled("later"), a_grouped("grouped"))
    leases = await take(broker, 6)
    await broker.work.extend(leases, lease_s=LEASE_S)
    await broker.work.mark_started(leases[0])
    await broker.work.write_result(leases[1], b"result")
    await broker.work.settle(every_verdict(leases[:5]))
    await broker.work.undo_dequeue("q", leases[5].owner)


async def follow_tasks(broker: RedisBroker, _: Redis) -> None:
    await enqueue(broker, *many_pending(3))
    for lease, verdict in zip(await take(broker, 3), (DONE, completed, archived), strict=True):
        ending = verdict(lease) if callable(verdict) else verdict
        here, there = a_pending(f"{lease.id} here"), a_pending(f"{lease.id} there", queue="r")
        await settle(broker, lease, followed(ending, here, there))
    await broker.mail.letters("q", 0, 9)
    await broker.mail.deliver("q")


async def run_flow(broker: RedisBroker, _: Redis) -> None:
    await hold_map(broker, node=1, queue="r", keeps_results=True)
    flow = a_flow(FIRST, SECOND, SECOND, SECOND, queues="qrrq", changes={1: a_map(queue="r")})
    await open_flow(broker, flow)
    await end_step(broker, output=b"\nnull")
    await broker.flows.list("q", running=True, start=0, count=9)
    await broker.flows.look_after("q", idle_s=-1, count=9)
    for mark in "sfs":
        await end_step(broker, mark, queue="r", output=b"\n1")
    await end_step(broker)


async def operate_flow(broker: RedisBroker, _: Redis) -> None:
    control = FlowControl(broker)
    await hold_map(broker, 2, node=1)
    flow = a_flow(FIRST, FIRST, ("succeeded", (0, 1)), changes={1: a_map()})
    await open_flow(broker, flow)
    await end_step(broker, "f")
    await end_step(broker, "f")
    await end_step(broker)
    assert (await record_of(broker)).state == "failed"
    await control.retry("q", "flow")
    await broker.mail.deliver("q")
    await control.cancel("q", "flow", "why")


async def run_batch(broker: RedisBroker, _: Redis) -> None:
    first, second, third = await start(broker, 3)
    await broker.work.reserve_members("q", "b", 2)
    await fail(broker, first)
    await end(broker, second)
    await settle(broker, third, DONE)  # without a report
    await broker.batches.repair("q", idle_s=-1, swept_s=-1)
    await broker.batches.read("q", "b")
    await broker.batches.retry("q", "b")
    for lease in await take(broker, 9):
        await end(broker, lease) if lease.id.startswith("b:") else await settle(broker, lease, DONE)


async def cancel_batches(broker: RedisBroker, _: Redis) -> None:
    await broker.batches.stage(BATCH, [a_member(number) for number in range(3)], first=0)
    await broker.batches.start(BATCH, 3, PLAN)
    await broker.batches.cancel("q", "b")
    await hold_map(broker, node=1)
    await open_flow(broker, a_flow(FIRST, SECOND, changes={1: a_map()}))
    await broker.batches.repair("q", idle_s=-1)


async def create_together(broker: RedisBroker, _: Redis) -> None:
    for number in range(2):
        await broker.batches.stage(BATCH, [a_pending("1"), a_scheduled("2")], first=0)
        if number == 0:
            await broker.batches.discard(BATCH)
    await broker.batches.commit([(BATCH, 2)])
    await broker.batches.release(BATCH)


async def combine_groups(broker: RedisBroker, r: Redis) -> None:
    rules = GroupRules(grace_s=3600, max_size=3)
    await a_staged_set(broker, a_grouped("0"))
    found = await a_staged_set(broker, *[a_grouped(f"{n}") for n in range(1, 4)])
    await broker.groups.ready("q", rules, server_id="me")
    await broker.groups.group_sizes("q")
    await broker.groups.hold_set(found)
    await postpone(broker, found, wait_s=0)
    await broker.groups.archive(found, (await tasks_in_set(broker, found))[:1])
    await broker.groups.unstage(found)
    await r.delete(GROUPS)
    await broker.groups.reclaim("q")


async def combine(broker: RedisBroker, r: Redis) -> None:
    await a_staged_set(broker, a_grouped("1"))
    await enqueue(broker, a_grouped("2"))
    await r.delete(GROUPS, "asynq:{q}:aggregation_sets")
    await broker.inspection.remove("q", force=True)


async def keep_order(broker: RedisBroker, _: Redis) -> None:
    await enqueue(broker, a_scheduled("due", at_s=PAST_S))
    await broker.upkeep.look("q", server_id="me")
    await broker.upkeep.forward("q")
    lease = (await take(broker, lease_s=-1))[0]
    await broker.upkeep.expired("q")
    await settle(broker, lease, completed(lease, retention=timedelta(hours=-1)))
    await broker.upkeep.trim("q", limit=9)
    await a_lease(broker)
    await broker.upkeep.end_leases("q", "server")
    await broker.upkeep.release("q", server_id="me")


async def repair_leases(broker: RedisBroker, r: Redis) -> None:
    await a_lease(broker)
    await r.delete("asynq:{q}:lease")
    await broker.upkeep.expired("q")


async def inspect(broker: RedisBroker, _: Redis) -> None:
    await one_of_each(broker)
    await a_staged_set(broker, a_grouped("staged"))
    await broker.inspection.queue_info("q")
    await broker.inspection.tasks(ARCHIVED, 0, 9)
    await broker.inspection.task("q", "staged")
    await broker.inspection.find_errors(ARCHIVED, "boom", 0, 9)
    found = await broker.inspection.task("q", "scheduled")
    assert found is not None
    await broker.inspection.update(found, FUTURE_S + 1)
    await broker.inspection.update(found, a_message("scheduled", payload=b"other"))
    await broker.results.wait("q", "pending", longest_s=0.01)


async def act(broker: RedisBroker, _: Redis) -> None:
    await one_of_each(broker)
    await broker.inspection.apply(Action.ARCHIVE, SCHEDULED, ["scheduled"])
    await broker.inspection.apply(Action.RUN, ARCHIVED, ["scheduled"])
    await broker.inspection.delete_errors(ARCHIVED, "boom", 0, 9)
    retry = Container(queue="q", state=TaskState.RETRY)
    await broker.inspection.apply(Action.DELETE, retry, ["retry"])
    await broker.inspection.pause("q", paused=True)
    await broker.inspection.pause("q", paused=False)


async def remove_queue(broker: RedisBroker, _: Redis) -> None:
    await enqueue(broker, a_pending(), a_scheduled("2"))
    await broker.inspection.remove("q", force=True)


async def move_tasks(broker: RedisBroker, _: Redis) -> None:
    await enqueue(broker, a_scheduled("1"))
    await broker.transfers.read(SCHEDULED, 0, 9)
    await broker.transfers.write(SCHEDULED, [TaskCopy(message=a_message("2"), at_s=FUTURE_S)])


async def show_servers(broker: RedisBroker, _: Redis) -> None:
    await broker.registry.write_server(a_server("s", a_worker()), ttl_s=100)
    await broker.registry.servers()
    await broker.control.write("s", {"state": '"paused"'}, for_server=True)
    await broker.history.add("q", {"t": [1] * LENGTH})
    await broker.diagnosis.forbidden()


async def schedule(broker: RedisBroker, _: Redis) -> None:
    position = Position(entry_id="e", queue="q", begin_s=PAST_S, ttl_s=100)
    await broker.schedules.begin([position])
    await broker.schedules.write_entries("s", [an_entry()], ttl_s=100)
    await broker.schedules.record([("e", SchedulerEvent(task_id="1", enqueued_at=STARTED))])
    await broker.schedules.entries()


async def pause_entries(broker: RedisBroker, _: Redis) -> None:
    task = EntryTask(
        entry_id="e", queue="q", type="t", payload=b"", headers={}, options=Options(), ttl_s=999
    )
    await broker.entries.pause("e", ttl_s=100)
    await broker.entries.keep([task])
    await broker.entries.pauses()
    await broker.entries.resume("e")
    await broker.entries.forget("e")


async def share_tokens(broker: RedisBroker, _: Redis) -> None:
    token = Token(scope="s", holder="a")
    await broker.semaphores.acquire(token, limit=1, lease_s=30)
    await broker.semaphores.renew([token], lease_s=60)
    await broker.semaphores.release(token)


async def relay_rows(broker: RedisBroker, _: Redis) -> None:
    await relay(broker, [("row", a_pending())])
    await broker.receipts.expire([("q", "row")], ttl_s=100)


USES: Mapping[Use, str] = {
    run_tasks: """create/create work/dequeue work/extend_leases work/mark_started work/write_result
        work/done work/complete work/retry work/archive work/requeue work/undo_dequeue""",
    follow_tasks: """work/done_continued work/complete_continued work/archive_continued
        mail/read_mail mail/take_mail mail/delete_mail""",
    run_flow: """batches/stage_tasks batches/start_batch flows/open_flow flows/read_flows
        flows/look_after_flows reports/receive_reports""",
    operate_flow: "flows/change_flow batches/drop_members",
    run_batch: """batches/release_tasks batches/reserve_members batches/idle_batches
        batches/sweep_batch batches/read_batches batches/retry_batch""",
    cancel_batches: "batches/cancel_batch batches/drop_staged batches/touch_batch",
    create_together: "batches/discard_batch batches/commit_batch",
    combine_groups: """groups/stage_set groups/ready_groups groups/group_sizes groups/hold_set
        groups/read_set groups/postpone_set groups/archive_grouped groups/unstage_set
        groups/reclaim_sets groups/find_groups""",
    combine: "groups/register_groups",
    keep_order: """upkeep/look upkeep/forward upkeep/list_expired upkeep/delete_completed
        upkeep/trim_archive upkeep/end_leases upkeep/release""",
    repair_leases: "upkeep/repair_leases",
    inspect: """inspection/queue_stats inspection/memory_usage inspection/list_tasks
        inspection/get_task inspection/find_staged inspection/find_errors
        inspection/reschedule_task inspection/update_task results/await_result""",
    act: """inspection/archive_tasks inspection/run_tasks inspection/delete_errors
        inspection/delete_tasks inspection/pause_queue""",
    remove_queue: "inspection/delete_queue_keys",
    move_tasks: "transfers/read_copies transfers/write_copies",
    show_servers: """registry/write_server registry/add_queues registry/add_to_index
        registry/live_keys registry/read_workers control/write_settings history/add_runs
        diagnosis/probe""",
    schedule: """schedules/begin_entry schedules/write_entries schedules/record_event
        schedules/read_entries""",
    pause_entries: """entries/pause_entry entries/extend_pauses entries/read_pauses
        entries/resume_entry entries/forget_pause""",
    share_tokens: "semaphores/acquire_token semaphores/renew_tokens semaphores/release_token",
    relay_rows: "receipts/expire_receipts",
}
"""The stories, and the scripts that each is there to call."""

USE_OF: Mapping[str, Use] = {name: use for use, names in USES.items() for name in names.split()}
"""The story that calls a script, by the script's name."""
