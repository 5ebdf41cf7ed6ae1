"""Acts 2 and 3: the service is killed, then Redis is away; no mail is lost."""

from datetime import datetime, timedelta

from member.demo.processes import DemoError, expect
from member.demo.sign_up import SignedUp, sign_up, wait_until_relayed
from member.demo.stage import Run, Stage
from member.v1 import member_pb2 as pb

XIAOMING = pb.CreateMemberRequest(
    membername="xiaoming",
    full_name="王小明",
    email="xiaoming@example.com",
    password="curiouser and curiouser",  # noqa: S106 - of the demo only
    locale="zh-TW",
)


async def second_act(stage: Stage, run: Run, alice: SignedUp) -> None:
    """Kill the service while a task waits."""
    stage.narrator.open("Act 2. The service is killed; the task was not in its memory.")
    run.kill()
    stage.narrator.say("Killed the service, worker and all, with SIGKILL", process=run.pid)
    due = await _due(stage, alice)
    expect(due is not None, "the task did not outlive the service")
    stage.narrator.say("Redis still holds the task", task=alice.task["task_id"], state=_state(due))


async def third_act(stage: Stage, run: Run, alice: SignedUp) -> SignedUp:
    """Sign somebody up while Redis is away."""
    stage.narrator.open("Act 3. Redis is away; somebody signs up nevertheless.")
    await stage.redis.stop()
    stage.narrator.say("Stopped Redis", redis=stage.redis.address)
    xiaoming = await sign_up(stage, run, XIAOMING)
    _show_waiting(stage, xiaoming)
    await stage.redis.start()
    stage.narrator.say(
        "Started Redis again; its append-only file kept the data",
        task_of_alice=_state(await _due(stage, alice)),
    )
    stay, due = await wait_until_relayed(stage, xiaoming.task)
    stage.narrator.say(
        "The relay found Redis again and moved the task; the row is gone",
        in_outbox=f"{stay / timedelta(seconds=1):.1f} s",
        state=_state(due),
    )
    return xiaoming


def _show_waiting(stage: Stage, signed_up: SignedUp) -> None:
    row = stage.database.waiting(signed_up.task["task_id"])
    if row is None:
        msg = f"task {signed_up.task['task_id']} does not wait in the outbox"
        raise DemoError(msg)
    stage.narrator.say(
        "The member is in the database, and the task waits beside it, in the outbox",
        row=row.id,
        type=row.type,
        queue=row.queue,
    )


async def _due(stage: Stage, signed_up: SignedUp) -> datetime | None:
    return await stage.redis.due(signed_up.task["queue"], signed_up.task["task_id"])


def _state(due: datetime | None) -> str:
    """Return the state of a task as a text; on a slow machine a worker may have it by now."""
    return f"scheduled, due at {due:%H:%M:%S} UTC" if due else "taken by a worker"
