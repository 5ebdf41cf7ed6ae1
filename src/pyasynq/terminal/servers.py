"""Who works? Servers, their slots, and what they run."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar, Final

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.widgets import Static

from pyasynq.core.info import ServerInfo, WorkerInfo
from pyasynq.operations.payloads import preview
from pyasynq.operations.permissions import Permission
from pyasynq.terminal import texts
from pyasynq.terminal.desk import Desk
from pyasynq.terminal.keys import shortcut
from pyasynq.terminal.page import Page
from pyasynq.terminal.requests import ABOUT, Request
from pyasynq.terminal.table import Column, Table
from pyasynq.terminal.task import TaskPage

STATUSES: Final = {"active": "works", "stopped": "takes no tasks", "closed": "closed"}


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


def _queues(server: ServerInfo) -> str:
    ranked = sorted(server.queues.items(), key=lambda queue: (-queue[1], queue[0]))
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
    Column(title="Queues, weight", cell=_queues, fills=True),
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


class WorkersPage(Page):
    """All servers, and all running tasks."""

    TAB: ClassVar[str] = "w"
    BINDINGS: ClassVar[list[BindingType]] = [
        shortcut("enter", "open", "open", show=False),
        shortcut("tab", "app.focus_next", "runs"),
        shortcut("p", "quiet", "quiet/resume"),
        shortcut("S", "stop", "stop"),
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
        yield self.servers
        yield Static(Text("Running now", "bold"))
        yield self.runs

    def on_mount(self) -> None:
        """Begin with the servers."""
        self.servers.focus()

    async def load(self) -> None:
        """Read the servers."""
        found = await self.desk.services.inspector.servers()
        servers = sorted(found, key=lambda it: (it.host, it.pid, it.id))
        self.servers.show(servers)
        self.runs.show([Run(server=it, worker=run) for it in servers for run in it.active_workers])

    # -- keys --------------------------------------------------------------------------------------

    def action_open(self) -> None:
        """Open the running task with the cursor."""
        if self.runs.has_focus and (run := self.runs.current) is not None:
            self.app.push_screen(TaskPage(self.desk, run.worker.queue, run.worker.task_id))

    def action_quiet(self) -> None:
        """Have the server with the cursor take no more tasks, or take some again."""
        if (server := self.servers.current) is None:
            return
        quiets = server.status == "active"
        more = "It takes no more tasks; running ones end, and it stays."
        self._control(
            server,
            "server.quiet" if quiets else "server.resume",
            question=f"{'Quiet' if quiets else 'Resume'} worker {_place(server)}?",
            more=more if quiets else "It takes tasks again.",
        )

    def action_stop(self) -> None:
        """Have the server with the cursor end."""
        if (server := self.servers.current) is not None:
            count = texts.tasks(server.active_worker_count)
            more = f"It runs {count} now. It ends once none runs, or its shutdown timeout is over."
            self._control(
                server, "server.stop", question=f"Stop worker {_place(server)}?", more=more
            )

    def _control(self, server: ServerInfo, action: str, *, question: str, more: str) -> None:
        if server.version is None:
            text = f"{_place(server)} cannot be controlled: it is of Go, or of an old version"
            self.say(text, is_bad=True)
            return
        control = self.desk.services.inspector.control
        calls: dict[str, Callable[[ServerInfo], Awaitable[object]]] = {
            "server.quiet": lambda it: control(it.id, quiet=True),
            "server.resume": lambda it: control(it.id, quiet=False),
            "server.stop": lambda it: control(it.id, stop=True),
        }
        self.request(
            Request(
                action=action,
                items=[server],
                call=calls[action],
                name=_place,
                question=question,
                more=more,
                done=f"{action.partition('.')[2]} was sent to {{}}: it follows within 5 s",
            )
        )

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
