"""The page that a verification link opens, over HTTP."""

import asyncio
import json
from dataclasses import replace
from datetime import timedelta
from http import HTTPStatus
from uuid import UUID

import pytest
from fastapi import FastAPI
from sqlalchemy import update
from structlog.testing import capture_logs

from member import store
from member.service import MemberService
from member.store import availability
from member.store.database import Database
from member.store.tables import MemberRow
from member.tokens import TOKEN_CHARACTERS
from member.web.pages import pages
from member.web.texts import TEXTS
from services.member.tests.browser import browse
from services.member.tests.doubles import FakeClock
from services.member.tests.sites import serve


@pytest.fixture
def db_source(sqlite_source: str) -> str:
    """One kind of database; other tests cover the differences."""
    return sqlite_source


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


@pytest.mark.parametrize(
    ("language", "title"),
    [("en", "This address belongs to another account"), ("zh-TW", "這個地址屬於另一個帳號")],
)
async def test_a_member_that_verifies_an_address_too_late_learns_it(
    link: str, db: Database, language: str, title: str
) -> None:
    async with db.writing() as session:
        alice = await store.members.by_name(session, "alice")
        assert alice is not None
        # Between the mail and the click another member verifies the address.
        await session.execute(update(MemberRow).values(email="old@example.com"))
        bob = replace(alice, id=UUID(int=2), membername="bob", email_verified_at=alice.created_at)
        await store.members.insert(session, bob, password_hash="#")
    page = await browse(link, "POST", language=language)
    assert (page.status, page.scene) == (409, "AlreadyExistsError")
    assert title in page.text


@pytest.mark.parametrize("language", ["zh-TW,zh;q=0.9,en;q=0.8", "fr, zh-TW;q=0.8"])
async def test_the_page_speaks_the_language_of_the_browser(link: str, language: str) -> None:
    page = await browse(link, language=language)
    assert "確認您的電子郵件地址" in page.text
    assert '<html lang="zh-Hant-TW">' in page.text


@pytest.mark.parametrize("accept", ["text/html", "*/*"])
@pytest.mark.parametrize(
    "path", ["verify-email", "verify-email/verified", "reset-password", "nowhere", "dev/inbox"]
)
async def test_no_answer_is_cached_framed_indexed_or_sent_to_others(
    site: str, path: str, accept: str
) -> None:
    headers = (await browse(f"{site}/{path}", accept=accept)).headers
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Robots-Tag"] == "noindex"
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]


async def test_no_style_but_that_of_the_page_is_allowed(link: str) -> None:
    policy = (await browse(link)).headers["Content-Security-Policy"]
    assert "style-src 'sha256-" in policy
    assert "unsafe" not in policy


async def test_a_scanner_may_ask_for_the_head_alone(link: str) -> None:
    page = await browse(link, "HEAD")
    assert (page.status, page.text) == (200, "")


@pytest.mark.parametrize(
    ("method", "path", "status", "code", "titles"),
    [
        ("GET", "nowhere", 404, "NOT_FOUND", ("This page does not exist", "找不到此頁面")),
        (
            "DELETE",
            "verify-email",
            405,
            "UNIMPLEMENTED",
            ("This page does not work that way", "無法以這種方式"),
        ),
        (
            "GET",
            "number",
            422,
            "INVALID_ARGUMENT",
            ("The request is not complete", "請求內容不完整"),
        ),
        ("GET", "broken", 500, "INTERNAL", ("Something went wrong", "發生錯誤")),
    ],
)
async def test_an_error_is_a_page_for_people_and_problem_details_for_programs(
    service: MemberService, method: str, path: str, status: int, code: str, titles: tuple[str, str]
) -> None:
    with capture_logs():
        async with serve(with_faults(pages(service))) as site:
            address = f"{site}/{path}"
            english, chinese = [await browse(address, method, language=tag) for tag in ("en", "zh")]
            program = await browse(address, method, accept="application/json")
    assert {english.status, chinese.status, program.status} == {status}
    assert titles[0] in english.text
    assert titles[1] in chinese.text
    assert program.headers["Content-Type"] == "application/problem+json"
    problem = json.loads(program.text)
    assert (problem["detail"], problem["code"]) == (HTTPStatus(status).phrase, code)


def with_faults(app: FastAPI) -> FastAPI:
    """Add a page that needs a number, and one that raises."""

    async def number(number: int) -> int:
        return number

    async def broken() -> None:
        raise RuntimeError("nobody must see this")

    app.add_api_route("/number", number)
    app.add_api_route("/broken", broken)
    return app


async def test_a_wrong_method_is_answered_with_the_allowed_ones(site: str) -> None:
    page = await browse(f"{site}/verify-email/verified", "DELETE")
    assert set(page.headers["Allow"].split(", ")) == {"GET", "HEAD"}


async def test_trace_is_not_answered(site: str) -> None:
    pages = [await browse(f"{site}{path}", "TRACE") for path in ("/verify-email", "/v1/members")]
    assert [page.status for page in pages] == [405, 405]


async def test_the_log_and_not_the_reader_sees_the_error_of_a_broken_database(
    link: str, db: Database
) -> None:
    async with db.engine.begin() as connection:
        await connection.exec_driver_sql("DROP TABLE verifications")
    with capture_logs() as events:
        page = await browse(link, "POST")
    assert (page.status, page.headers["Cache-Control"]) == (500, "no-store")
    assert "verifications" not in page.text
    assert [(event["event"], event["path"]) for event in events] == [
        ("page failed", "/verify-email")
    ]


def test_every_language_has_every_text() -> None:
    scenes = [set(part) for text in TEXTS.values() for part in (text.titles, text.bodies)]
    assert scenes == [scenes[0]] * len(scenes)


async def test_a_token_is_not_logged(link: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    await browse(link)
    await browse(link, "POST")
    assert link.partition("token=")[2] not in caplog.text


async def test_typed_text_does_not_become_markup(site: str) -> None:
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
