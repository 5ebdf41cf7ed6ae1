"""``pyasynq task enqueue``."""

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from pyasynq.cli import output
from pyasynq.cli.connecting import redis_url
from pyasynq.cli.exits import Exit, ExitError
from pyasynq.cli.parsing import Noun
from pyasynq.cli.running import finish
from pyasynq.cli.values import data, duration, headers, instant, whole

if TYPE_CHECKING:
    from pyasynq.core.options import EnqueueOptions

_OPTIONS: Final = {
    "retry": "max_retry",
    "queue": "queue",
    "id": "task_id",
    "timeout": "timeout",
    "deadline": "deadline",
    "unique": "unique",
    "process_at": "process_at",
    "process_in": "process_in",
    "retention": "retention",
    "group": "group",
}


def add_to(noun: Noun) -> None:
    """Add the verb to *noun*."""
    verb = noun.verb("enqueue", run, help="enqueue a task")
    verb.value("-t", "--type-name", "--type_name", help="its type", required=True)
    verb.value("-l", "--payload", help="its data")
    verb.value("--payload-file", help="file that holds its data; - for the standard input")
    verb.value("-H", "--header", action="append", help="key=value; repeatable")
    verb.value("-q", "--queue", help="name of the queue: default")
    verb.value("-i", "--id", help="its id, instead of a random one")
    verb.value("--retry", type=whole, help="retries after the first failure: 25")
    verb.value("--timeout", type=duration, help="longest run: 30m")
    verb.value("--deadline", type=instant, help="when it must have run: 2030-01-31T12:00:00Z")
    verb.value("--unique", type=duration, help="refuse the same task for so long: 1h")
    verb.value("--process-at", "--process_at", type=instant, help="when: 2030-01-31T12:00:00Z")
    verb.value("--process-in", "--process_in", type=duration, help="from now: 5m")
    verb.value("--retention", type=duration, help="time it is kept after success: 24h")
    verb.value("-g", "--group", help="group whose tasks are combined into one")


def run(words: argparse.Namespace) -> int:
    """Enqueue a task."""
    payload = _payload(words)

    async def job() -> int:
        from pyasynq.client import Client
        from pyasynq.core.task import Task

        async with Client(redis_url(words, os.environ)) as client:
            task = await client.enqueue(Task(words.type_name, payload), **_options(words))
        if output.is_json(words):
            output.json(task)
        else:
            output.data(f"Enqueued task {task.id} to queue {task.queue}")
        return Exit.OK

    return finish(job())


def _options(words: argparse.Namespace) -> "EnqueueOptions":
    given = {option: getattr(words, flag) for flag, option in _OPTIONS.items()}
    given["headers"] = headers(words.header or ())
    return cast("EnqueueOptions", {name: v for name, v in given.items() if v is not None})


def _payload(words: argparse.Namespace) -> bytes:
    if (words.payload is None) == (words.payload_file is None):
        raise ExitError(Exit.USAGE, "say either --payload or --payload-file")
    if words.payload is not None:
        return data(words.payload)
    if words.payload_file == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(words.payload_file).read_bytes()
    except OSError as error:
        raise ExitError(Exit.USAGE, f"{words.payload_file} cannot be read: {error}") from error
