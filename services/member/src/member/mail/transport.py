"""Hand mails to a mail server, or put them into a folder.

Errors end up in the queue, its archive, the log and traces, where they outlive a member. A mail
server may quote in its answers whom a mail is for, in whatever form; so nothing of such an answer
is kept but its codes.
"""

import asyncio
import logging
import re
from copy import deepcopy
from email.message import EmailMessage
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

import aiosmtplib

from member.errors import MailDelayedError, MailError, MailRefusedError

log = logging.getLogger("member.mail")

Security: TypeAlias = Literal["none", "starttls", "tls"]

_PATIENCE_S = 20.0
_PERMANENT = 500

# Answers about this mail. Others, even 5xx, are about us and our connection: a wrong
# password must not archive the mails of everybody who signs up meanwhile.
_ABOUT_THE_MAIL = (
    aiosmtplib.SMTPSenderRefused,
    aiosmtplib.SMTPRecipientRefused,
    aiosmtplib.SMTPDataError,
)

# What a server answers before it is told whom the mail is for.
_BEFORE_THE_RECIPIENT = (
    aiosmtplib.SMTPConnectResponseError,
    aiosmtplib.SMTPHeloError,
    aiosmtplib.SMTPAuthenticationError,
    aiosmtplib.SMTPSenderRefused,
)

_ENHANCED_CODE = re.compile(r"[245]\.([0-7])\.\d{1,3}(?!\S)")

# RFC 3463, 2: what the second number is about.
_SUBJECTS = (
    "undefined",
    "addressing",
    "mailbox",
    "mail system",
    "network and routing",
    "mail delivery protocol",
    "message content",
    "security or policy",
)


class MailTransport(Protocol):
    """Gets mails on their way."""

    async def send(self, mail: EmailMessage) -> None:
        """Hand over one mail.

        Raises:
            MailRefusedError: If it will never be taken.
            MailDelayedError: If it may be taken later.
        """
        ...


class SmtpTransport:
    """Hands mails to a mail server, one connection each."""

    def __init__(
        self, host: str, port: int, *, security: Security, username: str = "", password: str = ""
    ) -> None:
        """Log in only where a *password* is given."""
        self._host, self._port = host, port
        self._security: Security = security
        self._login = (username, password) if password else (None, None)

    async def send(self, mail: EmailMessage) -> None:
        """Hand over one mail, within twenty seconds for each step.

        Raises:
            MailRefusedError: If the server says 5xx about this mail.
            MailDelayedError: If it says anything else, or nothing.
        """
        if failure := await self._failure(mail):
            raise failure  # without its cause, which quotes

    async def _failure(self, mail: EmailMessage) -> MailError | None:
        username, password = self._login
        try:
            await aiosmtplib.send(
                mail,
                hostname=self._host,
                port=self._port,
                username=username,
                password=password,
                use_tls=self._security == "tls",
                start_tls=self._security == "starttls",
                timeout=_PATIENCE_S,
            )
        except (aiosmtplib.SMTPException, OSError) as error:
            return mail_error(error)
        return None


def mail_error(error: Exception) -> MailError:
    """Return what *error* of the mail server means for the mail."""
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused):
        error = error.recipients[0]
    if isinstance(error, _ABOUT_THE_MAIL) and error.code >= _PERMANENT:
        return MailRefusedError(_text(error))
    return MailDelayedError(_text(error))


def _text(error: Exception) -> str:
    match error:
        case aiosmtplib.SMTPResponseException() if isinstance(error, _BEFORE_THE_RECIPIENT):
            return f"{error.code} {error.message}"
        case aiosmtplib.SMTPResponseException():
            return f"{error.code} {_enhanced_code(error.message)}".rstrip()
        case _:
            return str(error) or type(error).__name__


def _enhanced_code(answer: str) -> str:
    """Return the code that *answer* begins with, and what it is about; empty if there is none.

    Source:
        RFC 2034, 4, and RFC 3463, 2.
    """
    code = _ENHANCED_CODE.match(answer)
    return f"{code[0]} ({_SUBJECTS[int(code[1])]})" if code else ""


class MailboxFolder:
    """Puts mails into a folder, for development: one ``.eml`` file each."""

    def __init__(self, folder: Path, *, inbox: str) -> None:
        """Make the folder with the first mail; only its owner reads it, links are secrets.

        Args:
            folder: Where mails go.
            inbox: Address of the page that shows them; empty if there is none.
        """
        self._folder = folder
        self._how = f": open {inbox}" if inbox else ""

    async def send(self, mail: EmailMessage) -> None:
        """Write one mail; a mail that is sent again takes the place of the first."""
        await asyncio.to_thread(self._write, mail)

    def _write(self, mail: EmailMessage) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        name = str(mail["Message-ID"]).strip("<>").replace("/", "_")
        whole = self._folder / f"{name}.eml"
        part = whole.with_suffix(".part")
        part.touch(mode=0o600)
        part.write_bytes(_readable(mail).as_bytes())
        part.replace(whole)  # readers see the whole mail or none
        log.info("a mail is in %s%s", whole, self._how)


def _readable(mail: EmailMessage) -> EmailMessage:
    """Return a copy whose texts stand as they are, so that a link can be copied whole."""
    mail = deepcopy(mail)
    for part in mail.walk():
        if not part.is_multipart():
            part.set_content(part.get_content(), subtype=part.get_content_subtype(), cte="8bit")
    return mail
