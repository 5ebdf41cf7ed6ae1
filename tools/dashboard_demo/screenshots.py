"""Make the screenshots of the guide from the demo: ``make screenshots``. It takes six minutes."""

import argparse
import asyncio
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Final, Literal, TypeAlias

import system
import uvicorn
from playwright.async_api import Browser, ViewportSize, async_playwright

from pyasynq.dashboard import Dashboard
from pyasynq.terminal import TerminalDashboard

FOLDER: Final = Path(__file__).parent.parent.parent / "docs/images"
WIDE: Final[ViewportSize] = {"width": 1440, "height": 960}
PHONE: Final[ViewportSize] = {"width": 390, "height": 844}
SETTLE_MS: Final = 4000
TERMINAL_S: Final = 15
"""Seconds for which the dashboard in a terminal runs: rates need several readings."""
TERMINAL: Final = (110, 32)
"""Columns and lines of the terminal."""

Picture: TypeAlias = tuple[str, str, ViewportSize, Literal["light", "dark"]]

PICTURES: Final[tuple[Picture, ...]] = (
    ("overview", "#/", WIDE, "light"),
    ("types", "#/types?type=invoice%3Asend", WIDE, "dark"),
    ("phone", "#/", PHONE, "light"),
)


async def shoot(browser: Browser, site: str, picture: Picture) -> None:
    """Save one picture."""
    name, address, viewport, scheme = picture
    context = await browser.new_context(viewport=viewport, color_scheme=scheme, locale="en-US")
    page = await context.new_page()
    await page.goto(f"{site}{address}")
    await page.wait_for_timeout(SETTLE_MS)
    await page.screenshot(path=FOLDER / f"dashboard-{name}.png")
    await context.close()


async def shoot_terminal(browser: Browser, url: str) -> None:
    """Save the picture of the dashboard in a terminal."""
    app = TerminalDashboard(url)
    async with app.run_test(size=TERMINAL):
        await asyncio.sleep(TERMINAL_S)
        picture = app.export_screenshot()
    await app.aclose()
    page = await browser.new_page(viewport=WIDE)
    await page.route("**/*", lambda route: route.abort())  # fonts from elsewhere
    await page.set_content(picture)
    await page.locator("svg").screenshot(path=FOLDER / "terminal-overview.png")
    await page.close()


async def main() -> None:
    """Run the demo for some minutes, and save the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wait", type=float, default=330, help="seconds for which the demo runs")
    given = parser.parse_args()
    chromium = shutil.which("chromium-headless-shell") or shutil.which("chromium")
    if chromium is None:
        sys.exit("Chromium is missing: apt-get install chromium")
    FOLDER.mkdir(exist_ok=True)
    port = system.free_port()
    with tempfile.TemporaryDirectory() as folder:
        async with system.running(Path(folder)) as url, Dashboard(url) as dashboard:
            server = uvicorn.Server(uvicorn.Config(dashboard, port=port, log_level="warning"))
            serving = asyncio.create_task(server.serve())
            async with async_playwright() as playwright:
                browser = await playwright.chromium.launch(
                    executable_path=chromium, args=["--no-sandbox", "--disable-gpu"]
                )
                site = f"http://127.0.0.1:{port}/"
                await asyncio.sleep(given.wait)
                for picture in PICTURES:
                    await shoot(browser, site, picture)
                await shoot_terminal(browser, url)
                await browser.close()
            server.should_exit = True
            await serving


if __name__ == "__main__":
    asyncio.run(main())
