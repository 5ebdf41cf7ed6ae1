"""Build every Redis key, except the name of a lock, which `core.message` builds.

Source:
    Protocol sections 1.1 and 1.2 (asynq v0.26.0 ``internal/base/base.go``).
"""

import re
from typing import Final

from pyasynq.broker.ports.inspection import Container
from pyasynq.core.states import TaskState

QUEUES: Final = "asynq:queues"
"""The names of all queues (set).

Written by:
clients, every 60 s; servers, at every heartbeat; the removal of a queue
"""

SERVERS: Final = "asynq:servers"
"""The keys of the records of live servers (sorted set by the second they expire).

Written by:
heartbeaters of servers
"""

WORKERS: Final = "asynq:workers"
"""The keys of what live servers run (sorted set by the second they expire).

Written by:
heartbeaters of servers
"""

SCHEDULERS: Final = "asynq:schedulers"
"""The keys of the entries of live schedulers (sorted set by the second they expire).

Written by:
heartbeaters of schedulers
"""

CANCEL: Final = "asynq:cancel"
"""The channel for the ids of tasks that an operator cancels.

Written by:
the inspector
"""

CONTROL: Final = "asynq:control:{servers}"
"""The settings that operators want servers to have (hash by setting and target).

Written by:
the inspector; a server that ends removes what names it alone

Differs:
asynq has no such key.
"""

CONTROL_CHANNEL: Final = "asynq:control"
"""The channel that has servers read what operators want.

Written by:
the inspector

Differs:
asynq has no such channel.
"""

KINDS: Final = tuple(
    (re.compile(pattern, re.DOTALL), kind)
    for pattern, kind in (
        (r"asynq:\{.*\}:(pending|active)", "list"),
        (r"asynq:\{.*\}:(lease|scheduled|retry|archived|completed)", "zset"),
        (r"asynq:\{.*\}:t:.+", "hash"),
        (r"asynq:\{.*\}:unique:.+", "string"),
        (r"asynq:\{.*\}:relayed:.+", "string"),
        (r"asynq:\{.*\}:(paused|processed|failed)", "string"),
        (r"asynq:\{.*\}:(processed|failed):\d{4}-\d\d-\d\d", "string"),
        (r"asynq:\{.*\}:groups", "set"),
        (r"asynq:\{.*\}:(g:.+|aggregation_sets)", "zset"),
        (r"asynq:\{.*\}:scheduler_last:.+", "string"),
        (r"asynq:\{.*\}:group_search", "hash"),
        (r"asynq:\{.*\}:awaited", "zset"),
        (r"asynq:\{.*\}:runs:.+", "hash"),
        (r"asynq:\{.*\}:done:.+", "list"),
        (r"asynq:\{.*\}:mail", "zset"),
        (r"asynq:\{.*\}:mail_bodies", "hash"),
        (r"asynq:queues", "set"),
        (r"asynq:(servers|workers|schedulers)", "zset"),
        (r"asynq:servers:\{.+\}", "string"),
        (r"asynq:workers:\{.+\}", "hash"),
        (r"asynq:server_details:\{.+\}", "string"),
        (r"asynq:control:\{servers\}", "hash"),
        (r"asynq:schedulers:\{.+\}(:coming)?", "list"),
        (r"asynq:scheduler_history:.+", "zset"),
        (r"asynq:scheduler_entry:.+", "string"),
        (r"asynq:scheduler_pauses", "hash"),
        (r"asynq:sema:.+", "zset"),
        (r"asynq:audit", "stream"),
        (r"asynq:probe:.+", "string"),  # exists only during a probe
    )
)
"""Every form of key with its Redis type; tests compare the keys that are left in Redis with it."""


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


def group_search(queue: str) -> str:
    """Return the key of the progress of the search for unregistered groups (hash).

    Written by:
        the reclaimer

    Differs:
        asynq has no such key.
    """
    return f"asynq:{{{queue}}}:group_search"


def server(host: str, pid: int, server_id: str) -> str:
    """Return the key of the record of a server (string).

    Written by:
        the heartbeater of the server
    """
    return f"asynq:servers:{{{host}:{pid}:{server_id}}}"


def server_details(host: str, pid: int, server_id: str) -> str:
    """Return the key of what the record of a server has no field for (string, JSON).

    Written by:
        the heartbeater of the server

    Differs:
        asynq has no such key.
    """
    return f"asynq:server_details:{{{host}:{pid}:{server_id}}}"


def details_of(record: str) -> str:
    """Return the key of the details of the server whose *record* is the key of its record."""
    return record.replace("asynq:servers:", "asynq:server_details:", 1)


def workers(host: str, pid: int, server_id: str) -> str:
    """Return the key of the records of the tasks that a server runs (hash by id).

    Written by:
        the heartbeater of the server
    """
    return f"asynq:workers:{{{host}:{pid}:{server_id}}}"


def scheduler(scheduler_id: str) -> str:
    """Return the key of the entries of a scheduler (list); its id is host, process and a UUID.

    Written by:
        the heartbeater of the scheduler
    """
    return f"asynq:schedulers:{{{scheduler_id}}}"


def next_entries(scheduler_id: str) -> str:
    """Return the key of a scheduler's next entries while they are written in parts (list).

    Written by:
        the heartbeater of the scheduler

    Differs:
        asynq has no such key.
    """
    return f"asynq:schedulers:{{{scheduler_id}}}:coming"


def history(entry_id: str) -> str:
    """Return the key of the history of an entry (sorted set of events by Unix seconds).

    Written by:
        the ticker
    """
    return f"asynq:scheduler_history:{entry_id}"


def entry_task(entry_id: str) -> str:
    """Return the key of what an entry enqueues (string, MessagePack, expires).

    Written by:
        the ticker

    Differs:
        asynq has no such key.
    """
    return f"asynq:scheduler_entry:{entry_id}"


def pauses() -> str:
    """Return the key of the entries that are or were paused (hash by id, expires).

    A value is the instant of the resumption (empty while the entry is paused) and the instant at
    which the value is forgotten, Unix seconds, with a colon between them.

    Written by:
        the inspector; the ticker, which extends pauses

    Differs:
        asynq has no such key.
    """
    return "asynq:scheduler_pauses"


def last_tick(queue: str, entry_id: str) -> str:
    """Return the key of the last tick of an entry (string, Unix seconds).

    It is in the slot of the queue, so that one script can create the task and set the last tick.

    Written by:
        `create`, for a ticker; `begin_entry`

    Differs:
        asynq has no such key.
    """
    return f"asynq:{{{queue}}}:scheduler_last:{entry_id}"


def audit() -> str:
    """Return the key of the last actions of operators (stream).

    Written by:
        the dashboard

    Differs:
        The reference keeps no audit.
    """
    return "asynq:audit"


def probe(name: str) -> str:
    """Return the key of a probe, which tries commands on it (string, short-lived).

    Written by:
        `probe`

    Differs:
        asynq has no such key.
    """
    return f"asynq:probe:{name}"


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


def semaphore(scope: str) -> str:
    """Return the key of the tokens of a semaphore (sorted set of holders by the second they end).

    Written by:
        `acquire_token`, `renew_tokens`, `release_token`
    """
    return f"asynq:sema:{scope}"
