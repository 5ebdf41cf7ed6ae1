"""What runs in a process for tasks: calls functions, and sends logs and answers to its parent."""

import ctypes
import importlib
import logging
import logging.handlers
import multiprocessing
import os
import pickle
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from multiprocessing.connection import Connection
from typing import Any, Final, NamedTuple

from pyasynq.core.control import NotPicklableError
from pyasynq.runtime.remote_errors import pack_error

SIGNALS: Final = ("SIGINT", "SIGTERM", "SIGHUP")
"""Signals that a group of processes gets, and that only the parent handles."""

PR_SET_PDEATHSIG: Final = 1

FIELDS: Final = frozenset({*vars(logging.LogRecord("", 0, "", 0, "", (), None)), "message"})
"""Fields that every log record has; their values can be pickled once it is prepared."""


class Kind(Enum):
    """Kinds of messages of a child."""

    READY = "it waits for the first call"
    LOG = "a log record: its fields, and pickled those that the user added"
    RESULT = "the result of the call"
    ERROR = "the packed error of the call"


class Message(NamedTuple):
    """A message of a child.

    Attributes:
        kind: What it is.
        value: See `Kind`.
    """

    kind: Kind
    value: object = None


class Request(NamedTuple):
    """A call.

    Attributes:
        module: Name of a module that is imported first.
        call: What to call, pickled; its parts may be in that module.
    """

    module: str
    call: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLevels:
    """The levels of the parent's loggers.

    Attributes:
        root: Level of the root logger.
        named: Levels of the others that have one of their own, by name.
        disabled: Records of this level and below are dropped.
    """

    root: int
    named: Mapping[str, int]
    disabled: int

    @classmethod
    def read(cls) -> "LogLevels":
        """Return the levels of this process."""
        named = {name: it.level for name, it in _named_loggers().items() if it.level}
        return cls(root=logging.root.level, named=named, disabled=logging.root.manager.disable)


def main(connection: Connection, levels: LogLevels) -> None:
    """Answer the calls that come over *connection*, one after another, until it is closed."""
    _end_with_parent()
    _leave_group()
    os.set_inheritable(connection.fileno(), False)  # or programs of tasks would keep it open
    pipe = _Pipe(connection)
    modules: set[str] = set()
    pid = os.getpid()
    _forward_logs(pipe, levels)
    pipe.send(Message(Kind.READY))
    while True:
        try:
            request: Request = pickle.loads(connection.recv_bytes())  # noqa: S301 - from our parent
        except (EOFError, ConnectionResetError):  # reset if logs were on their way
            return
        answer = _answer(request, modules, lambda: _forward_logs(pipe, levels))
        if os.getpid() != pid:
            return  # the function has forked; only the process that was called answers
        pipe.send(answer)


def _answer(request: Request, modules: set[str], on_import: Callable[[], None]) -> Message:
    pid = os.getpid()
    try:
        if request.module not in modules:
            try:
                importlib.import_module(request.module)
            finally:
                on_import()  # the module may have configured logging
            modules.add(request.module)
        call: Callable[[], object] = pickle.loads(request.call)  # noqa: S301 - from our parent
        return Message(Kind.RESULT, _pickle_result(call()))
    except BaseException as error:  # exit() must not end the process
        if os.getpid() != pid:
            raise  # in a process that the function has forked it does
        return Message(Kind.ERROR, pack_error(error))


def _pickle_result(value: object) -> bytes:
    try:
        return pickle.dumps(value)
    except Exception as error:  # noqa: BLE001 - the user's class decides how it is pickled
        what = f"the result, of type {type(value).__qualname__!r},"
        raise NotPicklableError(what, f"{type(error).__name__}: {error}") from None


class _Pipe:
    """The way to the parent, which threads share."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()

    def send(self, message: Message) -> None:
        data = pickle.dumps(message)
        with self._lock:
            self._connection.send_bytes(data)


# -- logs ------------------------------------------------------------------------------------------


class _Forwarder(logging.handlers.QueueHandler):
    """Sends records to the parent, whose loggers handle them."""

    def __init__(self, pipe: _Pipe) -> None:
        super().__init__(queue=None)  # type: ignore[arg-type]  # `enqueue` does not use it
        self._pipe = pipe

    def enqueue(self, record: logging.LogRecord) -> None:
        fields: dict[str, object] = {}
        added: dict[str, bytes] = {}
        for name, value in vars(record).items():
            if name in FIELDS:
                fields[name] = value
                continue
            with suppress(Exception):  # the user's class decides how it is pickled
                added[name] = pickle.dumps(value)
        with suppress(BrokenPipeError, ConnectionResetError):  # the worker has ended
            self._pipe.send(Message(Kind.LOG, (fields, added)))


def _forward_logs(pipe: _Pipe, levels: LogLevels) -> None:
    """Let all records go to the parent, and nowhere else: its configuration decides."""
    for logger in (logging.root, *_named_loggers().values()):
        logger.handlers[:] = []
        logger.propagate = True
        logger.disabled = False
    for name, level in levels.named.items():
        logging.getLogger(name).setLevel(level)
    logging.root.setLevel(levels.root)
    logging.root.addHandler(_Forwarder(pipe))
    logging.disable(levels.disabled)


def _named_loggers() -> dict[str, logging.Logger]:
    found = logging.root.manager.loggerDict
    return {name: it for name, it in found.items() if isinstance(it, logging.Logger)}


# -- the end ---------------------------------------------------------------------------------------


def _end_with_parent() -> None:
    """End this process when its parent ends, however that ends."""
    if sys.platform == "linux":  # works also while C code holds the lock of the interpreter
        libc: Any = ctypes.CDLL(None)
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    threading.Thread(target=_wait_for_parent, name="pyasynq-parent", daemon=True).start()


def _wait_for_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
    os._exit(1)


def _leave_group() -> None:
    """Get no signals of the parent's group; a group of its own can be killed with its programs.

    Handlers that do nothing, because programs that tasks start would inherit ``SIG_IGN``.
    """
    if hasattr(os, "setsid"):
        os.setsid()
    for name in SIGNALS:
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), _ignore)


def _ignore(*_signal: object) -> None:
    """Handle a signal by doing nothing."""
