"""Tasks that run in processes.

``COMPUTING_BROKER`` is the address of the broker, ``COMPUTING_FOLDER`` a folder in which tasks
leave files that show that they have begun, ``COMPUTING_LEASE_S`` the lease in seconds.
"""

import asyncio
import contextlib
import ctypes
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from pyasynq import App, RetryIn, SkipRetry

app = App(
    os.environ.get("COMPUTING_BROKER", "redis://127.0.0.1:6379"),
    lease=timedelta(seconds=int(os.environ.get("COMPUTING_LEASE_S", "30"))),
    retry_delay=lambda *_: timedelta(hours=1),
)
log = logging.getLogger("computing")

HOUR = timedelta(hours=1)


@dataclass
class Point:
    """An argument that is no plain JSON type."""

    x: int
    y: int


class CodeError(Exception):
    """An error whose class pickle cannot call with its ``args``."""

    def __init__(self, code: int, *, where: str) -> None:
        """Keep what it is about."""
        self.code = code
        self.where = where
        super().__init__(f"code {code} at {where}")


def leave(name: str, text: str = "") -> None:
    """Leave a file *name* for the test, which is whole as soon as it is there."""
    folder = Path(os.environ["COMPUTING_FOLDER"])
    part = folder / f"{name}.part"
    part.write_text(text)
    part.rename(folder / name)


@app.task("add", executor="process", retention=HOUR)
def add(point: Point) -> dict[str, int]:
    """Return a sum, and where it was made."""
    return {"sum": point.x + point.y, "pid": os.getpid()}


@app.task("log", executor="process", retention=HOUR)
def write_logs() -> int:
    """Log."""
    log.info("hello %s", "there")
    log.debug("this is below the level")
    sys.stdout.write("printed\n")
    sys.stdout.flush()
    return os.getpid()


def fail_inside(number: int) -> None:
    """Fail."""
    try:
        _ = 1 // number
    except ZeroDivisionError as error:
        raise CodeError(7, where="inside") from error


@app.task("fail", executor="process")
def fail() -> None:
    """Fail with an error that has a cause."""
    fail_inside(0)


@app.task("local error", executor="process")
def fail_locally() -> None:
    """Fail with an error that no other process knows."""

    class LocalError(Exception):
        """An error of a class that cannot be imported."""

    msg = "only here"
    raise LocalError(msg)


@app.task("local result", executor="process")
def return_locally() -> object:
    """Return what no other process can make."""
    return lambda: None


@app.task("skip", executor="process")
def skip() -> None:
    """Archive the task."""
    msg = "not worth it"
    raise SkipRetry(msg)


@app.task("again", executor="process")
def again() -> None:
    """Retry the task in two hours."""
    raise RetryIn(timedelta(hours=2))


@app.task("exit", executor="process")
def exit_at_once(code: int) -> None:
    """End the process without cleaning up."""
    os._exit(code)


@app.task("call exit", executor="process")
def call_exit() -> None:
    """Call exit, which only fails the task."""
    sys.exit(3)


@app.task("interrupt", executor="process")
def interrupt() -> None:
    """Raise what Ctrl-C raises."""
    raise KeyboardInterrupt


@app.task("kill itself", executor="process")
def kill_itself() -> None:
    """Die as the kernel kills a process that uses too much memory."""
    os.kill(os.getpid(), signal.SIGKILL)


@app.task("crash", executor="process")
def crash() -> None:
    """Read the address 0."""
    ctypes.string_at(0)


@app.task("orphan", executor="process")
def die_with_a_child() -> None:
    """Die, while a forked process keeps all pipes open."""
    if os.fork() == 0:
        time.sleep(600)
    os._exit(9)


@app.task("hang", executor="process")
def hang(name: str) -> None:
    """Hold the lock of the interpreter and never return; start a program, too."""
    program = subprocess.Popen(["sleep", "600"])
    leave(name, f"{os.getpid()} {program.pid}")
    ctypes.PyDLL(None).sleep(600)


@app.task("wait", executor="process", retention=HOUR)
def wait(name: str) -> int:
    """Wait until the test leaves a file ``go``."""
    leave(name, str(os.getpid()))
    while not (Path(os.environ["COMPUTING_FOLDER"]) / "go").exists():
        time.sleep(0.01)
    return os.getpid()


@app.task("spawn thread", executor="process")
def log_from_a_thread() -> None:
    """Log from another thread."""
    thread = threading.Thread(target=log.warning, args=("from a thread",))
    thread.start()
    thread.join()


@app.task("enqueue", executor="process")
def enqueue_another() -> None:
    """Enqueue a task from the process."""
    add.enqueue_sync(Point(3, 4))


@app.task("async", retention=HOUR)
async def answer() -> int:
    """Return the process of the worker."""
    await asyncio.sleep(0)
    with contextlib.suppress(KeyError):
        leave("async")
    return os.getpid()
