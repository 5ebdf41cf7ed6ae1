"""The page that a verification link opens, in a real browser."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from grpc import aio
from playwright.async_api import Page
from pydantic import SecretStr

from member import store
from member.clock import utc_now
from member.demo.smtp import SmtpSink
from member.program import Addresses, running
from member.settings import Settings
from member.store.database import Database
from member.v1 import member_pb2 as pb
from member.v1.member_pb2_grpc import MemberServiceStub
from services.member.tests.browser import browse
from services.member.tests.doubles import FakeClock, link_of
from tests.support.chromium import Options, Visitor
from tests.support.servers import RedisServer
from tests.support.waiting import wait_until

CONFIRM = "Confirm your e\u2011mail address"
VERIFIED = "Your e\u2011mail address is verified"
ALREADY = "Your e\u2011mail address is already verified"
CHINESE: Options = {"locale": "zh-TW"}


@pytest.fixture
def db_source(sqlite_source: str) -> str:
    """One kind of database; other tests cover the differences."""
    return sqlite_source


@asynccontextmanager
async def program(redis: RedisServer, smtp: str, folder: Path) -> AsyncGenerator[Addresses]:
    """Run the whole program; without *smtp*, mails go to a folder."""
    settings = Settings(
        environment="development",
        db_source=SecretStr(f"sqlite:///{folder}/member.db"),
        redis_address=SecretStr(redis.url),
        grpc_server_address="127.0.0.1:0",
        http_server_address="127.0.0.1:0",
        public_url="",
        smtp_address=smtp,
        smtp_security="none",
        mailbox_dir=folder / "mailbox",
        verify_email_delay=timedelta(seconds=1),
        password_hash_memory_kib=64,
    )
    async with running(settings) as addresses:
        yield addresses


async def sign_up(addresses: Addresses, locale: str) -> None:
    request = pb.CreateMemberRequest(
        membername="alice",
        full_name="Alice Liddell",
        email="alice@example.com",
        password="curiouser and curiouser",
        locale=locale,
    )
    async with aio.insecure_channel(addresses.grpc) as channel:
        await MemberServiceStub(channel).CreateMember(request)


async def heading(page: Page) -> str:
    return await page.get_by_role("heading", level=1).inner_text()


async def confirm(page: Page) -> str:
    """Press the only button, and return the heading of the page it leads to."""
    async with page.expect_navigation():
        await page.get_by_role("button").click()
    return await heading(page)


async def test_a_mail_leads_to_a_verified_address(
    redis: RedisServer, sink: tuple[SmtpSink, str], tmp_path: Path, visitor: Visitor
) -> None:
    async with program(redis, sink[1], tmp_path) as addresses:
        await sign_up(addresses, "en")
        link = link_of(await sink[0].mails.get())
        page = await visitor.open(link)
        said = [await heading(page), await confirm(page)]
        await page.goto(link)
        said.append(await heading(page))
        await visitor.leave()
    assert said == [CONFIRM, VERIFIED, ALREADY]


async def test_the_development_inbox_leads_to_a_verified_address(
    redis: RedisServer, tmp_path: Path, visitor: Visitor
) -> None:
    async with program(redis, "", tmp_path) as addresses:
        await sign_up(addresses, "zh-TW")
        page = await visitor.open(f"{addresses.public_url}/dev/inbox", **CHINESE)
        await shows_after_reloads(page, "請驗證您的電子郵件地址")
        await page.get_by_role("link", name="請驗證您的電子郵件地址").click()
        frame = page.frame_locator("iframe")
        async with page.expect_popup() as popup:
            await frame.get_by_role("link", name="確認我的地址").click()
        assert await confirm(await popup.value) == "您的電子郵件地址已驗證"
        await visitor.leave()


async def shows_after_reloads(page: Page, text: str) -> None:
    """Reload *page* until it shows *text*."""

    async def shows() -> bool:
        await page.reload()
        return await page.get_by_text(text).count() > 0

    await wait_until(shows)


async def test_the_page_works_without_scripts(link: str, visitor: Visitor) -> None:
    page = await visitor.open(link, java_script_enabled=False)
    assert await confirm(page) == VERIFIED


async def test_a_result_can_be_reloaded_without_posting_again(link: str, visitor: Visitor) -> None:
    page = await visitor.open(link)
    await confirm(page)
    answer = await page.reload()
    assert answer is not None
    assert (answer.request.method, await heading(page)) == ("GET", VERIFIED)


async def test_the_token_leaves_the_address_with_the_confirmation(
    link: str, site: str, visitor: Visitor
) -> None:
    page = await visitor.open(link)
    await confirm(page)
    assert page.url == f"{site}/verify-email/verified"


async def test_a_reader_that_goes_back_sees_that_the_address_is_verified(
    link: str, visitor: Visitor
) -> None:
    page = await visitor.open(link)
    await confirm(page)
    await page.go_back()
    assert await heading(page) == ALREADY


async def test_a_double_click_verifies(link: str, visitor: Visitor) -> None:
    page = await visitor.open(link)
    await page.get_by_role("button").dblclick()
    await page.get_by_role("heading", name="verified").wait_for()
    assert (await browse(link)).scene == "already"


async def test_a_second_tab_says_already_verified(link: str, visitor: Visitor) -> None:
    first = await visitor.open(link)
    second = await first.context.new_page()
    await second.goto(link)
    assert [await confirm(first), await confirm(second)] == [VERIFIED, ALREADY]


@pytest.mark.parametrize(
    ("options", "lang", "title"),
    [
        ({"locale": "en-US"}, "en", CONFIRM),
        ({"locale": "de"}, "en", CONFIRM),
        ({"locale": "zh-TW"}, "zh-Hant-TW", "確認您的電子郵件地址"),
        ({"locale": "zh-CN"}, "zh-Hant-TW", "確認您的電子郵件地址"),
    ],
    ids=["English", "German", "Taiwan", "China"],
)
async def test_the_page_speaks_the_language_that_its_reader_likes_best(
    link: str, visitor: Visitor, options: Options, lang: str, title: str
) -> None:
    page = await visitor.open(link, **options)
    assert (await page.get_attribute("html", "lang"), await heading(page)) == (lang, title)


@pytest.mark.parametrize(
    ("options", "title"),
    [({}, "This link has expired"), (CHINESE, "此連結已過期")],
    ids=["en", "zh-TW"],
)
async def test_an_expired_link_says_so(
    link: str, visitor: Visitor, clock: FakeClock, options: Options, title: str
) -> None:
    clock.turn(timedelta(minutes=16))
    page = await visitor.open(link, **options)
    assert (await heading(page), await page.get_by_role("button").count()) == (title, 0)


async def test_a_link_that_expires_under_the_readers_eyes_says_so(
    link: str, visitor: Visitor, clock: FakeClock
) -> None:
    page = await visitor.open(link)
    clock.turn(timedelta(minutes=16))
    assert await confirm(page) == "This link has expired"


@pytest.mark.parametrize(
    ("options", "title"),
    [({}, "A newer mail replaced this link"), (CHINESE, "此連結已被較新的郵件取代")],
    ids=["en", "zh-TW"],
)
async def test_a_replaced_link_says_so(
    link: str, visitor: Visitor, db: Database, options: Options, title: str
) -> None:
    async with db.writing() as session:
        alice = await store.members.by_name(session, "alice")
        assert alice is not None
        await store.verifications.replace(session, alice.id, at=utc_now())
    assert await heading(await visitor.open(link, **options)) == title


@pytest.mark.parametrize(
    ("options", "title"),
    [({}, "This link is not valid"), (CHINESE, "此連結無效")],
    ids=["en", "zh-TW"],
)
@pytest.mark.parametrize("end", ["", "AAAAAAAAAA"], ids=["cut off", "wrong"])
async def test_a_broken_link_says_so(
    link: str, visitor: Visitor, end: str, options: Options, title: str
) -> None:
    page = await visitor.open(link[:-10] + end, **options)
    assert await heading(page) == title


async def test_a_link_that_was_guessed_at_too_often_is_locked(link: str, visitor: Visitor) -> None:
    guess = f"{link[:-10]}AAAAAAAAAA"
    assert [(await browse(guess, "POST")).status for _ in range(3)] == [404, 404, 404]
    page = await visitor.open(link)
    assert await heading(page) == "This link is locked"


@pytest.mark.parametrize(
    ("options", "title"),
    [({}, "This page does not exist"), (CHINESE, "找不到此頁面")],
    ids=["en", "zh-TW"],
)
async def test_a_wrong_address_is_answered_with_a_page(
    site: str, visitor: Visitor, options: Options, title: str
) -> None:
    assert await heading(await visitor.open(f"{site}/nowhere", **options)) == title
