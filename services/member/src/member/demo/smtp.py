"""A mail server that keeps all mails."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default

from aiosmtpd.smtp import SMTP, Envelope, Session


class SmtpSink:
    """Accepts every mail; tests can change its answer.

    Attributes:
        mails: The mails that arrived, oldest first.
        answer: The answer to every mail; with another than 250 the sink keeps no mail.
    """

    def __init__(self) -> None:
        """Create the sink; it does not listen yet."""
        self.mails: asyncio.Queue[EmailMessage] = asyncio.Queue()
        self.answer = "250 OK"

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[str]:
        """Listen on a free loopback port until the end of the block; yield the address."""
        loop = asyncio.get_running_loop()
        server = await loop.create_server(self._connection, "127.0.0.1", 0)
        try:
            host, port = server.sockets[0].getsockname()
            yield f"{host}:{port}"
        finally:
            server.close()
            await server.wait_closed()

    def _connection(self) -> SMTP:
        return SMTP(self, hostname="sink.example.com")

    async def handle_DATA(  # noqa: N802 - aiosmtpd calls it by this name
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        """Store a mail, or refuse it."""
        content = envelope.content
        if self.answer.startswith("250") and isinstance(content, bytes):
            mail = message_from_bytes(content, policy=default)
            await self.mails.put(mail)
        return self.answer
