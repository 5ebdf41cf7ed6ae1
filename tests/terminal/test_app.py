"""The dashboard as a whole: its keys, its limits, and a broker that goes away."""

import asyncio
import logging
from collections.abc import Iterator, Mapping
from io import StringIO

import pytest
from textual.events import AppBlur, AppFocus

from pyasynq import Client, Task
from pyasynq.broker import Broker
from pyasynq.core.errors import BrokerUnavailableError
from pyasynq.terminal import TerminalDashboard
from pyasynq.terminal.app import _no_logs_at_terminal
from pyasynq.terminal.servers import WorkersPage
from tests.cli.terminal import Terminal
from tests.support.factories import a_pending, enqueue
from tests.support.servers import RedisServer, free_port
from tests.support.waiting import wait_until
from tests.terminal.view import LARGE, SMALL, View, audit_of, dashboard

ON = ("sqlite",)
"""The tests of the pages use both brokers."""

PAGES = {
    "o": "Last hour",
    "t": "Error, or payload",
    "y": "Failing",
    "w": "Running now",
    "s": "No scheduler has reported itself",
    "f": "No flow is running",
    "p": "No task waits in a group",
    "r": "Checks",
    "a": "Nobody has changed anything",
}


async def test_each_page_is_two_keys_away(address: str) -> None:
    async with dashboard(address) as view:
        await view.visit(PAGES)


async def test_the_keys_of_pages_are_listed(address: str) -> None:
    async with dashboard(address) as view:
        await view.press("g")
        await view.see("Go to", "y  Types", "q  a queue by its name")
        await view.press("z")
        await view.see_no("Go to")


async def test_all_keys_are_listed(address: str) -> None:
    async with dashboard(address, size=(80, 70)) as view:
        await view.press("g", "t", "question_mark")
        await view.see("On this page", "D    delete all that match", "In a list", "Everywhere")
        await view.see("In a search line", "payload:  text that its payload contains")
        await view.press("question_mark")
        await view.see_no("Everywhere")


async def test_a_long_list_of_keys_scrolls(address: str) -> None:
    async with dashboard(address) as view:
        await view.press("g", "t", "question_mark")
        await view.see("On this page")
        await view.press(*["j", "down"] * 20)
        await view.see("longest time since")
        await view.press(*["k", "up"] * 20)
        await view.see("On this page")
        await view.press("escape")
        await view.see_no("On this page")


async def test_escape_leads_back(address: str, broker: Broker) -> None:
    await enqueue(broker, a_pending("1"))
    async with dashboard(address) as view:
        await view.see("  q ")
        await view.press("enter")
        await view.see("1 task matches")
        await view.press("enter")
        await view.see("Facts")
        await view.press("escape")
        await view.see("1 task matches")
        await view.press("escape")
        await view.see("Last hour")
        await view.press("escape")
        await view.see("Last hour")


@pytest.mark.parametrize("key", ["q", "ctrl+c", "ctrl+q"])
async def test_a_key_leaves(key: str, address: str) -> None:
    async with dashboard(address) as view:
        await view.see("Last hour")
        await view.press(key)
        assert not view.app.is_running


# -- read-only -------------------------------------------------------------------------------------

STAGED = PAGES | {"o": "  q ", "t": "play", "y": "Failing", "w": "stage:7", "s": "@every 1m"}
"""What each page shows of the stage."""


@pytest.mark.usefixtures("stage")
async def test_read_only_means_read_only(address: str, broker: Broker) -> None:
    async with dashboard(address, read_only=True) as view:
        await view.see(STAGED["o"], "read-only")
        await view.be_refused("pRdD")
        await view.visit({"w": STAGED["w"]})
        await view.be_refused("peSac")
        await view.visit({"s": STAGED["s"]})
        await view.be_refused("rp")
        await view.visit({"t": STAGED["t"]})
        await view.be_refused("ratycdRATCD")
        await view.press("enter")
        await view.see("Facts")
        await view.be_refused("rateycd")
    assert await audit_of(broker) == []


# -- sizes, colours, hostile text ------------------------------------------------------------------


async def test_a_screen_of_another_size_is_filled(address: str, broker: Broker) -> None:
    await enqueue(broker, a_pending("1"))
    async with dashboard(address, size=SMALL) as view:
        await view.see("  q ")
        assert "In/s" not in view.text
        await view.pilot.resize_terminal(*LARGE)
        await view.see("In/s", "Workers Last hour")
        await view.pilot.resize_terminal(*SMALL)
        await view.see_no("In/s")
        assert max(map(len, view.lines)) <= SMALL[0]


@pytest.mark.usefixtures("stage")
async def test_a_tiny_screen_breaks_nothing(address: str) -> None:
    async with dashboard(address) as view:
        await _squeeze(view, STAGED)


async def _squeeze(view: View, pages: Mapping[str, str]) -> None:
    """Show each page on a tiny screen, make that still smaller, then large enough."""
    for key, part in pages.items():
        await view.pilot.resize_terminal(20, 5)
        await view.press("g", key)
        await view.pilot.resize_terminal(1, 1)
        await view.pilot.resize_terminal(*SMALL)
        await view.see(part)


