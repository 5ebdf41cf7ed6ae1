"""The development inbox: the mails that went to a folder instead of a mail server.

The mails hold secrets, so a request must name the inbox's own host. Another site can point its name
at the loopback (DNS rebinding), but its pages still send that name.

Mails may be hostile: their HTML can run no script, send no form and load nothing. A click on a link
opens a new window, and the mail can change no other.
"""

from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends, HTTPException, Request, Response

from member.addresses import is_loopback
from member.mail.mailbox import files_in, read
from member.web.html import page

INBOX = "/dev/inbox"

_MOST_MAILS = 100
_OTHER_HOST = "the inbox is at 127.0.0.1 or the host of PUBLIC_URL, and at no other"


def inbox(folder: Path, public_url: str = "") -> APIRouter:
    """Return the pages that show the mails in *folder*.

    Only a request whose Host is the loopback or the host of *public_url* is answered.
    """
    own = urlsplit(public_url).hostname

    def check_host(request: Request) -> None:
        host = _host_of(request)
        if host != own and not is_loopback(host):
            raise HTTPException(HTTPStatus.MISDIRECTED_REQUEST, _OTHER_HOST)

    router = APIRouter(dependencies=[Depends(check_host)])

    def mails() -> Response:
        try:
            files, problem = files_in(folder), ""
        except OSError as error:
            files, problem = [], f"The folder cannot be read: {error.strerror}."
        return page(
            "inbox.html",
            style="inbox.css",
            lang="en",
            title="Development inbox",
            folder=folder,
            problem=problem,
            mails=[(file, read(file)) for file in files[:_MOST_MAILS]],
            left_out=len(files[_MOST_MAILS:]),
        )

    def mail(key: str) -> Response:
        found = next((file for file in files_in(folder) if file.key == key), None)
        if found is None:
            raise HTTPException(HTTPStatus.NOT_FOUND)
        kept = read(found)
        return page(
            "inbox_mail.html",
            style="inbox.css",
            lang="en",
            title=kept.subject or "Mail without a subject",
            file=found,
            mail=kept,
            # The page's policy applies to the mail's HTML, too, which has style attributes.
            policy="style-src-attr 'unsafe-inline'",
        )

    router.add_api_route(INBOX, mails, methods=["GET"])
    router.add_api_route(f"{INBOX}/{{key}}", mail, methods=["GET"])
    return router


def _host_of(request: Request) -> str:
    """Return the host in the Host header of *request*, without port; empty if it is invalid."""
    try:
        return urlsplit(f"//{request.headers.get('Host', '')}").hostname or ""
    except ValueError:
        return ""
