"""Build the Redis keys of one queue, except the name of a lock, which `core.message` builds.

Source:
    Protocol sections 1.1 and 1.2 (asynq v0.26.0 ``internal/base/base.go``).
"""

import re
from typing import Final

from pyasynq.broker.ports.inspection import Container
from pyasynq.core.states import TaskState

LISTS: Final = (TaskState.PENDING, TaskState.ACTIVE)
"""The states whose container is a list; those of all others are sorted sets."""


def prefix(queue: str) -> str:
    """Return the start of all keys of *queue*; its braces put them into one cluster slot."""
    return f"asynq:{{{queue}}}:"


def pattern(start: str) -> str:
    """Return the SCAN pattern for keys that begin with *start*."""
    return re.sub(r"([*?\[\]\\^])", r"\\\1", start) + "*"


def task(queue: str, task_id: str = "") -> str:
    """Return the key of one task (hash).

    Without an id, the start of all of them.

    Written by:
        `create`, and every script that moves the task
    """
    return f"asynq:{{{queue}}}:t:{task_id}"


def container(queue: str, state: TaskState) -> str:
    """Return the key of the ids of the tasks in a state (list or sorted set).

    Written by:
        the scripts in [states.md](states.md)
    """
    return f"asynq:{{{queue}}}:{state.value}"


def ids_in(source: Container) -> str:
    """Return the key that lists the ids in *source* (list or sorted set)."""
    if source.state is TaskState.AGGREGATING:
        return group(source.queue, source.group)
    return container(source.queue, source.state)


def lease(queue: str) -> str:
    """Return the key of the ends of leases (sorted set of ids by Unix seconds).

    Written by:
        `dequeue`, `extend_leases`, every verdict, the recoverer
    """
    return f"asynq:{{{queue}}}:lease"


def paused(queue: str) -> str:
    """Return the key of the pause, which exists while the queue is paused (string, Unix seconds).

    Written by:
        the inspector
    """
    return f"asynq:{{{queue}}}:paused"


def processed(queue: str, day: str = "") -> str:
    """Return the key of the number of runs that ended, ever or on a day in UTC (string).

    Written by:
        every verdict except `Requeue` and a `Retry` that is not a failure
    """
    return f"asynq:{{{queue}}}:processed{day and ':' + day}"


def failed(queue: str, day: str = "") -> str:
    """Return the key of the number of runs that failed, ever or on a day in UTC (string).

    Written by:
        `Archive`, and a `Retry` that is a failure
    """
    return f"asynq:{{{queue}}}:failed{day and ':' + day}"


def receipt(queue: str, row: str = "") -> str:
    """Return the key of the receipt of an outbox's row (string, expires).

    Without a row, the start of all of them.

    Written by:
        `create`, for a relay; shortened by the relay

    Differs:
        asynq has no such key. It reads keys by name, so it does not see this one.
    """
    return f"asynq:{{{queue}}}:relayed:{row}"


def awaited_ids(queue: str) -> str:
    """Return the key of the ids of tasks whose result a client awaits (sorted set, short-lived).

    Written by:
        clients that wait; the script that ends the task removes the id

    Differs:
        asynq has no such key.
    """
    return f"asynq:{{{queue}}}:awaited"


def end_notices(queue: str, task_id: str = "") -> str:
    """Return the key of the list on which clients block for the result of a task (short-lived).

    Without an id, the start of all of them.

    Written by:
        `complete` and `archive`, if a client waits

    Differs:
        asynq has no such key.
    """
    return f"asynq:{{{queue}}}:done:{task_id}"


def mail(queue: str) -> str:
    """Return the key of the tasks that wait here for another queue (sorted set of ids of letters).

    The scores are the Unix seconds from which anybody may send them.

    Written by:
        `continued`, which follows `done`, `complete` and `archive`; couriers of servers

    Differs:
        asynq has no such key.
    """
    return f"asynq:{{{queue}}}:mail"


def mail_bodies(queue: str) -> str:
    """Return the key of these tasks (hash by ids of letters).

    Written by:
        `continued`; couriers of servers

    Differs:
        asynq has no such key.
    """
    return f"asynq:{{{queue}}}:mail_bodies"


def flow(queue: str, flow_id: str = "") -> str:
    """Return the key of the record of a flow (hash; expires some time after the flow has ended).

    Without an id, the start of all of them.

    Written by:
        `open_flow`, `change_flow`; every script that ends a step's task, and `receive_reports`

    Differs:
        asynq has no such key.
    """
    return f"asynq:{{{queue}}}:flow:{flow_id}"


def flows(queue: str) -> str:
    """Return the key of the ids of flows that run (sorted set by the second of the last change).

    Written by:
        the scripts that write the record of a flow; `look_after_flows`

    Differs:
        asynq has no such key.
    """
    return f"asynq:{{{queue}}}:flows"


def ended_flows(queue: str) -> str:
    """Return the key of the ids of flows that have ended (sorted set by the second they expire).

    Written by:
        the scripts that write the record of a flow; `look_after_flows`

    Differs:
        asynq has no such key.
    """
    return f"asynq:{{{queue}}}:flows_ended"


def flow_timers(queue: str) -> str:
    """Return the key of the timeouts of flows and gates (sorted set by the second they are over).

    A member is the number of the gate, or -1 for the flow, and the id of the flow.

    Written by:
        the scripts that write the record of a flow; `look_after_flows`

    Differs:
        asynq has no such key.
    """
    return f"asynq:{{{queue}}}:flow_timers"


