"""Run the demo; its services are forks of this process, which need no time for their imports.

``python -m services.member.tests.forked_demo`` with the arguments of ``python -m member.demo``.
"""

import signal
import sys
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from member.demo import service
from member.demo.__main__ import main
from tests.support.fork_server import ForkedProcess, fork_server_here


def fork_services() -> None:
    """Let the demo start its services by a fork of this process."""
    server = fork_server_here()

    @asynccontextmanager
    async def program(
        command: Sequence[str], *, folder: Path, variables: Mapping[str, str]
    ) -> AsyncGenerator[ForkedProcess]:
        assert command == (sys.executable, "-m", "member")
        async with server.running(command[2:], variables, folder) as process:
            try:
                yield process
            finally:
                process.send_signal(signal.SIGTERM)
                await process.wait()

    setattr(service, "program", program)  # noqa: B010 - it has another type


if __name__ == "__main__":
    fork_services()
    sys.exit(main())
