"""Start programs of this repository without waiting for their imports.

A server process imports the modules of a program once. For each start it forks, and the child runs
the program as ``python -m`` does, with its own environment, folder and output. This is for programs
that tests start dozens of times; other tests start programs as users do.
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
from collections.abc import Mapping, Sequence
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
) -> ForkedProcess:
    """Start a module in a forked process.

    Args:
        command: Name of the module, and its arguments.
        imports: Modules to import before the fork; there is one server for each selection.
        variables: Environment variables, added to those of this process.
        folder: Its working directory.
        output: File descriptor for its output.
    """
    server = _server(imports)
    return ForkedProcess(server.start(command, variables, folder, output), server)


@functools.cache
def _server(imports: tuple[str, ...]) -> "ForkServer":
    server = ForkServer(imports)
    atexit.register(server.close)
    return server


class ForkServer:
    """A process that imports modules once and then forks."""

    def __init__(self, imports: Sequence[str]) -> None:
        self._requests, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            command = [sys.executable, "-m", __name__, str(theirs.fileno()), *imports]
            self._process = subprocess.Popen(command, cwd=_ROOT, pass_fds=[theirs.fileno()])

    def close(self) -> None:
        """End the process."""
        self._requests.close()
        self._process.wait()

    def start(
        self, command: Sequence[str], variables: Mapping[str, str], folder: Path, output: int
    ) -> int:
        """Start a module, as `start_forked` does; return its process id."""
        environment = {**os.environ, **variables}
        request = {"command": command, "environment": environment, "folder": str(folder)}
        return self._ask(request, output)

    def exit_code(self, pid: int) -> int:
        """Return the exit code of an ended process, or the negative signal number."""
        return self._ask({"ended": pid})

    def _ask(self, request: Mapping[str, object], *files: int) -> int:
        attached = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", files))]
        self._requests.sendmsg([json.dumps(request).encode()], attached if files else [])
        return int(self._requests.recv(_REQUEST_BYTES))


def _serve(requests: socket.socket) -> None:
    while True:
        request, files, _flags, _address = socket.recv_fds(requests, _REQUEST_BYTES, 1)
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
            os.close(files[0])
        requests.send(str(answer).encode())


def _become(command: list[str], environment: dict[str, str], folder: str, output: int) -> NoReturn:
    os.dup2(output, sys.stdout.fileno())
    os.dup2(output, sys.stderr.fileno())
    os.close(output)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    module, *arguments = command
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
    sys.exit()


if __name__ == "__main__":
    for name in sys.argv[2:]:
        importlib.import_module(name)
    gc.freeze()  # no child looks for garbage in the imported modules, not even when it ends
    with socket.socket(fileno=int(sys.argv[1])) as asking:
        _serve(asking)
