"""The mails that arrived, by recipient."""

import re
from collections import defaultdict
from email.message import EmailMessage

from member.demo.processes import DemoError
from member.demo.smtp import SmtpSink

_LINK = re.compile(r"http://\S+/verify-email\?token=\S+")


class Mailbox:
    """Keeps the mails that a mail server accepted."""

    def __init__(self, sink: SmtpSink) -> None:
        """Keep the mails of *sink*."""
        self._sink = sink
        self._mails: defaultdict[str, list[EmailMessage]] = defaultdict(list)

    async def first(self, address: str) -> EmailMessage:
        """Return the first mail to *address*; wait for it."""
        while not self._mails[address]:
            self._keep(await self._sink.mails.get())
        return self._mails[address][0]

    def count(self, address: str) -> int:
        """Return how many mails to *address* have arrived."""
        while not self._sink.mails.empty():
            self._keep(self._sink.mails.get_nowait())
        return len(self._mails[address])

    def _keep(self, mail: EmailMessage) -> None:
        (to,) = mail["To"].addresses
        self._mails[to.addr_spec].append(mail)


def text_of(mail: EmailMessage) -> str:
    """Return the plain text of *mail*."""
    body = mail.get_body(("plain",))
    return str(body.get_content()) if body else ""


def link_of(mail: EmailMessage) -> str:
    """Return the link in *mail*.

    Raises:
        DemoError: If it has no link.
    """
    link = _LINK.search(text_of(mail))
    if link is None:
        msg = f"the mail holds no link:\n{mail}"
        raise DemoError(msg)
    return link[0]
