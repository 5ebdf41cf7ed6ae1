"""Know the type of every key that may be in Redis."""

import re
from typing import Final

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
        (r"asynq:\{.*\}:(maintainer|combiner)", "string"),
        (r"asynq:\{.*\}:awaited", "zset"),
        (r"asynq:\{.*\}:runs:.+", "hash"),
        (r"asynq:\{.*\}:done:.+", "list"),
        (r"asynq:\{.*\}:mail", "zset"),
        (r"asynq:\{.*\}:mail_bodies", "hash"),
        (r"asynq:\{.*\}:batches", "zset"),
        (r"asynq:\{.*\}:batch:.+", "hash"),
        (r"asynq:\{.*\}:batch_staged:.+", "list"),
        (r"asynq:\{.*\}:batch_ended:.+", "string"),
        (r"asynq:\{.*\}:batch_failed:.+", "set"),
        (r"asynq:\{.*\}:batch_outputs:.+", "hash"),
        (r"asynq:\{.*\}:flow:.+", "hash"),
        (r"asynq:\{.*\}:(flows|flows_ended|flow_timers)", "zset"),
        (r"asynq:\{.*\}:flow_locks", "hash"),
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
