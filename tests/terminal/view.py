"""A dashboard on a screen of its own, which a test reads as a person does, and types at."""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager

from textual.pilot import Pilot
from textual.screen import ModalScreen

from pyasynq.broker import AuditEntry, Broker
from pyasynq.terminal import TerminalDashboard
from pyasynq.terminal.dialogs import Question
from tests.support.waiting import wait_until

SMALL = (80, 24)
LARGE = (200, 50)


class View:
    """What a person sees and types."""

    def __init__(self, app: TerminalDashboard, pilot: Pilot[None]) -> None:
        self.app = app
        self.pilot = pilot

    @property
    def text(self) -> str:
        """All that is on the screen, with that of a corner."""
        strips = self.app.screen._compositor.render_strips()
        return "\n".join("".join(part.text for part in strip).rstrip() for strip in strips)

    @property
    def lines(self) -> list[str]:
        return self.text.splitlines()

    def line(self, part: str) -> list[str]:
        """Return the words of the only line that contains *part*."""
        (found,) = [line for line in self.lines if part in line]
        return found.split()

    async def see(self, *parts: str) -> None:
        """Wait until all *parts* are on the screen."""
        await self._wait(lambda: all(part in self.text for part in parts), parts)

    async def see_no(self, *parts: str) -> None:
        """Wait until none of *parts* is on the screen."""
        await self._wait(lambda: not any(part in self.text for part in parts), parts)

    async def _wait(self, holds: Callable[[], bool], parts: tuple[str, ...]) -> None:
        try:
            await wait_until(holds)
        except TimeoutError as error:
            error.add_note(f"{parts} and the screen:\n{self.text}")
            raise

    async def press(self, *keys: str) -> None:
        """Type *keys*, one after the other."""
        await self.pilot.press(*keys)

    async def write(self, text: str) -> None:
        """Type *text*, then Enter."""
        await self.pilot.press(*text, "enter")

    async def visit(self, pages: Mapping[str, str]) -> None:
        """Go to each of *pages* by its key, and wait for what it is to show."""
        for key, part in pages.items():
            await self.press("g", key)
            await self.see(part)

    async def be_refused(self, keys: str) -> None:
        """Type each of *keys*, and wait until the dashboard says that nothing can be changed."""
        for key in keys:
            await self.press(key)
            await self.see("nothing can be changed here")
            assert not isinstance(self.app.screen, ModalScreen), f"{key} asks:\n{self.text}"
            self.app.clear_notifications()
            await self.see_no("nothing can be changed here")

    async def agree(self, *parts: str) -> None:
        """Wait for a question that contains *parts*, and answer yes."""
        await self.see(*parts, "y yes")
        assert isinstance(self.app.screen, Question)
        await self.press("y")

    async def search(self, line: str) -> None:
        """Go to the tasks that match *line*."""
        await self.press("slash")
        await self.see("match")
        await self.write(line)


@asynccontextmanager
async def dashboard(
    address: str | Broker, *, size: tuple[int, int] = SMALL, read_only: bool = False
) -> AsyncGenerator[View]:
    """Run a dashboard on a screen until the end of the block."""
    app = TerminalDashboard(address, read_only=read_only)
    app.desk.services.sampler.interval_s = 0.0
    try:
        async with app.run_test(size=size, notifications=True) as pilot:
            yield View(app, pilot)
    finally:
        await app.aclose()


async def audit_of(broker: Broker) -> list[AuditEntry]:
    """Return the actions in the audit, the first one first."""
    return [entry for _, entry in reversed(await broker.audit.read(None, 100))]