def flow_locks(queue: str) -> str:
    """Return the key of the names that only one flow may have (hash by names).

    A value is the second until which the name is locked, and the id of the flow.

    Written by:
        `open_flow`; the scripts that write the record of a flow

    Differs:
        asynq has no such key.
    """
    return f"asynq:{{{queue}}}:flow_locks"


def batches(queue: str) -> str:
    """Return the key of the batches of tasks (sorted set of ids).

    The scores are the Unix seconds of the last change, or of the end of what is over.

    Written by:
        the scripts in ``batches``

    Differs:
        asynq has no such key.
    """
    return f"asynq:{{{queue}}}:batches"


def batch(queue: str, batch_id: str = "") -> str:
    """Return the key of the record of a batch (hash).

    Without an id, the start of all of them.

    Written by:
        the scripts in ``batches``; those that end tasks, `receive_reports`

    Differs:
        asynq has no such key.
    """
    return f"asynq:{{{queue}}}:batch:{batch_id}"


def staged_tasks(queue: str, batch_id: str = "") -> str:
    """Return the key of the tasks of a batch that are not released (list of MessagePack).

    Without an id, the start of all of them.

    Written by:
        `stage_tasks`, `release_tasks`, `discard_batch`

    Differs:
        asynq has no such key.
    """
    return f"asynq:{{{queue}}}:batch_staged:{batch_id}"


def ended_members(queue: str, batch_id: str = "") -> str:
    """Return the key of the members of a batch that have ended (string, a bit for each number).

    Without an id, the start of all of them.

    Written by:
        the scripts that end tasks, `receive_reports`, `reserve_members`, `sweep_batch`

    Differs:
        asynq has no such key.
    """
    return f"asynq:{{{queue}}}:batch_ended:{batch_id}"


def failed_members(queue: str, batch_id: str = "") -> str:
    """Return the key of the numbers of a batch's members that have failed (set, up to 10,000).

    Without an id, the start of all of them.

    Written by:
        the scripts that end tasks, `receive_reports`, `sweep_batch`

    Differs:
        asynq has no such key.
    """
    return f"asynq:{{{queue}}}:batch_failed:{batch_id}"


def member_outputs(queue: str, batch_id: str = "") -> str:
    """Return the key of the results of a map's members (hash by their numbers).

    Without an id, the start of all of them.

    Written by:
        the scripts that end tasks, `receive_reports`

    Differs:
        asynq has no such key.
    """
    return f"asynq:{{{queue}}}:batch_outputs:{batch_id}"


def groups(queue: str) -> str:
    """Return the key of the names of groups with waiting tasks (set).

    Written by:
        every script that adds a task to a group or takes the last one away
    """
    return f"asynq:{{{queue}}}:groups"


def group(queue: str, name: str = "") -> str:
    """Return the key of the tasks of a group (sorted set of ids by the second they joined).

    Without a name, the start of all of them.

    Written by:
        `create`, `forward`, `stage_set`, `unstage_set`, `reclaim_sets`, the inspector
    """
    return f"asynq:{{{queue}}}:g:{name}"


def aggregation_set(queue: str, group: str, set_id: str) -> str:
    """Return the key of the tasks of an aggregation set (sorted set, scores as in the group).

    Written by:
        `stage_set`; `create` deletes it with its tasks; `unstage_set`, `reclaim_sets`
    """
    return f"asynq:{{{queue}}}:g:{group}:{set_id}"


def group_of_set(queue: str, key: str) -> str:
    """Return the group of the aggregation set that has *key*; the key ends in the set's id."""
    return key.removeprefix(group(queue)).rpartition(":")[0]


def aggregation_sets(queue: str) -> str:
    """Return the key of the aggregation sets (sorted set of their keys by the second they end).

    Written by:
        the aggregator and the reclaimer
    """
    return f"asynq:{{{queue}}}:aggregation_sets"


def maintainer(queue: str) -> str:
    """Return the key of the id of the server that does the upkeep now (string, expires).

    Written by:
        `look`, `release`

    Differs:
        asynq has no such key.
    """
    return f"asynq:{{{queue}}}:maintainer"


def combiner(queue: str) -> str:
    """Return the key of the id of the server that combines the groups now (string, expires).

    Written by:
        `ready_groups`, `release`

    Differs:
        asynq has no such key.
    """
    return f"asynq:{{{queue}}}:combiner"


def holders(queue: str) -> list[str]:
    """Return the keys that say which server does some work of the queue."""
    return [maintainer(queue), combiner(queue)]


def group_search(queue: str) -> str:
    """Return the key of the progress of the search for unregistered groups (hash).

    Written by:
        the reclaimer

    Differs:
        asynq has no such key.
    """
    return f"asynq:{{{queue}}}:group_search"


def last_tick(queue: str, entry_id: str) -> str:
    """Return the key of the last tick of an entry (string, Unix seconds).

    It is in the slot of the queue, so that one script can create the task and set the last tick.

    Written by:
        `create`, for a ticker; `begin_entry`

    Differs:
        asynq has no such key.
    """
    return f"asynq:{{{queue}}}:scheduler_last:{entry_id}"


def runs(queue: str, span: str = "") -> str:
    """Return the key of the counts of runs in one span (hash of packed counts by type).

    *span* is its length and its start, Unix seconds, joined by a colon. Without it return the start
    of all these keys.

    Written by:
        `add_runs`, for historians of servers

    Differs:
        asynq has no such key.
    """
    return f"asynq:{{{queue}}}:runs:{span}"