@pytest.fixture
def no_color(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")


@pytest.mark.usefixtures("no_color")
async def test_without_colours_the_cursor_is_reversed(address: str, broker: Broker) -> None:
    await enqueue(broker, a_pending("1"))
    async with dashboard(address) as view:
        await view.see("  q ")
        assert view.app.no_color
        assert view.app.native_ansi_color
        cursor = view.app.screen.query_one("#queues").get_component_styles("datatable--cursor")
        assert cursor.text_style.reverse


HOSTILE = "[red]x[/red]\x1b[31m\x07\r\n\u202e漢字\u200b🚀"
SAFE = r"[red]x[/red]\x1b[31m\x07\r\n\u202e漢字\u200b🚀"


async def test_hostile_text_is_shown_and_not_obeyed(address: str, broker: Broker) -> None:
    task = a_pending("[b]1", type=HOSTILE, payload=HOSTILE.encode(), queue="[b]q")
    await enqueue(broker, task)
    async with dashboard(address, size=LARGE) as view:
        await view.see("  [b]q ")
        await view.press("enter")
        await view.see(SAFE, "[b]1")
        await view.press("d")
        await view.see(f"Delete {SAFE} [b]1?")
        await view.press("n", "enter")
        await view.see("text, ", "Facts", r"[red]x[/red]\x1b[31m\x07")
        await view.press("a", "y")
        await view.see("archived: [b]q/[b]1")


async def test_long_names_leave_room_for_the_rest(address: str, broker: Broker) -> None:
    await enqueue(broker, a_pending("1", type="漢" * 200, payload=b"y" * 500, queue="q" * 200))
    async with dashboard(address) as view:
        await view.see("qqq…", "Last hour")
        await view.press("enter")
        await view.see("漢漢", "0/3", "yyy…")
        await view.press("enter")
        await view.see("Facts")


# -- a broker that is away -------------------------------------------------------------------------


@pytest.fixture
def own_server() -> Iterator[RedisServer]:
    with RedisServer(port=free_port()) as server:
        yield server


async def test_a_broker_that_goes_away_and_comes_back(own_server: RedisServer) -> None:
    async with Client(own_server.url) as client:
        await client.enqueue(Task("t", queue="q"))
    async with dashboard(own_server.url) as view:
        await view.see("  q ", "● live")
        own_server.stop()
        await view.see("✕ Redis does not answer since", "s old", "  q ")
        await view.press("p")
        await view.see("nothing can be changed while")
        own_server.start()
        await view.see("● live")
        await view.see_no("does not answer since")


async def test_an_action_whose_broker_has_gone_says_so(own_server: RedisServer) -> None:
    async with Client(own_server.url) as client:
        await client.enqueue(Task("t", queue="q"))
    async with dashboard(own_server.url) as view:
        await view.see("  q ")
        await view.press("p")
        await view.see("Pause queue q?")
        own_server.stop()
        await view.press("y")
        await wait_until(lambda: view.text.count("Error 111") > 1)  # in the corner, and on top


async def test_a_broker_that_is_away_at_first_is_an_error() -> None:
    app = TerminalDashboard(f"redis://127.0.0.1:{free_port()}")
    with pytest.raises(BrokerUnavailableError):
        await app.show()


async def test_old_numbers_are_not_shown_as_new(
    address: str, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    await enqueue(broker, a_pending("1"))
    never = asyncio.Event()

    async def hang(*_: object) -> None:
        await never.wait()

    async with dashboard(address) as view:
        await view.see("  q ")
        monkeypatch.setattr("pyasynq.terminal.page.OLD_S", 0.0)
        monkeypatch.setattr("pyasynq.operations.sampler.Sampler.document", hang)
        await view.see("✕ ", "s old")


# -- codecs, audit, logs ---------------------------------------------------------------------------


async def test_the_audit_names_the_user(
    address: str, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGNAME", "ann")
    await enqueue(broker, a_pending("1"))
    async with dashboard(address) as view:
        await view.see("  q ")
        await view.press("p", "y")
        await view.see("q is paused")
    (entry,) = await audit_of(broker)
    assert (entry.principal, entry.role) == ("ann", "admin")


async def test_a_user_without_a_name_is_unknown(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> str:
        raise KeyError

    monkeypatch.setattr("getpass.getuser", fail)
    app = TerminalDashboard(address)
    assert app.desk.principal.name == "unknown"
    await app.aclose()


def test_log_lines_are_kept_from_the_terminal_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal, file = Terminal(), StringIO()
    log = logging.getLogger("tests.terminal")
    handlers = [logging.StreamHandler(terminal), logging.StreamHandler(file)]
    monkeypatch.setattr(log, "handlers", handlers)
    with _no_logs_at_terminal():
        log.warning("one")
    log.warning("two")
    assert (terminal.getvalue(), file.getvalue()) == ("two\n", "one\ntwo\n")


async def test_keys_that_do_not_fit_on_a_line_stand_on_the_next(address: str) -> None:
    async with dashboard(address, size=SMALL) as view:
        await view.press("g", "t")
        await view.see("x select", "? keys", "q quit")
        await view.pilot.resize_terminal(*LARGE)
        await wait_until(lambda: "x select" in view.lines[-1] and "q quit" in view.lines[-1])


async def test_while_a_line_is_written_its_keys_are_shown(address: str) -> None:
    async with dashboard(address) as view:
        await view.press("g", "t")
        await view.see("x select")
        await view.press("slash")
        await view.see_no("x select")
        await view.press("escape")
        await view.see("x select")


async def test_the_keys_of_a_page_that_opened_in_the_background_are_shown(address: str) -> None:
    async with dashboard(address) as view:
        await view.see(PAGES["o"])
        app = view.app
        app.post_message(AppBlur())
        await wait_until(lambda: not app.app_focus)
        await app.push_screen(WorkersPage(app.desk))
        await view.see(PAGES["w"])
        await view.pilot.pause()
        app.post_message(AppFocus())
        await view.see("c cancel run")
