"""Write mails to people with hostile names; print their ``To`` headers, and every faulty mail.

The tests run this on other Pythons than their own, so it imports no compiled modules.
"""

import sys
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from uuid import UUID

from aiosmtplib.email import flatten_message

from member.locales import LOCALES
from member.mail.letters import Letter, Letters

HEADERS = (
    b"Subject From To Date Message-ID Auto-Submitted MIME-Version Content-Type Content-Language"
)
TEXTS = (
    "\r\nReply-To: a@x.org\r\nX:",
    "\nBcc: a@x.org",
    "a@x.org,",
    "a@x.org, b@x.org",
    '"<a@x.org>,',
    "\r\n\r\nAnother body",
)
NAMES = (
    *TEXTS,
    *(f"=?utf-8?b?{b64encode(text.encode()).decode()}?=" for text in TEXTS),
    *(f"=?utf-8?q?{''.join(f'={byte:02X}' for byte in text.encode())}?=" for text in TEXTS),
    "\u202ea@x.org",
    "é" * 300,
    "a@x.org, " * 50,
)
LETTERS = Letters(
    sender_name="會員服務", sender_address="service@example.com", public_url="https://m.example.com"
)


def mails() -> list[EmailMessage]:
    return [
        LETTERS.write(
            Letter(
                letter_id=UUID(int=7),
                written_at=datetime(2026, 1, 1, tzinfo=UTC),
                membername="alice",
                full_name=name,
                email="alice@example.com",
                locale=locale,
                token="A" * 64,
                lifetime=timedelta(minutes=15),
            )
        )
        for name in NAMES
        for locale in LOCALES
    ]


def main() -> None:
    recipients: set[bytes] = set()
    for mail in mails():
        for content in (mail.as_bytes(), flatten_message(mail)):
            head = content.partition(b"\r\n\r\n")[0].replace(b"\r\n ", b" ")
            lines = head.split(b"\r\n")
            names = [line.partition(b":")[0] for line in lines]
            if sorted(names) != sorted(HEADERS.split()) or b"x.org" in content:
                sys.stdout.write(content.decode())
            recipients |= {line for line in lines if line.startswith(b"To:")}
    sys.stdout.writelines(f"{line.decode()}\n" for line in sorted(recipients))


if __name__ == "__main__":
    main()
