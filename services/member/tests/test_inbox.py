"""The development inbox shows every mail, and no mail does harm."""

import json
import os
from dataclasses import astuple
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from member.locales import Locale
from member.mail.letters import Letter, Letters
from member.mail.mailbox import files_in, read
from member.mail.transport import MailboxFolder
from member.service import MemberService
from member.settings import Settings
from member.web.pages import pages
from services.member.tests.browser import browse
from services.member.tests.sites import serve
from tests.support.chromium import Visitor

LETTERS = Letters(
    sender_name="Service", sender_address="service@example.com", public_url="http://127.0.0.1:1"
)


@pytest.fixture
def db_source(sqlite_source: str) -> str:
    """One kind of database; other tests cover the differences."""
    return sqlite_source


def letter(locale: Locale) -> EmailMessage:
    return LETTERS.write(
        Letter(
            letter_id=UUID(int=len(locale)),
            written_at=datetime(2026, 1, 1, tzinfo=UTC),
            membername="alice",
            full_name="Alice",
            email="alice@example.com",
            locale=locale,
            token="A" * 64,
            lifetime=timedelta(minutes=15),
        )
    )


def keep(folder: Path, name: str, content: bytes, *, age_s: int = 0) -> None:
    """Put a file into *folder*, as if it had been written *age_s* ago."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(content)
    written_s = 1_800_000_000 - age_s
    os.utime(folder / name, (written_s, written_s))


def html_mail(html: str) -> bytes:
    mail = EmailMessage()
    mail["Subject"], mail["To"] = "Hello", "alice@example.com"
    mail.set_content("text")
    mail.add_alternative(html, subtype="html")
    return mail.as_bytes()


async def test_without_mails_the_inbox_says_what_to_do(site: str) -> None:
    page = await browse(f"{site}/dev/inbox")
    assert (page.status, "There are no mails yet. Sign somebody up" in page.text) == (200, True)


async def test_mails_are_listed_newest_first(site: str, mailbox: Path) -> None:
    keep(mailbox, "a.eml", b"To: a@example.com\nSubject: old\n\n", age_s=60)
    keep(mailbox, "b.eml", b"To: b@example.com\nSubject: new\n\n")
    text = (await browse(f"{site}/dev/inbox")).text
    parts = ["new", "b@example.com", "2027-01-15 08:00:00", "old", "a@example.com"]
    found = [text.find(f">{part}") for part in parts]
    assert found == sorted(found)
    assert min(found) > 0


async def test_a_mail_shows_its_text_its_html_and_its_source(
    site: str, mailbox: Path, visitor: Visitor
) -> None:
    await MailboxFolder(mailbox, inbox="").send(letter("zh-TW"))
    page = await visitor.open(f"{site}/dev/inbox")
    await page.get_by_role("link").click()
    link = page.locator("pre a")
    assert await link.get_attribute("href") == f"http://127.0.0.1:1/verify-email?token={'A' * 64}"
    assert await page.frame_locator("iframe").get_by_text("Alice 您好").is_visible()
    await page.get_by_text("Source").click()
    assert await page.get_by_text("Message-ID: <verify.").is_visible()


async def test_a_hostile_mail_runs_nothing_loads_nothing_and_goes_nowhere(
    site: str, mailbox: Path, visitor: Visitor
) -> None:
    hostile = """<base href="http://elsewhere.example/" target="_top">
        <meta http-equiv="refresh" content="0;url=http://elsewhere.example/">
        <p id="end" onclick="document.title = 'taken'">the end</p>"""
    keep(mailbox, "a.eml", html_mail(hostile))
    page = await visitor.open(f"{site}/dev/inbox")
    await page.get_by_role("link").click()
    await page.frame_locator("iframe").locator("#end").click()
    assert await page.title() == "Hello"
    assert page.url.startswith(f"{site}/dev/inbox/")
    # Only the console shows that the mail tried.
    assert visitor.faults
    assert all(fault.startswith("console: ") for fault in visitor.faults)
    visitor.faults.clear()


async def test_nothing_in_a_mail_becomes_markup_of_the_page(site: str, mailbox: Path) -> None:
    evil = b'"><script>alert(1)</script>'
    keep(mailbox, "a.eml", b"Subject: %b\nTo: %b\n\n%b javascript:alert(1)" % (evil, evil, evil))
    (file,) = files_in(mailbox)
    listed, shown = [await browse(f"{site}/dev/inbox{end}") for end in ("", f"/{file.key}")]
    assert "<script" not in listed.text + shown.text
    assert 'href="javascript' not in shown.text


@pytest.mark.parametrize(
    "key", ["a", "a.eml", "..%2Fsecret.eml", "../secret.eml", "%00", "%FF", "~", "*"]
)
async def test_a_text_that_is_no_key_of_a_mail_is_not_found(
    site: str, mailbox: Path, tmp_path: Path, key: str
) -> None:
    (tmp_path / "secret.eml").write_bytes(b"Subject: secret\n\n")
    keep(mailbox, "a.eml", b"Subject: a\n\n")
    assert (await browse(f"{site}/dev/inbox/{key}")).status == 404


async def test_other_things_than_files_of_the_folder_are_not_listed(
    mailbox: Path, tmp_path: Path
) -> None:
    (tmp_path / "secret.eml").write_bytes(b"Subject: secret\n\n")
    keep(mailbox, "whole.eml", b"Subject: whole\n\n")
    keep(mailbox, "half.part", b"Subject: half\n\n")
    (mailbox / "folder.eml").mkdir()
    (mailbox / "link.eml").symlink_to(tmp_path / "secret.eml")
    os.mkfifo(mailbox / "pipe.eml")
    assert [file.name for file in files_in(mailbox)] == ["whole.eml"]


async def test_a_file_that_has_disappeared_is_reported(mailbox: Path) -> None:
    keep(mailbox, "a.eml", b"")
    (file,) = files_in(mailbox)
    file.path.unlink()
    assert read(file).problem == "This mail cannot be read: No such file or directory."


async def test_a_folder_that_is_a_file_is_reported(service: MemberService) -> None:
    async with serve(pages(service, Path(__file__))) as site:
        page = await browse(f"{site}/dev/inbox")
    assert (page.status, "The folder cannot be read: Not a directory." in page.text) == (200, True)


async def test_a_file_that_is_no_mail_is_shown_as_it_is(site: str, mailbox: Path) -> None:
    keep(mailbox, "\udcff.eml", b"Content-Type: text/plain; charset=nonsense\n\n\xff\x00 here")
    (file,) = files_in(mailbox)
    page = await browse(f"{site}/dev/inbox/{file.key}")
    assert (page.status, " here" in page.text) == (200, True)
    assert "This file is not a readable mail." in page.text
    assert (await browse(f"{site}/dev/inbox")).status == 200


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    header=st.sampled_from([b"", b"To: ", b"Subject: =?utf-8?b?", b"Content-Type: ", b"Date: "]),
    rest=st.binary(),
)
def test_any_content_of_a_file_can_be_shown(tmp_path: Path, header: bytes, rest: bytes) -> None:
    keep(tmp_path, "a.eml", header + rest)
    (file,) = files_in(tmp_path)
    shown = "".join(astuple(read(file)))
    assert shown.encode(errors="replace") == shown.encode()


async def test_many_mails_are_counted_and_not_all_listed(site: str, mailbox: Path) -> None:
    for number in range(103):
        keep(mailbox, f"{number}.eml", b"Subject: one\n\n")
    text = (await browse(f"{site}/dev/inbox")).text
    assert (text.count("<li>"), "And 3 older ones in the folder." in text) == (100, True)


async def test_without_a_folder_for_mails_there_is_no_inbox(service: MemberService) -> None:
    async with serve(pages(service)) as site:
        assert (await browse(f"{site}/dev/inbox")).status == 404


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8080", "[::1]:8080", "members.test"])
async def test_a_request_for_the_inbox_by_its_own_name_is_answered(
    service: MemberService, mailbox: Path, host: str
) -> None:
    async with serve(pages(service, mailbox, public_url="http://members.test:80")) as site:
        page = await browse(f"{site}/dev/inbox", headers={"Host": host})
    assert page.status == 200


@pytest.mark.parametrize(
    "host", ["attacker.example", "localhost.attacker.example", "10.0.0.1", "[x"]
)
@pytest.mark.parametrize("path", ["/dev/inbox", "/dev/inbox/key"])
async def test_a_site_that_points_its_name_at_the_loopback_gets_no_inbox(
    site: str, host: str, path: str
) -> None:
    page = await browse(f"{site}{path}", headers={"Host": host})
    assert page.status == 421
    assert "Please open it at 127.0.0.1, or at the host of PUBLIC_URL." in page.text


async def test_a_program_that_asks_by_another_name_learns_the_right_one(site: str) -> None:
    answer = await browse(f"{site}/dev/inbox", accept="*/*", headers={"Host": "inbox.test"})
    assert json.loads(answer.text)["detail"] == (
        "the inbox is at 127.0.0.1 or the host of PUBLIC_URL, and at no other"
    )


@pytest.mark.parametrize(
    ("smtp", "http", "shown"),
    [
        ("", "127.0.0.1:0", Path("mailbox")),
        ("", "[::1]:0", Path("mailbox")),
        ("127.0.0.1:25", "127.0.0.1:0", None),
        ("", "0.0.0.0:0", None),
    ],
)
def test_the_inbox_is_there_in_development_on_the_loopback_without_a_mail_server(
    smtp: str, http: str, shown: Path | None
) -> None:
    settings = Settings(
        environment="development",
        smtp_address=smtp,
        http_server_address=http,
        mailbox_dir=Path("mailbox"),
    )
    assert settings.inbox_dir == shown


def test_there_is_no_inbox_in_production() -> None:
    settings = Settings(
        environment="production",
        token_symmetric_key=SecretStr("b1d2e4b6c0f94a7893d5b7f2a8c61e30"),
        email_sender_address="service@example.com",
        smtp_address="mail.example.com:587",
        public_url="https://members.example.com",
    )
    assert settings.inbox_dir is None
