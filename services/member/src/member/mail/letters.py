"""Write verification mails, as text and HTML, in the member's language."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from uuid import UUID

from email_validator import validate_email
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from member import names
from member.locales import Locale

_SUBJECTS: dict[Locale, str] = {
    "en": "Verify your e-mail address",
    "zh-TW": "請驗證您的電子郵件地址",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """What a verification mail has to say, and to whom.

    Attributes:
        written_at: The mail's date; that of the first attempt to send it.
        lifetime: How long the link verifies.
    """

    verification_id: UUID
    written_at: datetime
    membername: str
    full_name: str
    email: str
    locale: Locale
    token: str
    lifetime: timedelta


class Letters:
    """Writes letters in the name of one sender."""

    def __init__(self, *, sender_name: str, sender_address: str, public_url: str) -> None:
        """Links start with *public_url*."""
        self._sender = Address(sender_name, addr_spec=_ascii(sender_address))
        self._link = f"{public_url.rstrip('/')}/verify-email?token="
        self._templates = Environment(
            loader=PackageLoader("member.mail"),
            autoescape=select_autoescape(["html"]),
            undefined=StrictUndefined,
            trim_blocks=True,
        )

    def written(self, letter: Letter) -> EmailMessage:
        """Return *letter* as a mail; the same letter gives the same mail."""
        mail = EmailMessage(policy=SMTP)
        mail["Subject"] = _SUBJECTS[letter.locale]
        mail["From"] = self._sender
        # Without the name: the parser of headers decodes what strangers write there.
        mail["To"] = Address(addr_spec=_ascii(letter.email))
        mail["Date"] = letter.written_at
        mail["Message-ID"] = f"<verify.{letter.verification_id.hex}@{self._sender.domain}>"
        mail["Auto-Submitted"] = "auto-generated"
        mail.set_content(self._body(letter, "txt"))
        mail.add_alternative(self._body(letter, "html"), subtype="html")
        mail.set_boundary(letter.verification_id.hex)
        mail["Content-Language"] = letter.locale
        return mail

    def _body(self, letter: Letter, kind: str) -> str:
        template = self._templates.get_template(f"verify_email.{letter.locale}.{kind}")
        return template.render(
            name=_name_of(letter),
            link=f"{self._link}{letter.token}",
            minutes=int(letter.lifetime.total_seconds() // 60),
        )


def _name_of(letter: Letter) -> str:
    """Return the name to greet by; not one that an older version took and today's rules refuse."""
    return letter.membername if names.problem(letter.full_name) else letter.full_name


def _ascii(address: str) -> str:
    """Return *address* with its domain in the ASCII form that mail servers speak."""
    checked = validate_email(address, check_deliverability=False, test_environment=True)
    return checked.ascii_email or address
