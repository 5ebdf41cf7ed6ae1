"""Read the mails that a `MailboxFolder` was given, whatever became of the files since."""

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
        key: Names the file in an address. It is compared with the keys of the files that are
            there, so that no key leads anywhere else.
        name: The file's name, as it can be shown.
        arrived_at: When the file was written, UTC.
    """

    key: str
    name: str
    path: Path
    arrived_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptMail:
    """What a file holds, in characters that can be shown; empty where it holds no such thing.

    Attributes:
        source: The file, up to its first MiB.
        problem: Why it cannot be shown.
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
    """Return the mails in *folder*, newest first; none where there is no folder yet.

    Raises:
        OSError: If the folder cannot be read.
    """
    try:
        return sorted(_files(folder), key=lambda file: file.arrived_at, reverse=True)
    except FileNotFoundError:
        return []


def read(file: MailFile) -> KeptMail:
    """Return what *file* holds, or the problem with it."""
    try:
        with file.path.open("rb") as opened:
            content = opened.read(_MOST_BYTES)
    except OSError as error:
        return KeptMail(problem=f"This mail cannot be read: {error.strerror}.")
    return _understood(content)


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
        name=_shown(entry.name),
        path=Path(entry.path),
        arrived_at=datetime.fromtimestamp(written_s, UTC),
    )


def _understood(content: bytes) -> KeptMail:
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
    except Exception:  # noqa: BLE001 - the parser stumbles over nonsense in many ways
        return KeptMail(source=source, problem="This is no mail that can be understood.")


def _header(mail: EmailMessage, name: str) -> str:
    return _shown(str(mail.get(name, "")))


def _body(mail: EmailMessage, kind: str) -> str:
    body = mail.get_body((kind,))
    return _shown(str(body.get_content())) if body else ""


def _shown(text: str) -> str:
    """Return *text* without the halves of characters that the parser keeps of broken ones."""
    return text.encode(errors="replace").decode()
