"""The development inbox: the mails that went to a folder instead of to a mail server.

The mails hold secrets, so a request must name the inbox's own host. Another site can let its name
lead to the loopback (DNS rebinding), but its pages still send that name.

Mails are hostile until shown otherwise: their HTML runs no script, sends no form, loads
nothing from anywhere, and moves no window but one that a click on a link opens.
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
            # The mail's HTML is under the page's policy too, and styles its elements one by one.
            policy="style-src-attr 'unsafe-inline'",
        )

    router.add_api_route(INBOX, mails, methods=["GET"])
    router.add_api_route(f"{INBOX}/{{key}}", mail, methods=["GET"])
    return router


def _host_of(request: Request) -> str:
    """Return the host that *request* names, without its port; empty for what is none."""
    try:
        return urlsplit(f"//{request.headers.get('Host', '')}").hostname or ""
    except ValueError:
        return ""
