"""Read the mails in the folder of a `MailboxFolder`, even if somebody changed the files since."""

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from hashlib import sha256
from pathlib import Path

_MOST_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class MailFile:
    """A file of the folder.

    Attributes:
        key: Names the file in a URL. Pages compare it with the keys of the files in the folder, so
            no key leads to any other file.
        name: The file's name, in characters that can be shown.
        arrived_at: When the file was written, UTC.
    """

    key: str
    name: str
    path: Path
    arrived_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptMail:
    """The content of a file, in characters that can be shown; missing parts are empty.

    Attributes:
        source: The text of the file, at most its first MiB.
        problem: Why the mail cannot be shown.
    """

    to: str = ""
    sender: str = ""
    subject: str = ""
    date: str = ""
    text: str = ""
    html: str = ""
    source: str = ""
    problem: str = ""


def files_in(folder: Path) -> list[MailFile]:
    """Return the mails in *folder*, newest first; none if the folder does not exist yet.

    Raises:
        OSError: If the folder cannot be read.
    """
    try:
        return sorted(_files(folder), key=lambda file: file.arrived_at, reverse=True)
    except FileNotFoundError:
        return []


def read(file: MailFile) -> KeptMail:
    """Return the content of *file*, or the problem with it."""
    try:
        with file.path.open("rb") as opened:
            content = opened.read(_MOST_BYTES)
    except OSError as error:
        return KeptMail(problem=f"This mail cannot be read: {error.strerror}.")
    return _parse(content)


def _files(folder: Path) -> Iterator[MailFile]:
    with os.scandir(folder) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):  # it was deleted meanwhile
                if entry.name.endswith(".eml") and entry.is_file(follow_symlinks=False):
                    yield _file(entry)


def _file(entry: os.DirEntry[str]) -> MailFile:
    written_s = entry.stat(follow_symlinks=False).st_mtime
    return MailFile(
        key=sha256(os.fsencode(entry.name)).hexdigest(),
        name=_make_printable(entry.name),
        path=Path(entry.path),
        arrived_at=datetime.fromtimestamp(written_s, UTC),
    )


def _parse(content: bytes) -> KeptMail:
    source = content.decode(errors="replace")
    try:
        mail = message_from_bytes(content, policy=default)
        return KeptMail(
            to=_header(mail, "To"),
            sender=_header(mail, "From"),
            subject=_header(mail, "Subject"),
            date=_header(mail, "Date"),
            text=_body(mail, "plain"),
            html=_body(mail, "html"),
            source=source,
        )
    except Exception:  # noqa: BLE001 - the parser fails on malformed mails in many ways
        return KeptMail(source=source, problem="This file is not a readable mail.")


def _header(mail: EmailMessage, name: str) -> str:
    return _make_printable(str(mail.get(name, "")))


def _body(mail: EmailMessage, kind: str) -> str:
    body = mail.get_body((kind,))
    return _make_printable(str(body.get_content())) if body else ""


def _make_printable(text: str) -> str:
    """Return *text* with ``?`` for each lone surrogate, which the parser makes of invalid bytes."""
    return text.encode(errors="replace").decode()
