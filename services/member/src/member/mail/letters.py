"""Write mails, as text and HTML, in the member's language."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from enum import StrEnum
from typing import Literal
from uuid import UUID

from email_validator import validate_email
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from member import names
from member.errors import MailRefusedError
from member.locales import Locale


class Kind(StrEnum):
    """The kinds of mails; the names of templates begin with these values."""

    VERIFY_EMAIL = "verify_email"
    RESET_PASSWORD = "reset_password"  # noqa: S105 - no password
    EMAIL_CHANGE = "email_change"
    PASSWORD_CHANGED = "password_changed"  # noqa: S105 - no password


_SUBJECTS: Mapping[Kind, Mapping[Locale, str]] = {
    Kind.VERIFY_EMAIL: {
        "en": "Verify your e-mail address",
        "zh-TW": "請驗證您的電子郵件地址",
    },
    Kind.RESET_PASSWORD: {
        "en": "Set a new password",
        "zh-TW": "設定新的密碼",
    },
    Kind.EMAIL_CHANGE: {
        "en": "Your e-mail address is about to change",
        "zh-TW": "您的電子郵件地址即將變更",
    },
    Kind.PASSWORD_CHANGED: {
        "en": "Your password was changed",
        "zh-TW": "您的密碼已變更",
    },
}
_TEMPLATES = Environment(
    loader=PackageLoader("member.mail"),
    autoescape=select_autoescape(["html"]),
    undefined=StrictUndefined,
    trim_blocks=True,
)
_ID_PREFIXES: Mapping[Kind, str] = {Kind.VERIFY_EMAIL: "verify", Kind.RESET_PASSWORD: "reset"}
_PAGES: Mapping[Kind, str] = {
    Kind.VERIFY_EMAIL: "verify-email",
    Kind.RESET_PASSWORD: "reset-password",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """The content of a mail, and its recipient.

    Attributes:
        letter_id: The Message-ID is made from it.
        written_at: Date of the mail; every attempt to send it has the same.
        token: Token at the end of the link; empty if the mail has no link.
        lifetime: How long the link works.
    """

    kind: Kind = Kind.VERIFY_EMAIL
    letter_id: UUID
    written_at: datetime
    membername: str
    full_name: str
    email: str
    locale: Locale
    token: str = ""
    lifetime: timedelta = timedelta()


class Letters:
    """Writes the mails of one sender."""

    def __init__(self, *, sender_name: str, sender_address: str, public_url: str) -> None:
        """Links start with *public_url*."""
        self._sender = Address(sender_name, addr_spec=_ascii(sender_address))
        self._pages = public_url.rstrip("/")

    def write(self, letter: Letter) -> EmailMessage:
        """Return *letter* as a mail; the same letter gives the same mail.

        Raises:
            MailRefusedError: If today's rules refuse the address.
        """
        mail = EmailMessage(policy=SMTP)
        mail["Subject"] = _SUBJECTS[letter.kind][letter.locale]
        mail["From"] = self._sender
        # Without the name: header parsers would decode text that a stranger wrote.
        mail["To"] = _recipient(letter.email)
        mail["Date"] = letter.written_at
        prefix = _ID_PREFIXES.get(letter.kind, "notice")
        mail["Message-ID"] = f"<{prefix}.{letter.letter_id.hex}@{self._sender.domain}>"
        mail["Auto-Submitted"] = "auto-generated"
        mail.set_content(self._body(letter, "txt"))
        mail.add_alternative(self._body(letter, "html"), subtype="html")
        mail.set_boundary(letter.letter_id.hex)
        mail["Content-Language"] = letter.locale
        return mail

    def _body(self, letter: Letter, form: Literal["txt", "html"]) -> str:
        template = _TEMPLATES.get_template(f"{letter.kind}.{letter.locale}.{form}")
        return template.render(
            name=_name_of(letter),
            membername=letter.membername,
            link=f"{self._pages}/{_PAGES.get(letter.kind, '')}?token={letter.token}",
            minutes=int(letter.lifetime.total_seconds() // 60),
        )


def _name_of(letter: Letter) -> str:
    """Return the name for the greeting; the member name if today's rules refuse the full name."""
    return letter.membername if names.problem(letter.full_name) else letter.full_name


def _recipient(address: str) -> Address:
    """Return *address* for a header; if it breaks today's rules, refuse it without quoting it."""
    try:
        return Address(addr_spec=_ascii(address))
    except ValueError:
        reason = "the address breaks today's rules"
    raise MailRefusedError(reason)


def _ascii(address: str) -> str:
    """Return *address* with its domain in ASCII, as mail servers need it."""
    checked = validate_email(address, check_deliverability=False, test_environment=True)
    return checked.ascii_email or address
