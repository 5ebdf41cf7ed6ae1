"""What all pages do: read again and again, show how old that is, ask before they act."""

import asyncio
import functools
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, ClassVar, Final

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.screen import Screen
from textual.widgets import Input, Static

from pyasynq.core.errors import BrokerError, PyasynqError
from pyasynq.operations.jobs import Job
from pyasynq.operations.permissions import Permission
from pyasynq.operations.search import SearchError, parse_span
from pyasynq.terminal import texts
from pyasynq.terminal.desk import Desk
from pyasynq.terminal.dialogs import Prompt, Question
from pyasynq.terminal.keys import KeyLine, shortcut
from pyasynq.terminal.requests import ABOUT, ASK, DONE, Request, about_time

INTERVAL_S: Final = 1.0
"""Seconds between two readings."""

OLD_S: Final = 5.0
"""Seconds after which numbers are shown as old, beyond the pause between two readings."""

TIMES: Final = "30s, 10m, 1h30m or 2d"
"""Examples of a time from now."""

WHILE_WRITING: Final = ("back",)
"""Actions whose keys mean no text."""

TICK_S: Final = 0.25
"""Seconds between two looks at the age of the numbers, and at jobs."""


class Page(Screen[None], inherit_bindings=False):
    """One page; subclasses make its body, and read what it shows."""

    TAB: ClassVar[str] = ""
    COST: ClassVar[int] = 9
    """A reading that takes long is followed by a pause that is this many times as long."""

    BINDINGS: ClassVar[list[BindingType]] = [
        shortcut("escape", "back", "back", show=False),
        shortcut("full_stop", "stop_job", "stop the action on many", show=False),
    ]

    def __init__(self, desk: Desk) -> None:
        """Show what *desk* reads."""
        super().__init__()
        self.desk: Desk = desk
        self._pause_s = INTERVAL_S
        self._wanted = asyncio.Event()
        self._is_shown = asyncio.Event()
        # Found by their names here: a page that is being removed has no children any more, while
        # its last reading may still end.
        self._parts: dict[str, Static] = {}
        self._texts: dict[str, Text] = {}

    # -- what subclasses do ------------------------------------------------------------------------

    def body(self) -> ComposeResult:
        """Make what is between the top and the keys."""
        raise NotImplementedError

    async def load(self) -> None:
        """Read what the page shows, and show it.

        Raises:
            PyasynqError: If it cannot be read.
        """
        raise NotImplementedError

    def show_missing(self, error: PyasynqError) -> None:
        """Show that what the page is about cannot be read, although the broker answers."""
        self.put("problem", Text(f"✕ {texts.safe(str(error))}", "bold red"))

    # -- reading -----------------------------------------------------------------------------------

    def compose(self) -> ComposeResult:
        """Make the page."""
        yield self.part("top")
        yield self.part("trouble")
        yield self.part("problem")
        yield from self.body()
        yield self.part("job")
        yield KeyLine()

    def on_mount(self) -> None:
        """Begin to read."""
        self.run_worker(self._poll(), group="poll")
        self.set_interval(TICK_S, self.show_state)
        self.show_state()

    def on_screen_resume(self) -> None:
        """Go on reading."""
        self._is_shown.set()
        self.read_soon()

    def on_screen_suspend(self) -> None:
        """Stop reading while another page or a question is in front of this one."""
        self._is_shown.clear()

    def read_soon(self) -> None:
        """Read again at once."""
        self._wanted.set()

    async def _poll(self) -> None:
        while True:
            await self._is_shown.wait()
            self._wanted.clear()
            began_s = time.monotonic()
            await self._read()
            self._pause_s = max(INTERVAL_S, self.COST * (time.monotonic() - began_s))
            try:
                async with asyncio.timeout(self._pause_s):
                    await self._wanted.wait()
            except TimeoutError:
                continue

    async def _read(self) -> None:
        try:
            await self.load()
        except BrokerError as error:
            self.desk.record_failure(error)
        except PyasynqError as error:
            self.desk.record_answer()
            self.show_missing(error)
        else:
            self.desk.record_answer()
            self.put("problem", Text())
        self.show_state()

    # -- what is around the body -------------------------------------------------------------------

    def part(self, id: str) -> Static:
        """Return a part of the page that shows text, and is hidden without."""
        part = self._parts[id] = Static(id=id)
        part.display = False
        return part

    def put(self, id: str, text: Text) -> None:
        """Show *text* in the part *id*."""
        if self._texts.get(id) != text:
            self._parts[id].update(text)
            self._parts[id].display = bool(text.plain)
            self._texts[id] = text

    def show_state(self) -> None:
        """Show the age of the numbers, trouble, and the job that runs."""
        is_old = self.desk.trouble is not None or self.desk.age_s > OLD_S + self._pause_s
        self.set_class(is_old, "-old")
        self.put("top", self._top(is_old=is_old))
        self.put("trouble", self._trouble())
        self.put("job", _describe(self.desk.running))

    def _top(self, *, is_old: bool) -> Text:
        top = Text(no_wrap=True, overflow="ellipsis")
        for key, title in self.desk.titles.items():
            top.append(" ").append(title, "bold reverse" if key == self.TAB else "")
        age = f"✕ {self.desk.age_s:.0f} s old" if is_old else "● live"
        mode = "  read-only" if self.desk.read_only else ""
        url = texts.safe(self.desk.services.url)
        room = self.app.size.width - top.cell_len
        choices = (f"  {url}{mode}  {age} ", f"{mode}  {age} ", f"{mode} {age[0]} ")
        right = next((it for it in choices if len(it) <= room), choices[-1])
        return top.append(right.rjust(room), "bold yellow" if is_old else "dim")

    def _trouble(self) -> Text:
        trouble = self.desk.trouble
        if trouble is None:
            return Text()
        since = f"{trouble.since.astimezone():%H:%M:%S}"
        name = self.desk.services.broker.name
        text = f"✕ {name} does not answer since {since}: {trouble.why}"
        return Text(texts.safe(text), "bold red")

    # -- acting ------------------------------------------------------------------------------------

    def say(self, text: str, *, is_bad: bool = False) -> None:
        """Say *text* in a corner for some seconds."""
        shown = texts.safe(text)
        self.app.notify(shown, severity="warning" if is_bad else "information", markup=False)

    def may_change(self) -> bool:
        """Return whether something can be changed now; say why if not."""
        if (why := self.desk.refusal) is not None:
            self.say(why, is_bad=True)
        return why is None

    def request(self, request: Request[Any]) -> None:
        """Ask, and do what is requested if the answer is yes."""
        if not request.items or not self.may_change():
            return

        def answer(is_yes: bool | None) -> None:  # noqa: FBT001 - called by textual
            if is_yes:
                self.app.run_worker(self._do(request))  # also if the page is left

        # At once, so that the question gets the next key.
        self.app.push_screen(Question(request.question, request.more), answer)

    async def _do(self, request: Request[Any]) -> None:
        try:
            outcome = await self.desk.services.audit.act_on_each(
                self.desk.principal,
                request.action,
                request.items,
                request.call,
                request.name,
                detail=request.detail,
            )
        except PyasynqError as error:
            self.say(str(error), is_bad=True)
            return
        if outcome.done:
            is_one = len(request.items) == 1
            done = request.name(request.items[0]) if is_one else f"{outcome.done:,}"
            self.say(request.done.replace("{}", done))
        if outcome.refused:
            self.say(f"{len(outcome.refused)} refused: {outcome.why}", is_bad=True)
        self.read_soon()

    def ask_time(self, title: str, go_on: Callable[[datetime], None]) -> None:
        """Ask for the time from now that *title* is about, and go on with that instant."""
        if not self.may_change():
            return

        def answer(text: str | None) -> None:
            if text is None:
                return
            try:
                at = datetime.now(UTC) + parse_span(text)
            except (ValueError, OverflowError):
                self.say(f"{text} is no time: write {TIMES}", is_bad=True)
            else:
                go_on(at)

        more = f"Time from now: {TIMES}; 0s is now."
        self.app.push_screen(Prompt(title, "10m", more=more), answer)

    def change_matching(self, action: Permission, line: str, at: datetime | None = None) -> None:
        """Count the tasks that match *line*, ask, and do *action* to all of them.

        Args:
            action: What is done; it is allowed only in some states.
            line: A search line.
            at: When they are due; only to reschedule them.
        """
        if not self.may_change():
            return

        def answer(is_yes: bool | None) -> None:  # noqa: FBT001 - called by textual
            if is_yes:
                self.app.run_worker(self._do_to_matching(action, line, at))
            else:
                self.desk.stop_counting(line)

        prepare = functools.partial(self._count_matching, action, line)
        text = "Counting the tasks that match…"
        more = ABOUT[action] if at is None else about_time(at)
        self.app.push_screen(Question(text, more, prepare), answer)

    async def _count_matching(self, action: Permission, line: str, question: Question) -> None:
        why = "nothing to do: no task that matches is in a state that allows it"
        try:
            job = await self.desk.count(action, line)
        except (PyasynqError, SearchError) as error:
            self.say(str(error), is_bad=True)
            question.dismiss(False)
            return
        if job.matched and not job.error:
            what = f"{texts.tasks(job.matched)} that {texts.match(job.matched)} {line}"
            question.ask(ASK[action].replace("{}", what))
        else:
            self.say(job.error or why, is_bad=True)
            question.dismiss(False)

    async def _do_to_matching(self, action: Permission, line: str, at: datetime | None) -> None:
        if (job := await self.follow(self.desk.change(action, line, at))) is None:
            return
        self.say(DONE[action].replace("{}", texts.tasks(job.done)))
        if job.refused:
            self.say(f"{job.refused} had moved on meanwhile", is_bad=True)

    async def follow(self, job: Awaitable[Job]) -> Job | None:
        """Wait for the end of *job*, and say why it failed, if it did; None if it did not begin."""
        try:
            ended = await job
        except PyasynqError as error:
            self.say(str(error), is_bad=True)
            return None
        if ended.error:
            self.say(ended.error, is_bad=True)
        self.read_soon()
        return ended

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Return whether a key acts: while a line is written, only the one that leaves it does."""
        return action in WHILE_WRITING or not isinstance(self.focused, Input)

    def action_stop_job(self) -> None:
        """Stop the job that runs; what is done stays done."""
        if (job := self.desk.running) is not None:
            self.desk.services.jobs.stop(job.id)

    def action_back(self) -> None:
        """Return to the page before."""
        if len(self.app.screen_stack) > 1:
            self.app.pop_screen()


def _describe(job: Job | None) -> Text:
    """Return how far *job* is."""
    if job is None:
        return Text()
    if job.action is Permission.QUEUE_DELETE:
        text = f"delete queue {job.q}: {job.done:,} of {job.total:,} tasks"
        return Text(texts.safe(text), "reverse")
    verb = job.action.partition(".")[2]
    part = f"{job.done:,} done of {job.matched:,} found, looked at {job.looked_at:,}"
    return Text(texts.safe(f"{verb} {job.q}: {part} of {job.total:,}   . stops it"), "reverse")
