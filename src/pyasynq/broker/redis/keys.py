"""Spell every Redis key. No other module does, but `core.message`, which names a lock.

Source:
    Protocol sections 1.1 and 1.2 (asynq v0.26.0 ``internal/base/base.go``).
"""

import re
from typing import Final

from pyasynq.broker.ports.inspection import Container
from pyasynq.core.states import TaskState

QUEUES: Final = "asynq:queues"
SERVERS: Final = "asynq:servers"
WORKERS: Final = "asynq:workers"
SCHEDULERS: Final = "asynq:schedulers"
CANCEL: Final = "asynq:cancel"

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
        (r"asynq:\{.*\}:awaited", "zset"),  # this and the next are ours, for a minute
        (r"asynq:\{.*\}:done:.+", "list"),
        (r"asynq:queues", "set"),
        (r"asynq:(servers|workers|schedulers)", "zset"),
        (r"asynq:servers:\{.+\}", "string"),
        (r"asynq:workers:\{.+\}", "hash"),
        (r"asynq:schedulers:\{.+\}(:coming)?", "list"),
        (r"asynq:scheduler_history:.+", "zset"),
        (r"asynq:sema:.+", "zset"),
    )
)
"""Every form of key with its Redis type; tests hold what is left in Redis against it."""


LISTS: Final = (TaskState.PENDING, TaskState.ACTIVE)
"""The states whose container is a list, and no sorted set."""


def prefix(queue: str) -> str:
    """Return the start of all keys of *queue*; its braces pin one cluster slot."""
    return f"asynq:{{{queue}}}:"


def pattern(start: str) -> str:
    """Return the pattern, as SCAN takes it, of keys that begin with *start*."""
    return re.sub(r"([*?\[\]\\^])", r"\\\1", start) + "*"


def task(queue: str, task_id: str = "") -> str:
    """Return the key of one task (hash); without an id, what all of them start with."""
    return f"asynq:{{{queue}}}:t:{task_id}"


def container(queue: str, state: TaskState) -> str:
    """Return the key that lists the ids in *state* (list or sorted set)."""
    return f"asynq:{{{queue}}}:{state.value}"


def place(place: Container) -> str:
    """Return the key that lists the ids in *place* (list or sorted set)."""
    if place.state is TaskState.AGGREGATING:
        return group(place.queue, place.group)
    return container(place.queue, place.state)


def lease(queue: str) -> str:
    """Return the key of the lease ends (sorted set of ids by Unix seconds)."""
    return f"asynq:{{{queue}}}:lease"


def paused(queue: str) -> str:
    """Return the key that exists while *queue* is paused (string)."""
    return f"asynq:{{{queue}}}:paused"


def processed(queue: str, day: str = "") -> str:
    """Return the key of the tasks processed, ever or on *day* (string)."""
    return f"asynq:{{{queue}}}:processed{day and ':' + day}"


def failed(queue: str, day: str = "") -> str:
    """Return the key of the runs that failed, ever or on *day* (string)."""
    return f"asynq:{{{queue}}}:failed{day and ':' + day}"


def receipt(queue: str, row: str = "") -> str:
    """Return the receipt of an outbox's row (string); without a row, their common start.

    Differs:
        asynq has no such key; it asks for keys by name and does not see this one.
    """
    return f"asynq:{{{queue}}}:relayed:{row}"


def awaited(queue: str) -> str:
    """Return the key of the ids whose results are awaited (sorted set, short-lived)."""
    return f"asynq:{{{queue}}}:awaited"


def done(queue: str, task_id: str = "") -> str:
    """Return the key on which those wait who want a task's result (list, short-lived).

    Without an id, the start of all of them.
    """
    return f"asynq:{{{queue}}}:done:{task_id}"


def groups(queue: str) -> str:
    """Return the key of the names of groups with waiting tasks (set)."""
    return f"asynq:{{{queue}}}:groups"


def group(queue: str, name: str = "") -> str:
    """Return the key of one group's tasks (sorted set); without a name, their common start."""
    return f"asynq:{{{queue}}}:g:{name}"


def staged(queue: str, group: str, set_id: str) -> str:
    """Return the key of tasks set aside to be combined (sorted set)."""
    return f"asynq:{{{queue}}}:g:{group}:{set_id}"


def staged_group(queue: str, key: str) -> str:
    """Return the group whose tasks were staged under *key*, which ends in the set's id."""
    return key.removeprefix(group(queue)).rpartition(":")[0]


def aggregation_sets(queue: str) -> str:
    """Return the key of the names of staged sets (sorted set by the second they are given up)."""
    return f"asynq:{{{queue}}}:aggregation_sets"


def group_search(queue: str) -> str:
    """Return the key of how far the search for unregistered groups is (hash); ours alone."""
    return f"asynq:{{{queue}}}:group_search"


def server(host: str, pid: int, server_id: str) -> str:
    """Return the key of a server's record (string)."""
    return f"asynq:servers:{{{host}:{pid}:{server_id}}}"


def workers(host: str, pid: int, server_id: str) -> str:
    """Return the key of the tasks a server runs (hash)."""
    return f"asynq:workers:{{{host}:{pid}:{server_id}}}"


def scheduler(scheduler_id: str) -> str:
    """Return the key of a scheduler's entries (list); the id is host, process and a UUID."""
    return f"asynq:schedulers:{{{scheduler_id}}}"


def coming(scheduler_id: str) -> str:
    """Return the key of entries that are soon to be shown (list); Go never looks at it."""
    return f"asynq:schedulers:{{{scheduler_id}}}:coming"


def history(entry_id: str) -> str:
    """Return the key of what an entry enqueued (sorted set of events by Unix seconds)."""
    return f"asynq:scheduler_history:{entry_id}"


def last_tick(queue: str, entry_id: str) -> str:
    """Return the key of an entry's last tick (string); it is ours alone, Go never looks at it.

    It lives with the queue, so that one script can enqueue and move it on.
    """
    return f"asynq:{{{queue}}}:scheduler_last:{entry_id}"


def semaphore(scope: str) -> str:
    """Return the key of a semaphore's tokens (sorted set of holders by Unix seconds)."""
    return f"asynq:sema:{scope}"
