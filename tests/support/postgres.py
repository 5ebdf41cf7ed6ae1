"""A private PostgreSQL on a Unix socket."""

import atexit
import functools
import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Literal, Self


class MissingPostgresError(RuntimeError):
    """The programs of PostgreSQL are not installed."""

    def __init__(self) -> None:
        remedy = "run `make test`, or install the package postgresql"
        super().__init__(f"PostgreSQL is not installed: {remedy}")


class PostgresServer:
    """One PostgreSQL in its own folder; as a context manager it is started and removed."""

    def __init__(self, *, durable: bool = False) -> None:
        """Prepare the folder; commits wait for the disk only if *durable*."""
        self._fsync = "on" if durable else "off"
        self.home = Path(tempfile.mkdtemp(prefix="pg-"))
        self._data = self.home / "data"
        self._databases = 0

    def start(self) -> None:
        _give_away(self.home)
        _run("cp", "-a", _new_data(), self._data)
        self.start_again()

    def start_again(self) -> None:
        """Start the server with the data it has."""
        options = (
            f"-c listen_addresses= -c unix_socket_directories={self.home} -c fsync={self._fsync}"
        )
        _run("pg_ctl", "start", "-w", "-D", self._data, "-l", self.home / "log", "-o", options)

    def halt(self, mode: Literal["fast", "immediate"]) -> None:
        """End the server: cleanly, or immediately, with a recovery at the next start."""
        _run("pg_ctl", "stop", "-D", self._data, "-m", mode)

    def stop(self) -> None:
        if (self._data / "postmaster.pid").exists():
            self.halt("immediate")
        shutil.rmtree(self.home)

    def new_database(self) -> str:
        """Return the address of an empty database."""
        self._databases += 1
        name = f"test{self._databases}"
        _run("createdb", "-h", self.home, "-U", "postgres", name)
        return f"postgresql://postgres@/{name}?host={self.home}"

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


@functools.cache
def _new_data() -> Path:
    """Return the data folder that `initdb` makes; a copy is eight times as fast."""
    home = Path(tempfile.mkdtemp(prefix="pg-"))
    atexit.register(shutil.rmtree, home)
    _give_away(home)
    _run("initdb", "-D", home / "data", "-A", "trust", "-U", "postgres", "--no-sync")
    return home / "data"


def _give_away(folder: Path) -> None:
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root
        shutil.chown(folder, _other_user())


def _run(name: str, *arguments: str | Path) -> None:
    command = [*_as_user(), _program(name), *arguments]
    # Use files: the server inherits them, and reading from a pipe would never end.
    with tempfile.TemporaryFile() as said:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=said, stderr=said, cwd="/", check=False
        )
        said.seek(0)
        assert done.returncode == 0, said.read().decode()


def _program(name: str) -> Path:
    # Debian keeps the server's programs outside PATH.
    found = [Path(p) for p in [shutil.which(name)] if p]
    found += sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), reverse=True)
    if not found:
        raise MissingPostgresError
    return found[0]


def _other_user() -> str:
    names = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in ("postgres", "nobody") if name in names)


def _as_user() -> list[str]:
    if os.geteuid() != 0:
        return []
    return ["setpriv", f"--reuid={_other_user()}", "--clear-groups"]
