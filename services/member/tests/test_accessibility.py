"""Everybody can use the pages: by keyboard, enlarged, in either colour scheme, by screen reader."""

import re
from dataclasses import replace
from datetime import timedelta
from typing import Any, Literal, TypeAlias

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page

from member.mailer import Mailer
from member.service import MemberService
from services.member.tests.doubles import (
    ALICE,
    ANYBODY,
    FakeClock,
    MailFolder,
    log_in_as,
    token_of,
)
from tests.support.chromium import Options, Visitor

Scheme: TypeAlias = Literal["light", "dark"]

schemes = pytest.mark.parametrize("scheme", ["light", "dark"])
languages = pytest.mark.parametrize("locale", ["en-US", "zh-TW"])

_COLOURS = """(element, property) => {
  const filled = (node) => {
    const colour = getComputedStyle(node).backgroundColor
    return colour === "rgba(0, 0, 0, 0)" ? filled(node.parentElement) : colour
  }
  const outside = property === "outlineColor" ? element.parentElement : element
  return [getComputedStyle(element)[property], filled(outside)]
}"""
_IS_WIDE = "document.documentElement.scrollWidth > document.documentElement.clientWidth"


@pytest.fixture
def db_source(sqlite_source: str) -> str:
    """One kind of database; other tests cover the differences."""
    return sqlite_source


async def contrast(page: Page, selector: str, of: str = "color") -> float:
    """Return the contrast, as WCAG defines it, between a colour and its background."""
    colours = await page.locator(selector).evaluate(_COLOURS, of)
    darker, lighter = sorted(luminance(colour) for colour in colours)
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: str) -> float:
    channels = [int(number) / 255 for number in re.findall(r"\d+", colour)]
    linear = [((c + 0.055) / 1.055) ** 2.4 if c > 0.04045 else c / 12.92 for c in channels]
    return sum(share * c for share, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


async def complaints(page: Page) -> list[str]:
    """Return the violations that axe finds in *page*; axe cannot check the frame of a mail."""
    options: dict[str, Any] = {"resultTypes": ["violations"], "iframes": False}
    results = await Axe().run(page, options=options)
    return [str(line) for line in results.generate_snapshot().splitlines()]


@pytest.fixture
async def reset_link(
    site: str, link: str, service: MemberService, mailer: Mailer, outbox: MailFolder
) -> str:
    """The link in Alice's mail that sets a new password."""
    await service.verifications.verify(ANYBODY, link.partition("token=")[2])
    await service.password_resets.request(ANYBODY, ALICE.email)
    await mailer.send_password_reset("alice")
    return f"{site}/reset-password?token={token_of(outbox.mails[-1])}"


@languages
async def test_a_password_is_set_by_keyboard(
    reset_link: str, visitor: Visitor, service: MemberService, locale: str
) -> None:
    page = await visitor.open(reset_link, locale=locale)
    assert await complaints(page) == []
    await page.keyboard.press("Tab")
    await page.keyboard.type("through the looking-glass")
    async with page.expect_navigation(url="**/reset-password/done"):
        await page.keyboard.press("Enter")
    assert await log_in_as(service, replace(ALICE, password="through the looking-glass"))


@schemes
async def test_the_field_for_a_password_can_be_seen(
    reset_link: str, visitor: Visitor, scheme: Scheme
) -> None:
    page = await visitor.open(reset_link, color_scheme=scheme)
    assert await contrast(page, "label") >= 4.5
    assert await contrast(page, "input") >= 4.5
    assert await contrast(page, "input", "borderTopColor") >= 3


def test_the_contrast_of_black_on_white_is_21() -> None:
    assert (luminance("rgb(255, 255, 255)") + 0.05) / (luminance("rgb(0, 0, 0)") + 0.05) == 21


async def test_the_whole_way_can_be_gone_by_keyboard(link: str, visitor: Visitor) -> None:
    page = await visitor.open(link)
    await page.keyboard.press("Tab")
    async with page.expect_navigation():
        await page.keyboard.press("Enter")
    assert await page.get_by_role("heading").inner_text() == "Your e\u2011mail address is verified"


@schemes
async def test_the_focus_can_be_seen(link: str, visitor: Visitor, scheme: Scheme) -> None:
    page = await visitor.open(link, color_scheme=scheme)
    await page.keyboard.press("Tab")
    ring = "el => [getComputedStyle(el).outlineStyle, getComputedStyle(el).outlineWidth]"
    assert await page.locator("button:focus").evaluate(ring) == ["solid", "3px"]
    assert await contrast(page, "button", "outlineColor") >= 3


@schemes
async def test_text_stands_out_from_its_ground(link: str, visitor: Visitor, scheme: Scheme) -> None:
    page = await visitor.open(link, color_scheme=scheme)
    contrasts = {text: await contrast(page, text) for text in ("h1", "p", "button")}
    assert {text for text, found in contrasts.items() if found < 4.5} == set()


@pytest.mark.parametrize("path", ["verify-email/verified", "verify-email", "nowhere", "dev/inbox"])
async def test_a_checker_of_accessibility_finds_nothing_wrong(
    site: str, visitor: Visitor, path: str
) -> None:
    page = await visitor.open(f"{site}/{path}", color_scheme="light")
    assert await complaints(page) == []
    await page.emulate_media(color_scheme="dark")
    assert await complaints(page) == []


@languages
async def test_a_checker_of_accessibility_finds_nothing_wrong_with_the_question(
    link: str, visitor: Visitor, locale: str
) -> None:
    assert await complaints(await visitor.open(link, locale=locale)) == []


@languages
async def test_the_page_has_a_title_one_heading_and_a_landmark(
    link: str, visitor: Visitor, locale: str
) -> None:
    page = await visitor.open(link, locale=locale)
    (heading,) = await page.locator("main :is(h1, h2, h3, h4, h5, h6)").all_inner_texts()
    assert await page.title() == heading


@languages
@pytest.mark.parametrize("zoom", ["100%", "200%"])
async def test_a_small_or_enlarged_page_is_never_wider_than_its_window(
    link: str, visitor: Visitor, clock: FakeClock, locale: str, zoom: str
) -> None:
    options: Options = {"locale": locale, "viewport": {"width": 320, "height": 640}}
    page = await visitor.open(link, **options)
    clock.turn(timedelta(minutes=16))
    expired = await visitor.open(link, **options)
    larger = "zoom => document.documentElement.style.fontSize = zoom"
    assert [await shown.evaluate(larger, zoom) for shown in (page, expired)] == [zoom, zoom]
    assert [await shown.evaluate(_IS_WIDE) for shown in (page, expired)] == [False, False]
