"""Run the member service until SIGTERM or SIGINT; a second signal ends it at once."""

import argparse
import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any, TypeAlias

import structlog
from sqlalchemy.exc import SQLAlchemyError

import pyasynq
from member import tracing
from member.administration import grant, revoke
from member.errors import MemberError
from member.logs import set_up_logs
from member.program import running
from member.roles import Role, listed
from member.settings import Settings, SettingsError, load_settings

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

Change: TypeAlias = Callable[[Settings, str], Awaitable[None]]

_SIGNALS = (signal.SIGTERM, signal.SIGINT)

# To interrupt what did not end by itself, to write what became of it, and to close.
_LEAVING_S = 9.0


class SlowStopError(Exception):
    """The stop took longer than it may, even after running work was interrupted."""

    def __init__(self, limit_s: float) -> None:
        """Name the limit."""
        super().__init__(f"the stop took longer than {limit_s:g} s; what is left ends now")


# Redis, the database or an address is not to be had, or something does not end.
_NOT_OURS = (MemberError, pyasynq.PyasynqError, SQLAlchemyError, OSError, SlowStopError)


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the *arguments* say, those of the command line when None; return the exit code."""
    words = _command_line().parse_args(arguments)
    flags = {"roles": words.roles} if words.roles is not None else {}
    try:
        settings = load_settings(**flags)
    except SettingsError as error:
        sys.stderr.writelines(f"member: cannot start: {p}\n" for p in error.problems)
        return 2
    set_up_logs(json=settings.logs_json, level=settings.log_level)
    try:
        with tracing.exporting():
            asyncio.run(words.run(settings, words))
    except KeyboardInterrupt:  # the second one
        return 130
    except Exception as error:  # noqa: BLE001 - told, whatever it is
        _tell(words.task, error)
        return 1
    return 0


def _command_line() -> argparse.ArgumentParser:
    """Return what reads the arguments; a subcommand sets another ``run``."""
    parser = argparse.ArgumentParser(prog="member", description=__doc__)
    parser.set_defaults(run=_serve, task="member service")
    names = listed(Role)
    parser.add_argument(
        "--roles", metavar=names, help="what this process does; ROLES when not given, else all"
    )
    commands = parser.add_subparsers(title="administration")
    _add_command(commands, "grant", grant, "make a member an administrator")
    _add_command(commands, "revoke", revoke, "make an administrator an ordinary member again")
    return parser


def _add_command(commands: Any, name: str, change: Change, help_text: str) -> None:  # noqa: ANN401 - argparse has no name for it
    """Add a command that does something to one member."""

    async def run(settings: Settings, words: argparse.Namespace) -> None:
        await change(settings, words.membername)
        log.info("done", command=name, membername=words.membername)

    command = commands.add_parser(name, help=help_text, description=help_text)
    command.add_argument("membername")
    # It asks for the database alone, and so for no more settings than the relay.
    command.set_defaults(run=run, task=name, roles=Role.RELAY.value)


def _tell(task: str, error: Exception) -> None:
    """Log why *task* failed; a trace helps only where the fault may be ours."""
    causes, event = list(_leaves(error)), f"{task} failed"
    if not all(isinstance(cause, _NOT_OURS) for cause in causes):
        log.error("here is where it failed", exc_info=error)
    for cause in causes:
        notes: list[str] = getattr(cause, "__notes__", [])
        log.critical(event, error=": ".join([*notes, str(cause)]))


def _leaves(error: Exception) -> Iterator[Exception]:
    """Yield what a tree of groups holds."""
    match error:
        case ExceptionGroup(exceptions=inner):
            for one in inner:
                yield from _leaves(one)
        case _:
            yield error


async def _serve(settings: Settings, _words: argparse.Namespace) -> None:
    stop, limit = _stop_signal(), asyncio.timeout(None)
    allowed_s = settings.shutdown_timeout.total_seconds() + _LEAVING_S
    try:
        async with limit, running(settings):
            await stop.wait()
            limit.reschedule(asyncio.get_running_loop().time() + allowed_s)
    except TimeoutError as error:
        raise (SlowStopError(allowed_s) if limit.expired() else error) from None


def _stop_signal() -> asyncio.Event:
    loop, stop = asyncio.get_running_loop(), asyncio.Event()

    def stop_gracefully() -> None:
        stop.set()
        for number in _SIGNALS:  # the next one does what it does to any program
            loop.remove_signal_handler(number)

    for number in _SIGNALS:
        loop.add_signal_handler(number, stop_gracefully)
    return stop


if __name__ == "__main__":
    sys.exit(main())
