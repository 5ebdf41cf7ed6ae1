"""What happened to this task, and why does it wait?"""

import dataclasses
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar, Final

from rich.text import Text
from textual.binding import BindingType

from pyasynq.core.errors import PyasynqError
from pyasynq.core.info import TaskInfo
from pyasynq.core.json_form import text_of
from pyasynq.operations import details
from pyasynq.operations.details import Detail
from pyasynq.operations.payloads import Payloads, decode
from pyasynq.terminal import texts
from pyasynq.terminal.desk import Desk
from pyasynq.terminal.dialogs import Editor
from pyasynq.terminal.keys import shortcut
from pyasynq.terminal.requests import for_tasks, to_reschedule, to_update
from pyasynq.terminal.text_page import TextPage

MOST_CHARACTERS: Final = 20_000
"""Characters of a payload or result that are shown."""

EDITABLE: Final = "scheduled, in retry or archived"
"""The states in which a payload can be changed, in words."""


class TaskPage(TextPage):
    """One task."""

    TAB: ClassVar[str] = "t"
    BINDINGS: ClassVar[list[BindingType]] = [
        shortcut("r", "act('run')", "run"),
        shortcut("a", "act('archive')", "archive"),
        shortcut("t", "reschedule", "reschedule"),
        shortcut("e", "edit", "edit payload"),
        shortcut("y", "duplicate", "duplicate"),
        shortcut("c", "act('cancel')", "cancel"),
        shortcut("d", "act('delete')", "delete"),
        shortcut("i", "copy_id", "copy id"),
    ]

    def __init__(self, desk: Desk, queue: str, task_id: str) -> None:
        """Show the task *task_id* of *queue*."""
        super().__init__(desk)
        self._queue = queue
        self._task_id = task_id
        self._found: TaskInfo | None = None

    async def load(self) -> None:
        """Read the task, its queue, and who runs it."""
        services = self.desk.services
        broker, inspector = services.broker, services.inspector
        detail = await details.read_detail(broker, inspector, self._queue, self._task_id)
        self._found = detail.task
        self.put(self.TEXT, describe(detail, services.payloads, datetime.now(UTC)))

    def show_missing(self, error: PyasynqError) -> None:
        """Say that the task is gone, and keep showing what it was."""
        self._found = None
        super().show_missing(error)

    def action_act(self, verb: str) -> None:
        """Do something to the task."""
        if self._found is not None:
            self.request(for_tasks(self.desk.services, verb, [self._found]))

    def action_reschedule(self) -> None:
        """Make the task due at another time."""
        if (task := self._found) is not None:
            self.ask_time(
                f"Reschedule {task.type} {task.id}",
                lambda at: self.request(to_reschedule(self.desk.services, [task], at)),
            )

    def action_duplicate(self) -> None:
        """Enqueue a copy of the task, and show the copy."""
        if (task := self._found) is not None:
            request = for_tasks(self.desk.services, "duplicate", [task])
            self.request(dataclasses.replace(request, call=self._duplicate))

    async def _duplicate(self, task: TaskInfo) -> None:
        services = self.desk.services
        copy = await details.duplicate(services.inspector, services.client, task.queue, task.id)
        if self.is_current:
            self.app.push_screen(TaskPage(self.desk, copy.queue, copy.id))

    def action_edit(self) -> None:
        """Let the payload be changed, and store it."""
        task = self._found
        if task is None or not self.may_change():
            return
        if (why := why_not_edited(task)) is not None:
            self.say(why, is_bad=True)
            return
        before = task.payload.decode()

        def answer(text: str | None) -> None:
            if text == before:
                self.say("the payload is as it was: nothing was changed")
            elif text is not None:
                more = about_payload(before, text)
                self.request(to_update(self.desk.services, task, text.encode(), more))

        self.app.push_screen(Editor(f"Payload of {task.type} {task.id}", before), answer)

    def action_copy_id(self) -> None:
        """Copy the id to the clipboard, if the terminal allows it."""
        self.app.copy_to_clipboard(self._task_id)
        self.say(f"copied {self._task_id}")


def why_not_edited(task: TaskInfo) -> str | None:
    """Return why the payload of *task* cannot be changed here; None if it can."""
    text = text_of(task.payload)
    if task.state not in details.ACTIONS["update"]:
        return f"it is {task.state}: payloads of tasks that are {EDITABLE} can be changed"
    if task.sealed:
        return f"its payload is sealed by {task.sealed}: change it from Python"
    if text is None:
        return "its payload is not text: change it from Python"
    if len(text) > MOST_CHARACTERS:
        return "its payload is too long to be changed here: change it in a browser"
    without_tabs = text.replace("\t", "")  # which the editor keeps
    if texts.safe(without_tabs, lines=True) != without_tabs:
        return "its payload has characters that a terminal cannot show: change it in a browser"
    return None


