"""How long things are kept, how many, how much one call does, and how far clocks may differ.

This holds for every broker.

What Go does as well is the same as there, and Go's programs rely on it.
"""

from typing import Final

ARCHIVE_S: Final = 90 * 86_400
"""Life of an archived task."""

MOST_ARCHIVED: Final = 9_999
"""Tasks in the archive of a queue; of more than these the first are deleted."""

STATISTICS_S: Final = 90 * 86_400
"""Life of a day's counters."""

MAX_EVENTS: Final = 1000
"""Events in the history of a scheduler's entry."""

HISTORY_S: Final = ARCHIVE_S
"""Life of a history after its last event."""

EARLY_S: Final = 5
"""A tick may come so much before its time by the broker's clock: clocks of machines differ."""

CREDIBLE_S: Final = 300
"""A last tick further ahead of the broker's clock counts as none.

More than `EARLY_S`: if a failover sets that clock back a little, no tick is repeated.
"""

FORGOTTEN_S: Final = 60
"""Life of the last tick of an entry that was taken away.

Schedulers that still have the entry, and are that late, do not repeat its last tick.
"""

HELD_S: Final = 120
"""Time until a staged set may be put back, if nobody extends it."""

STUCK_S: Final = 3600
"""Time until a set is tried again that could not be put back."""

MAX_SET: Final = 1000
"""Tasks in one staged set, so that none holds the broker for long."""

TOLD_S: Final = 60
"""Time for which those who wait for a task's result can learn that it is over."""

MAX_TASKS: Final = 128
"""Tasks one call handles, so that nobody is held up for long."""

MAX_BULK: Final = 1000
"""Tasks one call of a bulk operation handles, each of them with less work."""

MAX_BYTES: Final = 1024 * 1024
"""Bytes of messages after which a call, or a round trip of several, takes in no more.

Too much for typical tasks to reach: 128 of 8 KiB. With the largest payloads of a client's default
(1 MiB) a call carries two messages at most, which even 1 MB/s bring within the time an answer has.
"""

MAX_SHARES: Final = 8
"""Queues asked at once that share `MAX_BYTES` when messages come back: each brings one task at
least, however large.
"""

LARGEST_PAYLOAD: Final = 256 * 1024 * 1024
"""Payload and headers of a task, bytes: half of what Redis takes for one value."""
