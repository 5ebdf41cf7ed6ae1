"""Start programs of this repository without waiting for their imports.

A server process imports the modules of a program once. For each start it forks, and the child runs
the program as ``python -m`` does, with its own environment, folder and output. In the end it does
not free its modules. This is for programs that tests start again and again; other tests start
programs as users do.
"""

import array
import asyncio
import atexit
import functools
import gc
import importlib
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import NoReturn

_ROOT = Path(__file__).parents[2]
_REQUEST_BYTES = 64 * 1024


class ForkedProcess:
    """A child of the server; has the methods of `asyncio.subprocess.Process` that tests use."""

    def __init__(self, pid: int, server: "ForkServer") -> None:
        self.pid = pid
        self.stdout: asyncio.StreamReader | None = None
        self.returncode: int | None = None
        self._server = server
        self._ended = asyncio.Event()
        self._watched = os.pidfd_open(pid)
        asyncio.get_running_loop().add_reader(self._watched, self._end)

    def _end(self) -> None:
        asyncio.get_running_loop().remove_reader(self._watched)
        os.close(self._watched)
        self.returncode = self._server.exit_code(self.pid)
        self._ended.set()

    async def wait(self) -> int:
        """Wait until the child has ended; return its exit code, or the negative signal number."""
        await self._ended.wait()
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal; nothing happens if the child has ended."""
        if self.returncode is None:
            os.kill(self.pid, number)

    async def kill_and_wait(self) -> None:
        """Kill the child if it still runs, and wait for its end."""
        self.send_signal(signal.SIGKILL)
        await self.wait()


def start_forked(
    command: Sequence[str],
    *,
    imports: tuple[str, ...],
    variables: Mapping[str, str],
    folder: Path,
    output: int,
    stdin: int | None = None,
) -> ForkedProcess:
    """Start a module or a script in a forked process.

    Args:
        command: Name of the module or path of the script, and its arguments.
        imports: Modules to import before the fork; there is one server for each selection.
        variables: Environment variables, added to those of this process.
        folder: Its working directory.
        output: File descriptor for its output.
        stdin: File descriptor for its input; None for that of this process.
    """
    return _server(imports).start(command, variables, folder, output=output, stdin=stdin)


def run_forked(
    command: Sequence[str],
    *,
    imports: tuple[str, ...],
    variables: Mapping[str, str],
    folder: Path,
    stdin: int | None = None,
) -> AbstractAsyncContextManager[ForkedProcess]:
    """Run a module in a forked process, whose output is in `stdout`; kill it in the end.

    See `start_forked`.
    """
    return _server(imports).running(command, variables, folder, stdin=stdin)


@functools.cache
def _server(imports: tuple[str, ...]) -> "ForkServer":
    ours, theirs = _socket_pair()
    with theirs:
        command = [sys.executable, "-m", __name__, str(theirs.fileno()), *imports]
        process = subprocess.Popen(command, cwd=_ROOT, pass_fds=[theirs.fileno()])
    atexit.register(process.wait)
    atexit.register(ours.close)  # the first to be called; it ends the process
    return ForkServer(ours)


def fork_server_here() -> "ForkServer":
    """Return a server whose children begin as this process is now, which must have no threads."""
    ours, theirs = _socket_pair()
    if os.fork() == 0:
        ours.close()
        _serve(theirs)
        os._exit(0)
    theirs.close()
    return ForkServer(ours)


def _socket_pair() -> tuple[socket.socket, socket.socket]:
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


class ForkServer:
    """A process that has imported modules, and forks when it is asked to."""

    def __init__(self, requests: socket.socket) -> None:
        """Ask the process at the other end of *requests*; it ends when that is closed."""
        self._requests = requests

    def start(
        self,
        command: Sequence[str],
        variables: Mapping[str, str],
        folder: Path,
        *,
        output: int,
        stdin: int | None = None,
    ) -> ForkedProcess:
        """Start a module, as `start_forked` does."""
        environment = {**os.environ, **variables}
        request = {"command": command, "environment": environment, "folder": str(folder)}
        files = (output,) if stdin is None else (output, stdin)
        return ForkedProcess(self._ask(request, *files), self)

    @asynccontextmanager
    async def running(
        self,
        command: Sequence[str],
        variables: Mapping[str, str],
        folder: Path,
        *,
        stdin: int | None = None,
    ) -> AsyncGenerator[ForkedProcess]:
        """Run a module, as `run_forked` does."""
        reader, writer = os.pipe()
        try:
            process = self.start(command, variables, folder, output=writer, stdin=stdin)
        finally:
            os.close(writer)
        process.stdout = stdout = asyncio.StreamReader()
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(stdout), os.fdopen(reader, "rb")
        )
        try:
            yield process
        finally:
            await process.kill_and_wait()
            transport.close()

    def exit_code(self, pid: int) -> int:
        """Return the exit code of an ended process, or the negative signal number."""
        return self._ask({"ended": pid})

    def _ask(self, request: Mapping[str, object], *files: int) -> int:
        attached = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", files))]
        self._requests.sendmsg([json.dumps(request).encode()], attached if files else [])
        return int(self._requests.recv(_REQUEST_BYTES))


def _serve(requests: socket.socket) -> None:
    while True:
        request, files, _flags, _address = socket.recv_fds(requests, _REQUEST_BYTES, 2)
        if not request:
            return
        asked = json.loads(request)
        if "ended" in asked:
            _, status = os.waitpid(asked["ended"], 0)
            answer = os.waitstatus_to_exitcode(status)
        else:
            answer = os.fork()
            if answer == 0:
                requests.close()
                _become(asked["command"], asked["environment"], asked["folder"], *files)
            for file in files:
                os.close(file)
        requests.send(str(answer).encode())


def _become(
    command: list[str],
    environment: dict[str, str],
    folder: str,
    output: int,
    stdin: int | None = None,
) -> NoReturn:
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(output)
    if stdin is not None:
        os.dup2(stdin, 0)
        os.close(stdin)
    # The old objects have the properties of the files that the server was started with.
    sys.stdin = os.fdopen(0, closefd=False)
    sys.stdout = os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, errors="backslashreplace", closefd=False)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.argv = command
    _leave(_run(command[0]))


def _run(program: str) -> int:
    """Run a module or a script; return its exit code. An error ends it as it ends any program."""
    try:
        if program.endswith(".py"):
            sys.path[0] = os.path.realpath(os.path.dirname(program))
            runpy.run_path(program, run_name="__main__")
        else:
            runpy.run_module(program, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or 0
        sys.stderr.write(f"{end.code}\n")
        return 1
    return 0


def _leave(code: int) -> NoReturn:
    """End this process in the order of any program, but do not tear down what it has imported.

    The modules are those of the server: to free their objects means to copy their memory first.
    """
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    for name in sys.argv[2:]:
        importlib.import_module(name)
    gc.freeze()  # no child looks for garbage in the imported modules, not even when it ends
    with socket.socket(fileno=int(sys.argv[1])) as asking:
        _serve(asking)