def about_payload(before: str, after: str) -> str:
    """Say what another payload means, and whether it is no longer JSON."""
    about = "The task runs with the new payload the next time."
    forms = [decode(it.encode())[0] for it in (before, after)]
    return f"{about} It was JSON, but is not any more." if forms == ["json", "text"] else about


def describe(detail: Detail, payloads: Payloads, now: datetime) -> Text:
    """Return all that is known about a task."""
    task = detail.task
    text = Text.assemble((f"{texts.safe(task.type)}  ", "bold"), texts.state(task.state.value))
    text.append(f"\n{texts.safe(task.queue)} / {texts.safe(task.id)}\n", "dim")
    for title, part in _parts(detail, payloads, now):
        if part.plain:
            text.append(f"\n{title}\n", "bold underline").append_text(part).append("\n")
    return text


def _parts(detail: Detail, payloads: Payloads, now: datetime) -> Iterator[tuple[str, Text]]:
    task = detail.task
    yield "Why it waits", _reasons(detail, now)
    yield "Facts", _facts(_facts_of(detail, now))
    yield "Time line", _timeline(detail, now)
    yield "Payload", _content(payloads.view(task.type, task.payload), task.sealed)
    yield "Result", _content(payloads.view(task.type, task.result), task.sealed)
    yield "Headers", _facts(task.headers)
    yield "Tries", _tries(task)


def _reasons(detail: Detail, now: datetime) -> Text:
    found = details.reasons(detail)
    lines = [it.text + (f", {texts.ago(it.at, now)}" if it.at else "") for it in found]
    return Text(texts.safe("\n".join(lines), lines=True))


def _facts_of(detail: Detail, now: datetime) -> dict[str, str]:
    task, found = detail.task, detail.worker
    facts = {
        "retries": f"{task.retried} of {task.max_retry}",
        "last error": task.last_error or "",
        "last failure": texts.ago(task.last_failed_at, now) if task.last_failed_at else "",
        "group": task.group or "",
        "timeout": texts.span(task.timeout) if task.timeout else "",
        "deadline": texts.instant(task.deadline) if task.deadline else "",
        "kept": f"{texts.span(task.retention)} after success" if task.retention else "",
        "sealed by": task.sealed,
    }
    if found is not None:
        server, worker = found
        facts["runs on"] = f"{server.host}:{server.pid}"
        facts["runs for"] = texts.span(now - worker.started) if worker.started else ""
    return facts


def _facts(facts: Mapping[str, str]) -> Text:
    shown = {name: value for name, value in facts.items() if value}
    wide = max(map(len, shown), default=0)
    text = Text()
    for name, value in shown.items():
        text.append(f"{texts.safe(name):<{wide}}  ", "dim").append(f"{texts.safe(value)}\n")
    text.right_crop(1)
    return text


def _timeline(detail: Detail, now: datetime) -> Text:
    text = Text()
    for moment in details.timeline(detail):
        text.append(f"{texts.instant(moment.at)}  ", "dim").append(f"{moment.what:<10}")
        text.append(f"{texts.ago(moment.at, now):>10}  ", "dim")
        text.append(f"{texts.safe(moment.detail)}\n")
    text.right_crop(1)
    return text


def _content(view: Mapping[str, Any] | None, sealed: str) -> Text:
    """Return a payload or result in the form that it has."""
    if view is None or view["format"] == "empty":
        return Text()
    if sealed:
        return Text(f"{view['size']:,} bytes, sealed by {texts.safe(sealed)}", "dim")
    match view["format"]:
        case "json" | "msgpack":
            shown = json.dumps(view["value"], indent=2, ensure_ascii=False)
        case "text":
            shown = str(view["value"])
        case _:
            shown = str(view["hex"])
    text = Text(f"{view['format']}, {view['size']:,} bytes\n", "dim")
    text.append(texts.safe(shown[:MOST_CHARACTERS], lines=True), "not dim")
    if len(shown) > MOST_CHARACTERS or view["truncated"]:
        text.append("\n… only the first part is shown")
    return text


def _tries(task: TaskInfo) -> Text:
    """Return the failed tries, the last one first, with their tracebacks."""
    text = Text()
    for attempt in reversed(task.attempts):
        where = f" on {attempt.worker}" if attempt.worker else ""
        title = f"try {attempt.retried + 1}, {texts.instant(attempt.failed_at)}{where}: "
        text.append(texts.safe(title)).append(f"{texts.safe(attempt.error)}\n", "red")
        if attempt.traceback:
            text.append(f"{texts.safe(attempt.traceback.rstrip(), lines=True)}\n", "dim")
    text.right_crop(1)
    return text
