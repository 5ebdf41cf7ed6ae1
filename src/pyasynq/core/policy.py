"""How long things are kept, how many, how much one call handles, and how far clocks may differ.

The values hold for every broker. Where Go has the same limit, the value is Go's, because Go's
programs rely on it.
"""

from typing import Final

ARCHIVE_S: Final = 90 * 86_400
"""Seconds for which an archived task is kept."""

MOST_ARCHIVED: Final = 9_999
"""Tasks that the archive of a queue keeps; if there are more, the oldest are deleted."""

STATISTICS_S: Final = 90 * 86_400
"""Seconds for which the counters of a day are kept."""

MAX_EVENTS: Final = 1000
"""Events that the history of a scheduler's entry keeps."""

MAX_AUDIT: Final = 10_000
"""Actions of operators that the audit keeps."""

HISTORY_S: Final = ARCHIVE_S
"""Seconds for which a history is kept after its last event."""

EARLY_S: Final = 5
"""Seconds by which a tick may be early by the broker's clock, because machines' clocks differ."""

CREDIBLE_S: Final = 300
"""A stored last tick that is more seconds ahead of the broker's clock is ignored.

Larger than `EARLY_S`, so that no tick is repeated if a failover sets that clock back a little.
"""

FORGOTTEN_S: Final = 60
"""Seconds for which the last tick of a removed entry is kept.

A scheduler that still has the entry and is up to this late does not repeat the tick.
"""

ENDED_S: Final = 3600
"""Seconds for which it is known that a scheduler has ended without clearing its entries."""

MOST_ENDED: Final = 20
"""Most such schedulers that are known, because one may crash at each of its starts."""

UNKEPT_S: Final = 86_400
"""Seconds for which the task and the pause of a removed entry are kept.

Long enough for a scheduler that still has the entry to keep them again, and for an operator who
removes an entry by mistake.
"""

KEEP_INTERVAL_S: Final = 3600
"""Seconds after which a scheduler keeps its entries again; well below `UNKEPT_S`."""

HELD_S: Final = 120
"""Seconds until an aggregation set may be put back, if its aggregator does not extend the time."""

IN_CHARGE_S: Final = 5
"""Seconds for which a server does the upkeep of a queue, unless it extends them."""

STUCK_S: Final = 3600
"""Seconds until the next try to put back a set after a failed one."""

MAX_SET: Final = 1000
"""Tasks in one aggregation set, so that no call blocks the broker for long."""

END_NOTICE_TTL_S: Final = 60
"""Seconds for which clients that wait for a result can read that the task has ended."""

FLOW_IDLE_S: Final = 30
"""Seconds without a change after which servers look at the tasks of a flow.

Go's workers and operators end tasks without a report.
"""

BATCH_IDLE_S: Final = 60
"""Seconds without a change after which servers go on with a batch in place of its client."""

BATCH_SWEEP_S: Final = 300
"""Seconds without a change after which servers look for members of a batch that have ended.

Go's workers and operators end tasks without a report.
"""

BATCH_STAGED_S: Final = 3600
"""Seconds without a change after which tasks are deleted that were to be created together.

Their client has gone before it decided that they run.
"""

MAP_LOOK_S: Final = 3600
"""Seconds between two looks at the flow of a map that has ended."""

DECISION_S: Final = 7 * 86_400
"""Seconds for which it is kept that tasks of several queues run, so that each queue can ask."""

MAX_TASKS: Final = 128
"""Tasks that one call handles, so that others do not wait long for the broker."""

MAX_BULK: Final = 1000
"""Tasks that one call of a bulk operation handles; each of them is less work."""

MAX_BYTES: Final = 1024 * 1024
"""Bytes of messages after which a call, or a round trip of several calls, takes no more messages.

Typical tasks stay below it: 128 messages of 8 KiB reach it. With the largest payloads that a client
allows by default (1 MiB) a call carries at most two messages; at 1 MB/s they arrive within the time
limit for an answer.
"""

MAX_SHARES: Final = 8
"""Queues that share `MAX_BYTES` in one round trip when messages come back.

Each queue returns at least one task, however large it is.
"""

LARGEST_PAYLOAD: Final = 256 * 1024 * 1024
"""Payload and headers of a task, bytes: half of what Redis takes for one value."""
