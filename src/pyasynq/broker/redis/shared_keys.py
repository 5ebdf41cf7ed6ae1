"""Build the Redis keys that belong to no queue, and the names of channels.

Source:
    Protocol sections 1.1 and 1.2 (asynq v0.26.0 ``internal/base/base.go``).
"""

from typing import Final

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

PAUSES: Final = "asynq:scheduler_pauses"
"""The entries that are or were paused (hash by id, expires).

A value is the instant of the resumption (empty while the entry is paused) and the instant at which
the value is forgotten, Unix seconds, with a colon between them.

Written by:
the inspector; the ticker, which extends pauses

Differs:
asynq has no such key.
"""

AUDIT: Final = "asynq:audit"
"""The last actions of operators (stream).

Written by:
the dashboard

Differs:
asynq has no such key.
"""


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


def probe(name: str) -> str:
    """Return the key of a probe, which tries commands on it (string, short-lived).

    Written by:
        `probe`

    Differs:
        asynq has no such key.
    """
    return f"asynq:probe:{name}"


def semaphore(scope: str) -> str:
    """Return the key of the tokens of a semaphore (sorted set of holders by the second they end).

    Written by:
        `acquire_token`, `renew_tokens`, `release_token`
    """
    return f"asynq:sema:{scope}"
