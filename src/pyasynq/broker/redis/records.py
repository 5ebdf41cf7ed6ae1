"""Task ids and messages as Redis holds them, whoever wrote them."""

from typing import Final

from pyasynq.broker.protocols import Refusal
from pyasynq.broker.redis import keys
from pyasynq.broker.redis.scripts import Each, blob
from pyasynq.compose import Plan
from pyasynq.errors import DuplicateTaskError, PoisonError, TaskIDConflictError
from pyasynq.message import TaskMessage, decode, encode

CONFLICT: Final = 0
"""What ``lua/created.lua`` answers for an id that is taken."""


def created(plan: Plan) -> tuple[str, Each, str, int]:
    """Return what ``lua/created.lua`` wants of *plan*: id, message, lock, and the lock's life."""
    message = plan.message
    lock, ttl_s = "", 0
    if plan.lock is not None:
        lock = keys.unique(message.queue, message.type, plan.lock.digest)
        ttl_s = plan.lock.ttl_s
        message.unique_key = lock
    return message.id, blob(encode(message)), lock, ttl_s


def refusal(message: TaskMessage, reply: int) -> Refusal:
    """Return why *message* was refused, by what the script replied."""
    if reply == CONFLICT:
        return TaskIDConflictError(message.queue, message.id)
    return DuplicateTaskError(message.queue, message.type)


def read_message(queue: str, task_id: bytes, data: bytes) -> tuple[TaskMessage, bool]:
    """Return the message, and whether it is sound.

    A sound one decodes and says the id and queue it was found under. The stand-in for another one
    has neither id nor type.
    """
    try:
        message = decode(data)
    except PoisonError:
        pass
    else:
        if message.queue == queue and message.id.encode() == task_id:
            return message, True
    return TaskMessage(queue=queue), False


def read_id(task_id: bytes) -> str:
    """Return *task_id* as text; bytes that are no UTF-8 are escaped as surrogates."""
    return task_id.decode(errors="surrogateescape")


def sent_id(task_id: str) -> Each:
    """Return what gives Redis the same bytes again that `read_id` was given."""
    return task_id if task_id.isascii() else blob(task_id.encode(errors="surrogateescape"))
