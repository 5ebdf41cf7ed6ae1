"""The texts of mails, and how mails are sent."""

import os
import re
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from traceback import format_exception
from uuid import UUID

import aiosmtplib
import pytest

from member.demo.smtp import SmtpSink
from member.errors import MailDelayedError, MailError, MailRefusedError
from member.locales import Locale
from member.mail.letters import Kind, Letter, Letters
from member.mail.transport import MailboxFolder, SmtpTransport, mail_error
from services.member.tests.doubles import link_of, text_of
from services.member.tests.pythons import VERSIONS, python_of

LETTERS = Letters(
    sender_name="會員服務",
    sender_address="service@example.com",
    public_url="https://m.example.com/",
)
ROOT = Path(__file__).parents[3]
OUR_PATHS = [path for path in sys.path if not path.startswith(sys.base_prefix)]
INBOX = "http://127.0.0.1:8080/dev/inbox"
LETTER = Letter(
    letter_id=UUID(int=7),
    written_at=datetime(2026, 1, 1, tzinfo=UTC),
    membername="alice",
    full_name="Alice <script>alert(1)</script>",
    email="alice@example.com",
    locale="en",
    token="A" * 64,
    lifetime=timedelta(minutes=15),
)


def test_both_forms_of_a_mail_hold_the_link() -> None:
    mail = LETTERS.write(LETTER)
    link = f"https://m.example.com/verify-email?token={'A' * 64}"
    assert link_of(mail) == link
    assert f'href="{link}"' in text_of(mail, "html")


def test_a_name_cannot_become_markup() -> None:
    html = text_of(LETTERS.write(LETTER), "html")
    assert "<script>" not in html
    assert "&lt;script&gt;" in html


def test_the_text_form_shows_a_name_as_it_is() -> None:
    assert "Alice <script>" in text_of(LETTERS.write(LETTER))


@pytest.mark.parametrize(
    ("locale", "greeting", "subject"),
    [
        ("en", "Hello Alice", "Verify your e-mail address"),
        ("zh-TW", "Alice 您好", "請驗證您的電子郵件地址"),
    ],
)
def test_a_mail_is_in_the_language_of_the_member(
    locale: Locale, greeting: str, subject: str
) -> None:
    mail = LETTERS.write(replace(LETTER, full_name="Alice", locale=locale))
    assert greeting in text_of(mail)
    assert greeting in text_of(mail, "html")
    assert (mail["Subject"], mail["Content-Language"]) == (subject, locale)


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize(("locale", "greeting"), [("en", "Hello Al"), ("zh-TW", "Al 您好")])
def test_every_mail_is_in_every_language_and_names_the_account(
    kind: Kind, locale: Locale, greeting: str
) -> None:
    mail = LETTERS.write(replace(LETTER, kind=kind, full_name="Al", locale=locale))
    assert greeting in text_of(mail)
    assert greeting in text_of(mail, "html")
    assert kind is Kind.VERIFY_EMAIL or "alice" in text_of(mail)


@pytest.mark.parametrize("kind", [Kind.EMAIL_CHANGE, Kind.PASSWORD_CHANGED])
def test_a_notice_holds_no_link(kind: Kind) -> None:
    mail = LETTERS.write(replace(LETTER, kind=kind))
    assert re.findall("http|<a", text_of(mail) + text_of(mail, "html")) == []


def test_the_same_letter_is_the_same_mail_byte_for_byte() -> None:
    assert LETTERS.write(LETTER).as_bytes() == LETTERS.write(LETTER).as_bytes()


def test_the_message_id_belongs_to_the_verification() -> None:
    mail = LETTERS.write(LETTER)
    assert mail["Message-ID"] == f"<verify.{UUID(int=7).hex}@example.com>"


def test_domains_of_any_script_fit_the_header() -> None:
    mail = LETTERS.write(replace(LETTER, full_name="王小明, 先生", email="wang@例え.jp"))
    assert mail["To"] == "wang@xn--r8jz45g.jp"
    assert "王小明, 先生" in text_of(mail)
    assert mail.as_bytes().isascii()


@pytest.mark.parametrize("version", VERSIONS)
def test_no_name_reaches_a_header_on_any_python(version: str) -> None:
    found = subprocess.run(  # noqa: PLW1510 - the output shows the failure
        [python_of(version), "-m", "services.member.tests.hostile_mails"],
        cwd=ROOT,
        env={"PYTHONPATH": os.pathsep.join(OUR_PATHS)},
        capture_output=True,
        text=True,
    )
    assert (found.stdout, found.stderr) == ("To: alice@example.com\n", "")


@pytest.mark.parametrize("name", ["a@example.org", "=?utf-8?q?Alice?=", "visit evil.example"])
def test_a_member_whose_name_is_refused_today_is_greeted_by_the_member_name(name: str) -> None:
    mail = LETTERS.write(replace(LETTER, full_name=name))
    assert "Hello alice," in text_of(mail)
    assert name not in text_of(mail, "html")


