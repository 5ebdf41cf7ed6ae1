"""A real browser, and a check of what its pages do."""

import shutil
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Literal, TypedDict, Unpack

from playwright.async_api import (
    Browser,
    ConsoleMessage,
    Page,
    Request,
    ViewportSize,
    async_playwright,
)

_ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
_STATUS = "Failed to load resource: the server responded with a status of"
_OURS = ("http://127.0.0.1:", "data:", "about:")
PATIENCE_MS = 60_000
"""Milliseconds to wait before giving up; long enough for a very busy machine."""


class Options(TypedDict, total=False):
    """The kind of reader; by default one who reads American English."""

    locale: str
    java_script_enabled: bool
    color_scheme: Literal["light", "dark"]
    viewport: ViewportSize


@asynccontextmanager
async def chromium() -> AsyncGenerator[Browser]:
    """Run the distribution's browser, with its own profile."""
    path = shutil.which("chromium-headless-shell") or shutil.which("chromium")
    assert path, "Chromium is missing: apt-get install chromium"
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=_ARGUMENTS)
        try:
            yield browser
        finally:
            await browser.close()


class Visitor:
    """Opens pages, and records everything that no page of ours may do.

    Attributes:
        faults: Errors on the console, including violations of a policy; requests to other hosts;
            ``Referer`` headers.
    """

    def __init__(self, browser: Browser) -> None:
        self.faults: list[str] = []
        self._browser = browser

    async def open(self, address: str, **options: Unpack[Options]) -> Page:
        """Open *address* as a new reader."""
        options.setdefault("locale", "en-US")
        context = await self._browser.new_context(**options)
        context.set_default_timeout(PATIENCE_MS)
        context.on("console", self._console)
        context.on("request", self._request)
        context.on("weberror", lambda error: self.faults.append(f"script: {error.error}"))
        page = await context.new_page()
        await page.goto(address)
        return page

    async def leave(self) -> None:
        """Close everything that was opened."""
        for context in self._browser.contexts:
            await context.close()

    def _console(self, message: ConsoleMessage) -> None:
        # The console also shows the status of an error page.
        if message.type in {"error", "warning"} and not message.text.startswith(_STATUS):
            self.faults.append(f"console: {message.text}")

    def _request(self, request: Request) -> None:
        if not request.url.startswith(_OURS):
            self.faults.append(f"request: {request.url}")
        if referer := request.headers.get("referer"):
            self.faults.append(f"referer: {referer}")
