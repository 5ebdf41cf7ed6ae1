"""New tasks, as the scripts that create them take and answer them."""

from typing import Final

from pyasynq.broker.protocols import Refusal
from pyasynq.broker.redis import keys
from pyasynq.broker.redis.scripts import Each, blob
from pyasynq.compose import Grouped, Pending, Plan, Scheduled
from pyasynq.errors import DuplicateTaskError, TaskIDConflictError
from pyasynq.message import TaskMessage, encode

ACCEPTED: Final = 1
CONFLICT: Final = 0


def created(plan: Plan) -> tuple[Each, ...]:
    """Return what the scripts' EACH names for *plan*, and name its lock in its message."""
    message = plan.message
    lock, ttl_s = "", 0
    if plan.lock is not None:
        lock = keys.unique(message.queue, message.type, plan.lock.digest)
        ttl_s = plan.lock.ttl_s
        message.unique_key = lock
    created = (message.id, blob(encode(message)), lock, ttl_s)
    match plan:
        case Pending():
            return created
        case Scheduled(at_s=at_s):
            return *created, at_s, message.group_key
        case Grouped():
            return *created, message.group_key


def refusal(message: TaskMessage, reply: int) -> Refusal:
    """Return why a task was refused, from the script's *reply*."""
    if reply == CONFLICT:
        return TaskIDConflictError(message.queue, message.id)
    return DuplicateTaskError(message.queue, message.type)
