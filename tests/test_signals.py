"""Signals are heard while a block runs, and not after it."""

import os
import signal

from pyasynq.signals import heard
from tests.waiting import wait_until


async def test_a_signal_reaches_the_handler() -> None:
    seen: list[int] = []
    with heard(["SIGUSR1"], seen.append):
        os.kill(os.getpid(), signal.SIGUSR1)
        await wait_until(lambda: seen == [signal.SIGUSR1])


async def test_after_the_block_the_signal_has_its_usual_meaning() -> None:
    before = signal.getsignal(signal.SIGUSR1)
    with heard(["SIGUSR1"], lambda _: None):
        assert signal.getsignal(signal.SIGUSR1) is not before
    assert signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL


async def test_a_signal_that_the_system_does_not_know_is_left_out() -> None:
    with heard(["SIGNOTHING"], lambda _: None):
        assert signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL
