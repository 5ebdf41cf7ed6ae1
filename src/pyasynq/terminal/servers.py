"""Who works? Servers, their slots, and what they run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar, Final

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.widgets import Static

from pyasynq.core.errors import OptionError
from pyasynq.core.info import ServerInfo, WorkerInfo
from pyasynq.core.options import check_count
from pyasynq.core.wanted_state import EVERY, MOST_SLOTS, ServerControl
from pyasynq.inspector import Inspector
from pyasynq.operations.payloads import preview
from pyasynq.operations.permissions import Permission
from pyasynq.terminal import texts
from pyasynq.terminal.desk import Desk
from pyasynq.terminal.dialogs import Choice, Prompt
from pyasynq.terminal.keys import shortcut
from pyasynq.terminal.page import Page
from pyasynq.terminal.requests import ABOUT, Request
from pyasynq.terminal.table import Column, Table
from pyasynq.terminal.task import TaskPage

STATUSES: Final = {"active": "works", "stopped": "takes no tasks", "closed": "closed"}

WANTED: Final[Mapping[str, Mapping[str, Any]]] = {
    "quiet": {"quiet": True},
    "resume": {"quiet": False},
    "stop": {"stop": True},
    "reset": {"reset": True},
}
"""What each action passes to `Inspector.control`."""

ABOUT_ONE: Final = {
    "quiet": "It takes no more tasks; running ones end, and it stays.",
    "resume": "It takes tasks again.",
    "stop": "It runs {} now. It ends once none runs, or its shutdown timeout is over.",
}
"""What happens to one server."""

VERBS: Final = {"p": "quiet", "r": "resume", "S": "stop", "o": "reset"}
"""What can be done to all servers, by key."""

ASK_ALL: Final = {
    "quiet": "Quiet all workers?",
    "resume": "Resume all workers?",
    "stop": "Stop all workers?",
    "reset": "Let all workers use their own options?",
}
LASTS: Final = "This also holds for those that start later."
ABOUT_ALL: Final = {
    "quiet": f"They take no more tasks; running ones end, and they stay. {LASTS}",
    "resume": f"They take tasks again. {LASTS}",
    "stop": f"They end once their running tasks have ended. {LASTS}",
    "reset": "What is wanted of all workers is forgotten, also for those that start later.",
}
"""What happens to all servers."""

STATES: Final = {"active": "take tasks", "quiet": "take none", "stop": "end"}
"""What operators want of servers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A running task, and the server that runs it."""

    server: ServerInfo
    worker: WorkerInfo


def _place(server: ServerInfo) -> str:
    return f"{server.host}:{server.pid}"


def _status(server: ServerInfo) -> Text:
    style = "" if server.status == "active" else "bold yellow"
    text = Text(STATUSES.get(server.status, texts.safe(server.status)), style)
    for name, why in server.not_applied.items():
        text.append(texts.safe(f" ({name}: {why})"), "red")
    return text


def _weights(queues: Mapping[str, int]) -> str:
    ranked = sorted(queues.items(), key=lambda queue: (-queue[1], queue[0]))
    return " ".join(f"{queue}:{weight}" for queue, weight in ranked)


def _since(server: ServerInfo) -> str:
    return texts.span(datetime.now(UTC) - server.started) if server.started else "-"


def _runs_for(run: Run) -> str:
    return texts.span(datetime.now(UTC) - run.worker.started) if run.worker.started else "-"


def _left(run: Run) -> str:
    return texts.span(run.worker.deadline - datetime.now(UTC)) if run.worker.deadline else "-"


def _key_of_run(run: Run) -> tuple[str, str]:
    return run.worker.queue, run.worker.task_id


SERVERS: Final[Sequence[Column[ServerInfo]]] = (
    Column(title="Worker", cell=_place, value=_place),
    Column(title="State", cell=_status, value=lambda it: it.status),
    Column(
        title="Busy",
        cell=lambda it: f"{it.active_worker_count}/{it.concurrency}",
        value=lambda it: it.active_worker_count,
        right=True,
    ),
    Column(title="Up", cell=_since, value=lambda it: it.started, right=True),
    Column(title="Version", cell=lambda it: it.version or "Go, or old", from_width=100),
    Column(title="Deployment", cell=lambda it: it.deployment or "", from_width=120),
    Column(title="Queues, weight", cell=lambda it: _weights(it.queues), fills=True),
)
RUNS: Final[Sequence[Column[Run]]] = (
    Column(title="Type", cell=lambda it: it.worker.task_type, value=lambda it: it.worker.task_type),
    Column(title="Queue", cell=lambda it: it.worker.queue, value=lambda it: it.worker.queue),
    Column(title="Runs for", cell=_runs_for, value=lambda it: it.worker.started, right=True),
    Column(title="Left", cell=_left, value=lambda it: it.worker.deadline, right=True),
    Column(title="Worker", cell=lambda it: _place(it.server), from_width=100),
    Column(
        title="Payload", cell=lambda it: preview(it.worker.task_payload) or "binary", fills=True
    ),
)


def for_server(inspector: Inspector, verb: str, server: ServerInfo) -> Request[ServerInfo]:
    """Return the request to ``quiet``, ``resume`` or ``stop`` a *server*."""
    return Request(
        action=Permission(f"server.{verb}").value,
        items=[server],
        call=lambda it: inspector.control(it.id, **WANTED[verb]),
        name=_place,
        question=f"{verb.capitalize()} worker {_place(server)}?",
        more=ABOUT_ONE[verb].replace("{}", texts.tasks(server.active_worker_count)),
        done=f"{verb} was sent to {{}}: it follows within 5 s",
    )


def for_slots(inspector: Inspector, server: ServerInfo, slots: int) -> Request[ServerInfo]:
    """Return the request to let a *server* run as many tasks at once as *slots* says."""
    place, now = _place(server), server.concurrency
    return Request(
        action=Permission.SERVER_SET.value,
        items=[server],
        call=lambda it: inspector.control(it.id, concurrency=slots),
        name=_place,
        question=f"Change the slots of worker {place} from {now} to {slots}?",
        more="If it runs more tasks now, those go on.",
        done=f"{slots} slots are wanted of {{}}: it follows within 5 s",
        detail=f"concurrency {slots}",
    )


def for_all(inspector: Inspector, verb: str) -> Request[str]:
    """Return the request to ``quiet``, ``resume``, ``stop`` or ``reset`` all servers."""
    return Request(
        action=Permission(f"server.{verb}").value,
        items=[EVERY],
        call=lambda it: inspector.control(it, **WANTED[verb]),
        name=str,
        question=ASK_ALL[verb],
        more=ABOUT_ALL[verb],
        done=f"{verb} was sent to all workers: they follow within 5 s",
    )


def slots_in(text: str) -> int | None:
    """Return the number of slots that *text* gives; None if it gives none that is allowed."""
    try:
        return check_count("concurrency", int(text), MOST_SLOTS)
    except (ValueError, OptionError):
        return None


def _wanted(controls: Sequence[ServerControl]) -> Text:
    """Return what is wanted of deployments and of all servers, also of those that start later."""
    text = Text(no_wrap=True, overflow="ellipsis")
    for control in controls:
        name = "all workers" if control.target == EVERY else control.target
        state = STATES[control.state] if control.state else ""
        slots = f"{control.concurrency} slots" if control.concurrency else ""
        wanted = ", ".join(filter(None, [state, slots, _weights(control.queues or {})]))
        text.append(texts.safe(f"wanted of {name}: {wanted}"), "yellow").append("\n")
    text.right_crop(1)
    return text


class WorkersPage(Page):
    """All servers, and all running tasks."""

    TAB: ClassVar[str] = "w"
    BINDINGS: ClassVar[list[BindingType]] = [
        shortcut("enter", "open", "open", show=False),
        shortcut("tab", "app.focus_next", "runs"),
        shortcut("p", "quiet", "quiet/resume"),
        shortcut("e", "slots", "slots"),
        shortcut("S", "stop", "stop"),
        shortcut("a", "all", "all workers"),
        shortcut("c", "cancel", "cancel run"),
    ]

    def __init__(self, desk: Desk) -> None:
        """Show what *desk* reads."""
        super().__init__(desk)
        empty = "No worker runs: pyasynq worker module:app"
        self.servers: Table[ServerInfo] = Table(
            SERVERS, lambda it: it.id, id="servers", empty=empty
        )
        self.runs: Table[Run] = Table(RUNS, _key_of_run, id="runs", empty="No task is running.")

    def body(self) -> ComposeResult:
        """Make both tables."""
        yield self.part("summary")
        yield self.servers
        yield Static(Text("Running now", "bold"))
        yield self.runs

    def on_mount(self) -> None:
        """Begin with the servers."""
        self.servers.focus()

    async def load(self) -> None:
        """Read the servers, and what is wanted of them."""
        services = self.desk.services
        found = await services.inspector.servers()
        servers = sorted(found, key=lambda it: (it.host, it.pid, it.id))
        if services.broker.supports("control"):
            ids, controls = {it.id for it in found}, await services.inspector.controls()
            self.put("summary", _wanted([it for it in controls if it.target not in ids]))
        self.servers.show(servers)
        self.runs.show([Run(server=it, worker=run) for it in servers for run in it.active_workers])

    # -- keys --------------------------------------------------------------------------------------

    def action_open(self) -> None:
        """Open the running task with the cursor."""
        if self.runs.has_focus and (run := self.runs.current) is not None:
            self.app.push_screen(TaskPage(self.desk, run.worker.queue, run.worker.task_id))

    def action_quiet(self) -> None:
        """Have the server with the cursor take no more tasks, or take some again."""
        if (server := self._controllable()) is not None:
            verb = "quiet" if server.takes_tasks else "resume"
            self.request(for_server(self.desk.services.inspector, verb, server))

    def action_stop(self) -> None:
        """Have the server with the cursor end."""
        if (server := self._controllable()) is not None:
            self.request(for_server(self.desk.services.inspector, "stop", server))

    def action_slots(self) -> None:
        """Ask how many tasks the server with the cursor is to run at once, and have it do so."""
        server = self._controllable()
        if server is None or not self.may_change():
            return

        def answer(text: str | None) -> None:
            if text is not None and (slots := slots_in(text)) is not None:
                self.request(for_slots(self.desk.services.inspector, server, slots))
            elif text is not None:
                self.say(f"{text} is no number of slots: write 20, for instance", is_bad=True)

        title = f"Slots of worker {_place(server)}"
        more = "Tasks that it runs at once."
        self.app.push_screen(Prompt(title, str(server.concurrency), more=more), answer)

    def action_all(self) -> None:
        """Ask what all servers are to do, and have them do so."""
        if not self.may_change():
            return

        def answer(key: str | None) -> None:
            if key is not None:
                self.request(for_all(self.desk.services.inspector, VERBS[key]))

        choices = {key: ASK_ALL[verb].rstrip("?").lower() for key, verb in VERBS.items()}
        self.app.push_screen(Choice("What are all workers to do?", choices), answer)

    def _controllable(self) -> ServerInfo | None:
        """Return the server with the cursor if it can be controlled; say so if it cannot."""
        server = self.servers.current
        if server is not None and server.version is None:
            text = f"{_place(server)} cannot be controlled: it is of Go, or of an old version"
            self.say(text, is_bad=True)
            return None
        return server

    def action_cancel(self) -> None:
        """Cancel the running task with the cursor."""
        if (run := self.runs.current) is None:
            return
        inspector = self.desk.services.inspector
        self.request(
            Request(
                action="task.cancel",
                items=[run],
                call=lambda it: inspector.cancel(it.worker.task_id),
                name=lambda it: f"{it.worker.queue}/{it.worker.task_id}",
                question=f"Cancel {run.worker.task_type} {run.worker.task_id}?",
                more=ABOUT[Permission.TASK_CANCEL],
                done="asked to stop: {}",
            )
        )
