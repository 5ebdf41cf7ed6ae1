"""Run the member service until SIGTERM or SIGINT; a second signal ends it at once."""

import argparse
import asyncio
import gc
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
from member.roles import Role, format_roles
from member.settings import Settings, SettingsError, load_settings

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

Change: TypeAlias = Callable[[Settings, str], Awaitable[None]]

_SIGNALS = (signal.SIGTERM, signal.SIGINT)

# Time to interrupt the work that has not ended, to write its outcome, and to close.
_CLOSING_S = 9.0


class SlowStopError(Exception):
    """The stop took longer than it may, even after running work was interrupted."""

    def __init__(self, limit_s: float) -> None:
        """Name the limit."""
        super().__init__(f"the stop took longer than {limit_s:g} s; what is left ends now")


# Redis, the database or an address is unavailable, or something does not end.
_NOT_OURS = (MemberError, pyasynq.PyasynqError, SQLAlchemyError, OSError, SlowStopError)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command in *arguments* (None: those of the process); return the exit code."""
    # The imported modules stay. Without this, each full garbage collection would stop all calls
    # while it looks through them, and the last one would delay the end of the process.
    gc.freeze()
    args = _argument_parser().parse_args(arguments)
    flags = {"roles": args.roles} if args.roles is not None else {}
    try:
        settings = load_settings(**flags)
    except SettingsError as error:
        sys.stderr.writelines(f"member: cannot start: {p}\n" for p in error.problems)
        return 2
    set_up_logs(json=settings.logs_json, level=settings.log_level)
    try:
        with tracing.exporting():
            asyncio.run(args.run(settings, args))
    except KeyboardInterrupt:  # the second signal
        return 130
    except Exception as error:  # noqa: BLE001 - log any error
        _log_failure(args.task, error)
        return 1
    return 0


def _argument_parser() -> argparse.ArgumentParser:
    """Return the parser of the arguments; each subcommand sets its own ``run``."""
    parser = argparse.ArgumentParser(prog="member", description=__doc__)
    parser.set_defaults(run=_serve, task="member service")
    names = format_roles(Role)
    parser.add_argument(
        "--roles", metavar=names, help="what this process does; ROLES when not given, else all"
    )
    commands = parser.add_subparsers(title="administration")
    _add_command(commands, "grant", grant, "make a member an administrator")
    _add_command(commands, "revoke", revoke, "make an administrator an ordinary member again")
    return parser


def _add_command(commands: Any, name: str, change: Change, help_text: str) -> None:  # noqa: ANN401 - argparse has no name for it
    """Add a command that changes one member."""

    async def run(settings: Settings, args: argparse.Namespace) -> None:
        await change(settings, args.membername)
        log.info("done", command=name, membername=args.membername)

    command = commands.add_parser(name, help=help_text, description=help_text)
    command.add_argument("membername")
    # The command needs only the database: no more settings than the relay.
    command.set_defaults(run=run, task=name, roles=Role.RELAY.value)


def _log_failure(task: str, error: Exception) -> None:
    """Log why *task* failed; with a traceback only if the fault may be in this program."""
    causes, event = list(_causes(error)), f"{task} failed"
    if not all(isinstance(cause, _NOT_OURS) for cause in causes):
        log.error("traceback of the failure", exc_info=error)
    for cause in causes:
        notes: list[str] = getattr(cause, "__notes__", [])
        log.critical(event, error=": ".join([*notes, str(cause)]))


def _causes(error: Exception) -> Iterator[Exception]:
    """Yield the errors in nested exception groups, or *error* itself."""
    match error:
        case ExceptionGroup(exceptions=inner):
            for one in inner:
                yield from _causes(one)
        case _:
            yield error


async def _serve(settings: Settings, _args: argparse.Namespace) -> None:
    stop, limit = _stop_signal(), asyncio.timeout(None)
    allowed_s = settings.shutdown_timeout.total_seconds() + _CLOSING_S
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
        for number in _SIGNALS:  # the next signal has its default effect
            loop.remove_signal_handler(number)

    for number in _SIGNALS:
        loop.add_signal_handler(number, stop_gracefully)
    return stop


if __name__ == "__main__":
    sys.exit(main())
