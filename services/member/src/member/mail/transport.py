"""Send mails to a mail server, or write them to a folder.

Errors get into the queue, its archive, the log and traces, where they outlive a member. The answer
of a mail server may quote the recipient in any form, so an error keeps only the answer's codes.
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

# Answers about this mail. Other answers, even 5xx, are about the service and its connection: a
# wrong password must not archive the mails of all members who sign up meanwhile.
_ABOUT_THE_MAIL = (
    aiosmtplib.SMTPSenderRefused,
    aiosmtplib.SMTPRecipientRefused,
    aiosmtplib.SMTPDataError,
)

# Answers before the server knows the recipient.
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
    """Sends mails."""

    async def send(self, mail: EmailMessage) -> None:
        """Send one mail.

        Raises:
            MailRefusedError: If the mail will never be accepted.
            MailDelayedError: If the mail may be accepted later.
        """
        ...


class SmtpTransport:
    """Sends mails to a mail server, with one connection for each."""

    def __init__(
        self, host: str, port: int, *, security: Security, username: str = "", password: str = ""
    ) -> None:
        """Log in only with a *password*."""
        self._host, self._port = host, port
        self._security: Security = security
        self._login = (username, password) if password else (None, None)

    async def send(self, mail: EmailMessage) -> None:
        """Send one mail, within twenty seconds for each step.

        Raises:
            MailRefusedError: If the server answers 5xx about this mail.
            MailDelayedError: If the server answers anything else, or nothing.
        """
        if failure := await self._try_to_send(mail):
            raise failure  # without its cause, which may quote the recipient

    async def _try_to_send(self, mail: EmailMessage) -> MailError | None:
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
    """Return the error of the mail for an *error* of the mail server."""
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
    """Return the code at the start of *answer*, and its subject; empty if there is no code.

    Source:
        RFC 2034, 4, and RFC 3463, 2.
    """
    code = _ENHANCED_CODE.match(answer)
    return f"{code[0]} ({_SUBJECTS[int(code[1])]})" if code else ""


class MailboxFolder:
    """Writes mails to a folder, for development: one ``.eml`` file each."""

    def __init__(self, folder: Path, *, inbox: str) -> None:
        """Create the folder with the first mail; only its owner can read it, as links are secrets.

        Args:
            folder: Folder for the mails.
            inbox: Address of the page that shows them; empty if there is no page.
        """
        self._folder = folder
        self._how = f": open {inbox}" if inbox else ""

    async def send(self, mail: EmailMessage) -> None:
        """Write one mail; a mail that is sent again replaces the first."""
        await asyncio.to_thread(self._write, mail)

    def _write(self, mail: EmailMessage) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        name = str(mail["Message-ID"]).strip("<>").replace("/", "_")
        whole = self._folder / f"{name}.eml"
        part = whole.with_suffix(".part")
        part.touch(mode=0o600)
        part.write_bytes(_readable(mail).as_bytes())
        part.replace(whole)  # readers see a complete mail or none
        log.info("a mail is in %s%s", whole, self._how)


def _readable(mail: EmailMessage) -> EmailMessage:
    """Return a copy without transfer encoding, so that a link can be copied from the file."""
    mail = deepcopy(mail)
    for part in mail.walk():
        if not part.is_multipart():
            part.set_content(part.get_content(), subtype=part.get_content_subtype(), cte="8bit")
    return mail