@pytest.mark.parametrize("address", ["zaphod beeblebrox@example.com", "zaphod", "a@zaphod..org"])
def test_an_address_that_today_s_rules_refuse_is_not_quoted(address: str) -> None:
    with pytest.raises(MailRefusedError, match="breaks today's rules") as raised:
        LETTERS.write(replace(LETTER, email=address))
    assert "zaphod" not in "".join(format_exception(raised.value))


@pytest.mark.parametrize(
    "error",
    [
        aiosmtplib.SMTPDataError(554, "spam"),
        aiosmtplib.SMTPSenderRefused(550, "no", "service@example.com"),
        aiosmtplib.SMTPRecipientsRefused(
            [aiosmtplib.SMTPRecipientRefused(550, "no such user", "alice@example.com")]
        ),
    ],
    ids=["data", "sender", "recipient"],
)
def test_a_5xx_about_the_mail_is_permanent(error: Exception) -> None:
    assert isinstance(mail_error(error), MailRefusedError)


@pytest.mark.parametrize(
    "error",
    [
        aiosmtplib.SMTPDataError(451, "try again"),
        aiosmtplib.SMTPRecipientsRefused(
            [aiosmtplib.SMTPRecipientRefused(450, "greylisted", "alice@example.com")]
        ),
        aiosmtplib.SMTPAuthenticationError(535, "wrong password"),
        aiosmtplib.SMTPConnectResponseError(554, "not now"),
        aiosmtplib.SMTPReadTimeoutError("timed out"),
        ConnectionRefusedError("nobody there"),
    ],
    ids=["data", "recipient", "login", "connect", "timeout", "refused"],
)
def test_every_other_failure_may_pass(error: Exception) -> None:
    assert isinstance(mail_error(error), MailDelayedError)


async def test_a_mail_travels_over_smtp(sink: tuple[SmtpSink, str]) -> None:
    server, address = sink
    await transport_to(address).send(LETTERS.write(LETTER))
    arrived = server.mails.get_nowait()
    assert link_of(arrived) == link_of(LETTERS.write(LETTER))


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ("550 no such user", MailRefusedError("550")),
        ("550 5.1.1 alice@example.com unknown", MailRefusedError("550 5.1.1 (addressing)")),
        ("554 5.7.1@example.com", MailRefusedError("554")),
        ("451 try later", MailDelayedError("451")),
        ("451 4.2.1 <alice> is busy", MailDelayedError("451 4.2.1 (mailbox)")),
    ],
)
async def test_the_answer_of_a_mail_server_is_understood_and_only_its_codes_are_kept(
    sink: tuple[SmtpSink, str], answer: str, error: MailError
) -> None:
    server, address = sink
    server.answer = answer
    with pytest.raises(type(error)) as raised:
        await transport_to(address).send(LETTERS.write(LETTER))
    assert str(raised.value) == str(error)


@pytest.mark.parametrize(
    "error",
    [
        aiosmtplib.SMTPAuthenticationError(535, "5.7.8 wrong password"),
        aiosmtplib.SMTPConnectResponseError(554, "your address is on a list"),
        aiosmtplib.SMTPHeloError(504, "who are you?"),
        aiosmtplib.SMTPSenderRefused(553, "you are not members@example.com", "m@example.com"),
    ],
    ids=["login", "connect", "hello", "sender"],
)
def test_an_answer_before_the_recipient_is_kept(
    error: aiosmtplib.SMTPResponseException,
) -> None:
    assert mail_error(error).args[0].endswith(f": {error.code} {error.message}")


async def test_without_a_mail_server_mails_wait_for_one() -> None:
    nowhere = SmtpTransport("127.0.0.1", 1, security="none")
    with pytest.raises(MailDelayedError):
        await nowhere.send(LETTERS.write(LETTER))


async def test_a_server_without_starttls_gets_no_mail_in_the_clear(
    sink: tuple[SmtpSink, str],
) -> None:
    server, address = sink
    host, _, port = address.partition(":")
    with pytest.raises(MailDelayedError, match="STARTTLS"):
        await SmtpTransport(host, int(port), security="starttls").send(LETTERS.write(LETTER))
    assert server.mails.empty()


async def test_a_folder_keeps_a_mail_that_is_sent_twice_once(tmp_path: Path) -> None:
    folder = MailboxFolder(tmp_path / "mailbox", inbox=INBOX)
    await folder.send(LETTERS.write(LETTER))
    await folder.send(LETTERS.write(LETTER))
    (kept,) = (tmp_path / "mailbox").iterdir()
    assert kept.suffix == ".eml"
    assert kept.parent.stat().st_mode & 0o077 == 0
    assert kept.stat().st_mode & 0o077 == 0


def transport_to(address: str) -> SmtpTransport:
    host, _, port = address.partition(":")
    return SmtpTransport(host, int(port), security="none")


@pytest.mark.parametrize("locale", ["en", "zh-TW"])
async def test_the_link_in_a_folder_stands_whole(
    locale: Locale, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    mail = LETTERS.write(replace(LETTER, locale=locale))
    with caplog.at_level("INFO"):
        await MailboxFolder(tmp_path / "mailbox", inbox=INBOX).send(mail)
    (kept,) = (tmp_path / "mailbox").iterdir()
    assert link_of(mail) in kept.read_text("utf-8").splitlines()
    assert f"{kept}: open {INBOX}" in caplog.text
