"""A process that calls functions, one at a time, and can be killed meanwhile."""

import logging
import multiprocessing
import os
import pickle
import signal
import threading
from collections.abc import Mapping
from contextlib import suppress
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess
from typing import Final, cast

from pyasynq.core.control import NotPicklableError, ProcessDiedError
from pyasynq.runtime import child
from pyasynq.runtime.child import Kind, LogLevels, Message, Request
from pyasynq.runtime.remote_errors import PackedError, unpack_error

NAME: Final = "pyasynq-process"
"""Name of the processes."""

START_S: Final = 60.0
"""Longest time in which a process must be ready for its first call."""

_reaping: Final = threading.Lock()
"""Held to start a process, when multiprocessing asks for exit codes, too, and to ask for one.

The system gives each exit code once: of two threads that ask, one would get none.
"""

CLOSE_S: Final = 1.0
"""Time in which an idle process may end by itself."""


class Process:
    """One process; it runs one call at a time.

    Attributes:
        has_died: A call has found that it has ended.
    """

    def __init__(self) -> None:
        """Start it.

        On Linux it is killed when the thread that calls this ends.

        Raises:
            OSError: If the system cannot start one now.
        """
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        with theirs:
            self._process: SpawnProcess = context.Process(
                target=child.main, args=(theirs, LogLevels.read()), name=NAME
            )
            try:
                with _reaping:
                    self._process.start()
            except BaseException:
                self._connection.close()
                raise
        self.has_died: bool = False
        self._started = False
        self._lock = threading.Lock()
        # The pipes report its end, too, but not as long as a program that it forked keeps them.
        has_pidfd = hasattr(os, "pidfd_open")
        self._pidfd = os.pidfd_open(self._process.pid or 0) if has_pidfd else None
        self._end = self._process.sentinel if self._pidfd is None else self._pidfd

    @property
    def alive(self) -> bool:
        """Whether it has not ended."""
        return not self._connection.closed and not wait([self._end], 0)

    def wait_until_ready(self) -> None:
        """Return when it waits for its first call; blocks.

        Raises:
            ProcessDiedError: If it has ended, or does not begin.
        """
        if not wait([self._connection, self._end], START_S):
            self.kill()
        self._receive()
        self._started = True

    def run(self, module: str, call: bytes) -> object:
        """Return the result of *call*, which is pickled, once *module* is imported; blocks.

        Raises:
            ProcessDiedError: If it dies before it has one.
            BaseException: What the called function raised.
        """
        try:
            answer = self._call(Request(module, call))
        except BaseException:
            # Its answer may still come, and would be taken for that of the next call.
            self.kill()
            self.has_died = True
            raise
        match answer:
            case Message(Kind.RESULT, bytes() as data):
                return _load_result(data)
            case Message(Kind.ERROR, PackedError() as packed):
                raise _raisable(unpack_error(packed))
            case unexpected:
                raise AssertionError(unexpected)

    def _call(self, request: Request) -> Message:
        """Send a call; return the answer, and log what comes before it."""
        with suppress(BrokenPipeError, ConnectionResetError):  # `_receive` says how it ended
            self._connection.send_bytes(pickle.dumps(request))
        while True:
            message = self._receive()
            if message.kind is not Kind.LOG:
                return message
            fields, added = cast("tuple[dict[str, object], dict[str, bytes]]", message.value)
            _log(_make_record(fields, added))

    def kill(self) -> None:
        """Kill it, and the programs that it has started; `run` then fails at once."""
        with self._lock:
            if self.alive:
                self._kill_programs()
                self._process.kill()

    def close(self) -> None:
        """Let it end, or kill it if it does not; blocks."""
        with self._lock:
            self._connection.close()  # from now on it is not alive, so `kill` does nothing
        if not wait([self._end], CLOSE_S):
            self._process.kill()
        self._wait_for_end()
        self._process.close()
        if self._pidfd is not None:
            os.close(self._pidfd)
            self._pidfd = None

    def _kill_programs(self) -> None:
        """Kill the group of the process, with the programs that its functions have started."""
        if not self._started or self._pidfd is None or self._process.pid is None:
            return
        with suppress(ChildProcessError, ProcessLookupError):
            # Fails if it has ended and was waited for: its number may belong to another one then.
            os.waitid(os.P_PIDFD, self._pidfd, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            os.killpg(self._process.pid, signal.SIGKILL)

    def _receive(self) -> Message:
        if self._connection in wait([self._connection, self._end]):
            with suppress(EOFError, OSError):  # OSError if it died within a message
                data = self._connection.recv_bytes()
                message: Message = pickle.loads(data)  # noqa: S301 - our own process wrote it
                return message
        self.has_died = True
        self._kill_programs()
        raise ProcessDiedError(self._wait_for_end(), started=self._started)

    def _wait_for_end(self) -> int:
        """Return the exit code."""
        wait([self._end])
        with _reaping:
            self._process.join()
            return self._process.exitcode or 0


def _raisable(error: BaseException) -> BaseException:
    """Return *error*, unless it would end more than the task here."""
    if isinstance(error, Exception | SystemExit):
        return error
    return RuntimeError(f"the function raised {error!r}").with_traceback(error.__traceback__)


def _load_result(data: bytes) -> object:
    try:
        return pickle.loads(data)  # noqa: S301 - our own process wrote it
    except Exception as error:  # noqa: BLE001 - the user's class decides how it is unpickled
        what = "the result"
        raise NotPicklableError(what, f"{type(error).__name__}: {error}") from None


def _make_record(fields: Mapping[str, object], added: Mapping[str, bytes]) -> logging.LogRecord:
    """Return a record of a process, without what the user has added and cannot be unpickled."""
    record = logging.makeLogRecord(dict(fields))
    for name, data in added.items():
        with suppress(Exception):
            vars(record)[name] = pickle.loads(data)  # noqa: S301 - our own process wrote it
    return record


def _log(record: logging.LogRecord) -> None:
    """Handle a record of a process as if it was made here."""
    logger = logging.getLogger(record.name)
    try:
        if logger.isEnabledFor(record.levelno):
            logger.handle(record)
    except Exception:  # noqa: BLE001 - of a filter of the user: no reason for the task to fail
        logging.NullHandler().handleError(record)
