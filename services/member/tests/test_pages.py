"""The page that a verification link opens, over HTTP."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import timedelta

import pytest

from member.mailer import Mailer
from member.parts import start
from member.service import MemberService
from member.store import availability
from member.tokens import TOKEN_CHARACTERS
from member.web.pages import pages
from member.web.server import HttpServer, listen
from services.member.tests.browser import browse
from services.member.tests.doubles import ALICE, ANYBODY, FakeClock, MailFolder, token_of

# What differs between databases is tested below this face.
pytestmark = pytest.mark.parametrize("db_source", ["sqlite"], indirect=True)


@pytest.fixture
async def site(service: MemberService) -> AsyncGenerator[str]:
    """Where the pages are served."""
    stop = asyncio.Event()
    server = HttpServer(pages(service), listen("127.0.0.1", 0), grace=timedelta(seconds=1))
    async with asyncio.TaskGroup() as group:
        yield f"http://{await start(group, server, stop)}"
        stop.set()


@pytest.fixture
async def link(site: str, service: MemberService, mailer: Mailer, outbox: MailFolder) -> str:
    """The link that Alice was sent."""
    await service.sign_up.create_member(ANYBODY, ALICE)
    await mailer.send_verify_email("alice")
    return f"{site}/verify-email?token={token_of(outbox.mails[0])}"


async def test_opening_a_link_as_often_as_a_scanner_does_verifies_nobody(link: str) -> None:
    scenes = [(await browse(link, method)).scene for method in ("GET", "GET", "POST")]
    assert scenes == ["confirm", "confirm", "verified"]


async def test_scanners_that_fetch_a_link_together_verify_nobody(link: str) -> None:
    await asyncio.gather(*(browse(link, method) for method in ("GET", "HEAD") * 5))
    assert (await browse(link, "POST")).scene == "verified"


async def test_a_second_click_says_already_verified(link: str) -> None:
    await browse(link, "POST")
    again, opened = await browse(link, "POST"), await browse(link)
    assert (again.status, again.scene, opened.scene) == (200, "already", "already")


async def test_the_page_has_one_button_and_it_posts(link: str) -> None:
    page = await browse(link)
    assert page.text.count("<button>") == 1
    assert '<form method="post">' in page.text


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_an_expired_link_is_gone(link: str, clock: FakeClock, method: str) -> None:
    clock.turn(timedelta(minutes=16))
    page = await browse(link, method)
    assert (page.status, page.scene) == (410, "LinkExpiredError")


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("query", ["", "?token=", f"?token={'A' * TOKEN_CHARACTERS}"])
async def test_a_link_that_nobody_was_sent_is_not_found(site: str, method: str, query: str) -> None:
    page = await browse(f"{site}/verify-email{query}", method)
    assert (page.status, page.scene) == (404, "LinkUnknownError")


async def test_the_page_speaks_the_language_of_the_browser(link: str) -> None:
    page = await browse(link, language="zh-TW,zh;q=0.9,en;q=0.8")
    assert "確認您的電子郵件地址" in page.text
    assert '<html lang="zh-Hant-TW">' in page.text


async def test_a_token_is_not_shown_to_others(link: str) -> None:
    headers = (await browse(link)).headers
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cache-Control"] == "no-store"
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]


async def test_a_token_is_not_logged(link: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    await browse(link)
    await browse(link, "POST")
    assert link.partition("token=")[2] not in caplog.text


async def test_what_somebody_typed_does_not_become_markup(site: str) -> None:
    page = await browse(f"{site}/verify-email?token=%3Cscript%3Ealert(1)%3C/script%3E")
    assert "<script>" not in page.text


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_without_its_database_the_page_asks_to_try_again(
    link: str, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(availability, "PATIENCE_S", 0)
    page = await browse(link, method)
    assert (page.status, page.scene) == (503, "StoreUnavailableError")
    assert "Please try again in a moment." in page.text
