"""Signals are handled while a block runs, and not after it."""

import asyncio
import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeAlias

import pytest

from pyasynq.runtime.os_signals import handle_os_signals, handle_stop_signals, send
from tests.support.waiting import wait_until

Meaning: TypeAlias = signal.Handlers | Callable[..., object]

FORK: Final = multiprocessing.get_context("fork")
FORKING: Final = pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")


async def test_a_signal_reaches_the_handler() -> None:
    seen: list[int] = []
    with handle_os_signals(["SIGUSR1"], seen.append):
        os.kill(os.getpid(), signal.SIGUSR1)
        await wait_until(lambda: seen == [signal.SIGUSR1])


async def test_a_stop_signal_is_logged_and_passed_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "pyasynq")
    stopped = asyncio.Event()
    with handle_stop_signals(logging.getLogger("pyasynq"), stopped.set):
        os.kill(os.getpid(), signal.SIGTERM)
        await stopped.wait()
    assert caplog.messages == ["SIGTERM: shutting down"]


async def test_after_the_block_the_signal_has_its_usual_meaning() -> None:
    before = signal.getsignal(signal.SIGUSR1)
    with handle_os_signals(["SIGUSR1"], lambda _: None):
        assert signal.getsignal(signal.SIGUSR1) is not before
    assert signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL


async def test_a_signal_that_the_system_does_not_know_is_ignored() -> None:
    with handle_os_signals(["SIGNOTHING"], lambda _: None):
        assert signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL


async def test_a_signal_reaches_all_handlers() -> None:
    first: list[int] = []
    second: list[int] = []
    with (
        handle_os_signals(["SIGUSR1"], first.append),
        handle_os_signals(["SIGUSR1"], second.append),
    ):
        os.kill(os.getpid(), signal.SIGUSR1)
        await wait_until(lambda: first == second == [signal.SIGUSR1])


async def test_a_signal_still_reaches_the_handler_after_another_was_removed() -> None:
    seen: list[int] = []
    with handle_os_signals(["SIGUSR1"], seen.append):
        with handle_os_signals(["SIGUSR1"], lambda _: None):
            pass
        os.kill(os.getpid(), signal.SIGUSR1)
        await wait_until(lambda: seen == [signal.SIGUSR1])


async def test_after_the_block_a_signal_means_what_it_meant_before() -> None:
    def own(*_: object) -> None: ...

    usual = signal.signal(signal.SIGUSR1, own)
    try:
        with handle_os_signals(["SIGUSR1"], lambda _: None):
            assert signal.getsignal(signal.SIGUSR1) is not own
        assert signal.getsignal(signal.SIGUSR1) is own
    finally:
        signal.signal(signal.SIGUSR1, usual)


async def test_a_signal_that_the_loop_handled_before_has_no_handler_after_the_block() -> None:
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, lambda: None)
    with handle_os_signals(["SIGUSR1"], lambda _: None):
        pass
    assert signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL


@pytest.mark.parametrize("meaning", [signal.SIG_IGN, lambda *_: None], ids=["nohup", "its own"])
async def test_a_hangup_that_has_a_meaning_keeps_it(meaning: Meaning) -> None:
    usual = signal.signal(signal.SIGHUP, meaning)
    try:
        with handle_os_signals(["SIGHUP"], lambda _: None):
            assert signal.getsignal(signal.SIGHUP) is meaning
    finally:
        signal.signal(signal.SIGHUP, usual)


async def test_a_loop_without_signal_support_still_handles_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object) -> None:
        raise NotImplementedError  # as on Windows

    seen: list[int] = []
    loop = asyncio.get_running_loop()
    monkeypatch.setattr(loop, "add_signal_handler", refuse)
    monkeypatch.setattr(loop, "remove_signal_handler", refuse)
    with handle_os_signals(["SIGUSR1"], seen.append):
        os.kill(os.getpid(), signal.SIGUSR1)
        await wait_until(lambda: seen == [signal.SIGUSR1])
    assert signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL


# -- forks -----------------------------------------------------------------------------------------


@FORKING
async def test_a_forked_child_takes_its_own_signals() -> None:
    seen: list[int] = []
    with handle_os_signals(["SIGTERM", "SIGUSR1"], seen.append):
        child = FORK.Process(target=signal.pause)
        child.start()
        child.terminate()
        await asyncio.to_thread(child.join, 60)
        os.kill(os.getpid(), signal.SIGUSR1)
        await wait_until(lambda: signal.SIGUSR1 in seen)
    assert child.exitcode == -signal.SIGTERM
    assert seen == [signal.SIGUSR1]


@FORKING
async def test_a_child_that_was_forked_by_a_thread_takes_its_own_signals() -> None:
    with handle_os_signals(["SIGTERM"], lambda _: None):
        code = await asyncio.to_thread(_exit_code_of_a_terminated_child)
    assert code == -signal.SIGTERM


@FORKING
async def test_a_forked_child_can_handle_signals_in_its_own_loop() -> None:
    with handle_os_signals(["SIGTERM"], lambda _: None):
        child = FORK.Process(target=_exit_after_a_signal)
        child.start()
        await asyncio.to_thread(child.join, 60)
    assert child.exitcode == 7


@FORKING
async def test_a_fork_blocks_no_signal_for_good() -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    with handle_os_signals(["SIGTERM"], lambda _: None):
        child = FORK.Process(target=_exit_with_the_number_of_blocked_signals)
        child.start()
        await asyncio.to_thread(child.join, 60)
        after = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    assert (child.exitcode, after) == (len(before), before)


def _exit_code_of_a_terminated_child() -> int | None:
    child = FORK.Process(target=signal.pause)
    child.start()
    child.terminate()
    child.join(60)
    return child.exitcode


def _exit_after_a_signal() -> None:
    async def receive() -> None:
        received = asyncio.Event()
        with handle_os_signals(["SIGTERM"], lambda _: received.set()):
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.wait_for(received.wait(), 10)

    asyncio.run(receive())
    os._exit(7)


def _exit_with_the_number_of_blocked_signals() -> None:
    os._exit(len(signal.pthread_sigmask(signal.SIG_BLOCK, [])))


async def test_a_signal_to_a_process_that_has_just_ended_leaves_its_exit_code(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sent, wait_for_child = threading.Event(), os.waitpid

    def late(pid: int, options: int) -> tuple[int, int]:
        if not options:  # asyncio's own, in a thread
            sent.wait(20)
        return wait_for_child(pid, options)

    monkeypatch.setattr(os, "waitpid", late)
    process = await asyncio.create_subprocess_exec("sh", "-c", "exit 7")
    state = Path(f"/proc/{process.pid}/stat")
    await wait_until(lambda: state.read_text().rpartition(") ")[2].startswith("Z"))
    send(process, signal.SIGTERM)
    sent.set()
    assert await process.wait() == 7
