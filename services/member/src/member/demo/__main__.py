"""Run the demo: ``python -m member.demo``. Exit codes: 0 success, 1 failure, 130 interrupted."""

import asyncio
import signal
import sys
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from member.demo.stage import set_stage
from member.demo.story import play

_TITLE = """\
Two members sign up and get verification mails, though the service and Redis fail meanwhile.

The service stores a member together with the task "send verify email", and answers at once.
A relay moves the task to Redis; a background worker takes it when it is due and sends the mail.
Everything runs in a temporary folder and on loopback ports of its own.
"""

_LEAST_DELAY_S = 3  # the acts take place while the first task waits


def main() -> int:
    """Run the demo; return the exit code."""
    arguments = _arguments().parse_args()
    lines: list[str] = []
    try:
        asyncio.run(_demo(lines, arguments.delay))
    except asyncio.CancelledError:
        _complain("interrupted; everything that was started is stopped")
        return 130
    except Exception as error:  # noqa: BLE001 - print any error, with the logs
        _complain(f"the demo failed: {_reason(error)}", lines)
        return 1
    print("\nDone: both members are verified, and nothing is left running.")  # noqa: T201
    return 0


def _arguments() -> ArgumentParser:
    parser = ArgumentParser(prog="python -m member.demo", description=_TITLE.partition("\n")[0])
    parser.add_argument(
        "--delay",
        type=_delay,
        default=10,
        metavar="SECONDS",
        help=f"wait before the mails, at least {_LEAST_DELAY_S}; by default the tutorial's 10",
    )
    return parser


def _delay(text: str) -> int:
    """Parse a delay, in seconds."""
    if int(text) < _LEAST_DELAY_S:
        msg = f"must be at least {_LEAST_DELAY_S}"
        raise ArgumentTypeError(msg)
    return int(text)


async def _demo(lines: list[str], delay_s: int) -> None:
    print(_TITLE, flush=True)  # noqa: T201
    _end_by_signal()
    with TemporaryDirectory(prefix="member-demo-", ignore_cleanup_errors=True) as folder:
        async with set_stage(Path(folder), lines, delay_s=delay_s) as stage:
            await play(stage)


def _end_by_signal() -> None:
    """End the demo in order at the first signal; later ones cannot disturb the cleanup."""
    loop, demo = asyncio.get_running_loop(), asyncio.current_task()
    interrupted = False

    def interrupt() -> None:
        nonlocal interrupted
        if demo and not interrupted:
            interrupted = True
            demo.cancel()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, interrupt)


def _reason(error: Exception) -> str:
    """Return the text of the first error; a group holds it one level down."""
    match error:
        case ExceptionGroup(exceptions=(first, *_)):
            return _reason(first)
        case _:
            return str(error) or type(error).__name__


def _complain(why: str, lines: Sequence[str] = ()) -> None:
    sys.stderr.write(f"\n{why}\n")
    if lines:
        sys.stderr.write("\nWhat the service logged:\n")
        sys.stderr.writelines(f"  {line}\n" for line in lines[-60:])


if __name__ == "__main__":
    sys.exit(main())
