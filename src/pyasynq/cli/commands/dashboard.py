"""``pyasynq dashboard``: serve the dashboard to browsers."""

import asyncio
import ipaddress
import webbrowser
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import click

from pyasynq.cli import http, output
from pyasynq.cli.command_group import Command
from pyasynq.cli.connection_options import ConnectionOptions, with_connection
from pyasynq.cli.exit_codes import Exit
from pyasynq.cli.option_types import ADDRESS, option_with_variable
from pyasynq.cli.optional_deps import require
from pyasynq.cli.options import log_options
from pyasynq.cli.run_inspector import check_file, exit_errors
from pyasynq.runtime.os_signals import STOP_SIGNALS, handle_os_signals

if TYPE_CHECKING:
    from pyasynq.dashboard import Authorize, Dashboard

EXTRA: Final = ("dashboard", "the dashboard needs starlette, uvicorn and argon2-cffi")
ROLES: Final = ("viewer", "operator", "admin")

GRACE_S: Final = 2
"""Seconds that requests have left when the dashboard stops."""


@click.command(cls=Command)
@option_with_variable(
    "--address",
    **ADDRESS,
    default="127.0.0.1:8080",
    show_default=True,
    help="Where to serve the dashboard.",
)
@option_with_variable("--read-only", is_flag=True, help="Refuse every change.")
@click.option("--open", "opens", is_flag=True, help="Open the dashboard in a browser.")
@option_with_variable(
    "--users",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False),
    help="File with the users who may log in: on each line name, role and hash.",
)
@option_with_variable(
    "--proxy-header",
    metavar="NAME",
    help="Header in which a trusted proxy names the user, such as X-Forwarded-User.",
)
@option_with_variable(
    "--trusted-proxy",
    metavar="NETWORK",
    multiple=True,
    default=("127.0.0.1", "::1"),
    show_default=True,
    help="Address or network of the proxy; repeatable.",
)
@option_with_variable(
    "--proxy-role",
    type=click.Choice(ROLES, case_sensitive=False),
    default="viewer",
    show_default=True,
    help="Role of the users whom the proxy names.",
)
@option_with_variable(
    "--without-login",
    is_flag=True,
    help="Let in everybody who can reach the address, as an administrator.",
)
@option_with_variable(
    "--host",
    "hosts",
    metavar="NAME",
    multiple=True,
    help="Name under which browsers reach the dashboard without a login; repeatable.",
)
@log_options
@with_connection
def dashboard(
    *,
    connection: ConnectionOptions,
    address: tuple[str, int],
    read_only: bool,
    opens: bool,
    log_format: str | None,
    log_level: str | None,
    **login: Any,  # noqa: ANN401 - the fields of LoginOptions
) -> int:
    """Serve the dashboard, and its JSON API, to browsers.

    Without a login, it serves this machine only. Hashes for --users are made by
    pyasynq.dashboard.hash_password and hash_token.
    """
    for package in ("starlette", "uvicorn", "argon2"):
        require(package, *EXTRA)
    from pyasynq.cli import logs
    from pyasynq.dashboard import Dashboard

    options = LoginOptions(**login)
    options.check(address[0])
    logs.set_up(log_format, log_level)
    with exit_errors():
        check_file(connection.url)
        app = Dashboard(
            connection.url,
            authorize=options.authorize(),
            read_only=read_only,
            hosts=[*options.hosts, "localhost"] if options.hosts else None,
        )
        asyncio.run(_serve(app, address, opens=opens))
    return Exit.OK


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginOptions:
    """The options that choose who may use the dashboard; see their help."""

    users: str | None
    proxy_header: str | None
    trusted_proxy: Sequence[str]
    proxy_role: str
    without_login: bool
    hosts: Sequence[str]

    def check(self, host: str) -> None:
        """Return if one login at most is chosen, and one unless *host* is this machine.

        Raises:
            click.UsageError: If it is otherwise.
        """
        chosen = [self.users, self.proxy_header, self.without_login]
        names = "--users, --proxy-header and --without-login"
        if sum(map(bool, chosen)) > 1:
            msg = f"choose one of {names}"
            raise click.UsageError(msg)
        if not any(chosen) and not _is_loopback(host):
            msg = f"at {host} others could reach it: choose one of {names}"
            raise click.UsageError(msg)

    def authorize(self) -> "Authorize | None":
        """Return the chosen login; None is that of this machine only."""
        from pyasynq.dashboard import FileLogin, NoLogin, ProxyLogin

        if self.users is not None:
            return FileLogin(self.users)
        if self.proxy_header is not None:
            trusted, role = self.trusted_proxy, self.proxy_role
            return ProxyLogin(self.proxy_header, trusted=trusted, role=role)
        return NoLogin() if self.without_login else None


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


async def _serve(app: "Dashboard", address: tuple[str, int], *, opens: bool) -> None:
    """Serve *app* until a signal stops it."""
    import uvicorn

    class Server(uvicorn.Server):
        """A server that leaves signals to us: it would end the process by them once more."""

        @contextmanager
        def capture_signals(self) -> Generator[None]:
            yield

    host, port = address
    config = uvicorn.Config(
        app,
        lifespan="on",
        access_log=False,
        log_config=None,
        log_level="warning",
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_S,
    )
    server = Server(config)
    stopped = asyncio.Event()
    stops = handle_os_signals(STOP_SIGNALS, lambda _: stopped.set())
    with http.listen(host, port) as listener, stops:
        async with asyncio.TaskGroup() as group:
            group.create_task(server.serve(sockets=[listener]), name="pyasynq dashboard")
            url = f"http://{f'[{host}]' if ':' in host else host}:{port}/"
            output.print_message(f"dashboard at {url}")
            if opens:
                await asyncio.to_thread(webbrowser.open, url)
            await stopped.wait()
            app.end_streams()
            server.should_exit = True
