"""Assertions about the tasks of a test."""

from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self, TypeAlias

from pyasynq.broker import Broker
from pyasynq.core.info import TaskInfo
from pyasynq.testing.expectation import Expectation, describe
from pyasynq.testing.kit import Kit
from pyasynq.testing.runs import Ran

if TYPE_CHECKING:
    from pyasynq.app import TypedTask
    from pyasynq.core.task import Task

MOST_LISTED: Final = 20
"""Tasks that a message lists."""

Wanted: TypeAlias = "TypedTask[..., Any] | Task | str | None"


class Assertions:
    """What tests ask about the tasks that wait, and about those that have run.

    The tasks of the process are in memory while a ``with`` block runs.
    """

    def __init__(self, kit: Kit, *, inline: bool) -> None:
        """Ask *kit*; with *inline* begin in that mode."""
        self._kit = kit
        self._begins_inline = inline
        self._block = ExitStack()

    def __enter__(self) -> Self:
        """Keep the tasks of this process in memory from now on.

        Raises:
            PyasynqError: If another block does so already.
        """
        with ExitStack() as block:
            block.enter_context(self._kit.entered())
            if self._begins_inline:
                block.enter_context(self._kit.inline())
            self._block = block.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Forget the tasks, and use the brokers of the program again.

        Raises:
            NotAwaitedError: If a call was never awaited.
        """
        self._block.__exit__(kind, error, traceback)

    @property
    def now(self) -> datetime:
        """The time by the clock of this test, UTC. It stands still until the test moves it."""
        return self._kit.clock.now()

    @property
    def broker(self) -> Broker:
        """The memory that has the tasks, for what the other methods do not show."""
        return self._kit.memory.broker

    @property
    def ran(self) -> Sequence[Ran]:
        """All runs of tasks so far, oldest first; without those of `worker`."""
        return [*self._kit.ran]

    def enqueued(self, task: Wanted = None, /, **matches: object) -> list[TaskInfo]:
        """Return the tasks that wait to run, by queue; without those that have run.

        Args:
            task: A typed task, a type, or a `Task`, whose payload must be equal; None for all.
            **matches: Arguments of the task by name, and facts: *queue*, *group*, *id*, *state*,
                *payload*, *headers* (the task may have more), and *process_at* or *process_in* from
                now, give or take a second. Write *arguments*, a mapping, for an argument of such a
                name.

        Raises:
            OptionError: If a fact cannot be.
            TypeError: If the typed task has no such parameter.
        """
        expected = self._expect(task, matches)
        return [info for info in self._kit.waiting() if not expected.differences(info)]

    def assert_enqueued(
        self, task: Wanted = None, /, *, count: int | None = None, **matches: object
    ) -> None:
        """Check that a task waits to run that fits; see `enqueued`.

        Args:
            task: See `enqueued`.
            count: Number of such tasks; None for at least one.
            **matches: See `enqueued`.

        Raises:
            AssertionError: If not; it lists what waits, and how that differs.
            OptionError: If a fact cannot be.
            TypeError: If the typed task has no such parameter.
        """
        __tracebackhide__ = True
        found = len(self.enqueued(task, **matches))
        if found == count or (count is None and found):
            return
        raise AssertionError(self._message(found, count, self._expect(task, matches)))

    def refute_enqueued(self, task: Wanted = None, /, **matches: object) -> None:
        """Check that no task waits to run that fits; see `enqueued`.

        Raises:
            AssertionError: If one does; it lists what waits.
            OptionError: If a fact cannot be.
            TypeError: If the typed task has no such parameter.
        """
        __tracebackhide__ = True
        if found := self.enqueued(task, **matches):
            raise AssertionError(self._message(len(found), None, self._expect(task, matches)))

    @contextmanager
    def inline(self) -> Generator[None]:
        """While the block runs, run each task before its ``enqueue`` returns.

        Delayed tasks wait for their time, so `advance` runs them. The error of a task is raised by
        the ``enqueue``. Not for code that handles errors of ``enqueue`` itself.

        Raises:
            PyasynqError: Without an app.
        """
        with self._kit.inline():
            yield

    def _expect(self, task: Wanted, matches: dict[str, object]) -> Expectation:
        return Expectation(task, matches, types=self._kit.types, now=self.now)

    def _message(self, found: int, count: int | None, expected: Expectation) -> str:
        number = {0: "no task is", 1: "1 task is"}.get(found, f"{found} tasks are")
        instead = "" if count is None else f", instead of {count}"
        lines = [f"{number} enqueued{instead}: {expected}", *self._list_waiting(expected)]
        if types := list(dict.fromkeys(run.type for run in self.ran)):
            lines.append(f"tasks that have run, and wait no more: {', '.join(types[:MOST_LISTED])}")
        lines += map(str, self._kit.forgotten)
        return "\n".join(lines)

    def _list_waiting(self, expected: Expectation) -> list[str]:
        """Return a line for each waiting task, with what differs; the most similar ones first."""
        waiting = [(info, expected.differences(info)) for info in self._kit.waiting()]
        if not waiting:
            return ["nothing is enqueued"]
        waiting.sort(key=lambda it: (it[0].type != expected.type, len(it[1])))
        lines = ["enqueued are:"]
        for info, differences in waiting[:MOST_LISTED]:
            lines.append(f"  {describe(info, self._kit.types, self.now)}")
            if differences and info.type == expected.type:
                lines.append(f"    differs: {'; '.join(differences)}")
        if len(waiting) > MOST_LISTED:
            lines.append(f"  and {len(waiting) - MOST_LISTED} more")
        return lines
