"""Act 4: the tasks are due, the mails arrive, and their links verify."""

import asyncio
from datetime import datetime
from http.client import HTTPResponse
from urllib.request import Request, urlopen

from member.demo.mailbox import link_of, text_of
from member.demo.processes import PATIENCE_S, expect, within_patience
from member.demo.sign_up import SignedUp
from member.demo.stage import Run, Stage


async def fourth_act(stage: Stage, run: Run, *signed_up: SignedUp) -> None:
    """Follow each task to the mail, each mail to the verified address, and count."""
    stage.narrator.open("Act 4. The tasks are due; the mails arrive.")
    for each in signed_up:
        await _wait_for_worker(stage, run, each)
        await _verify(stage, each, await _wait_for_link(stage, each))
    for each in signed_up:
        await run.event("processed task", task_id=each.task["task_id"])
    _check(stage, *signed_up)


async def _wait_for_worker(stage: Stage, run: Run, signed_up: SignedUp) -> None:
    name, task = signed_up.member.membername, signed_up.task
    stage.narrator.say(f"Waiting until the task of {name} is due")
    event = await run.event(
        "processing task", within_s=stage.delay_s + PATIENCE_S, task_id=task["task_id"]
    )
    waited = _parse_time(event["timestamp"]) - _parse_time(task["timestamp"])
    stage.narrator.say(
        "A worker picked the task up",
        task=event["task_id"],
        after=f"{waited.total_seconds():.1f} s",
        retried=event["retried"],
    )


def _parse_time(timestamp: str) -> datetime:
    return datetime.fromisoformat(timestamp)


async def _wait_for_link(stage: Stage, signed_up: SignedUp) -> str:
    """Wait for the member's mail; return the link in it."""
    address = signed_up.member.email
    async with within_patience(f"no mail to {address} arrived"):
        mail = await stage.mailbox.first(address)
    link = link_of(mail)
    stage.narrator.say(
        "Mail arrived over SMTP",
        From=mail["From"],
        To=mail["To"],
        Subject=mail["Subject"],
        text=text_of(mail).partition("\n")[0],
        link=link,
    )
    return link


async def _verify(stage: Stage, signed_up: SignedUp, link: str) -> None:
    name = signed_up.member.membername
    page = await asyncio.to_thread(_browse, link, "GET")
    expect('<form method="post">' in page, f"the page has no Confirm button:\n{page}")
    expect(stage.database.verified_at(name) is None, "opening the link must not verify")
    stage.narrator.say("Opened the link: a Confirm button; nothing verified yet")
    page = await asyncio.to_thread(_browse, link, "POST")
    expect('data-scene="verified"' in page, f"the address was not verified:\n{page}")
    again = await asyncio.to_thread(_browse, link, "POST")
    expect('data-scene="already"' in again, f"the second click was not recognized:\n{again}")
    stage.narrator.say("Pressed Confirm: verified; pressed it again: already verified")


def _browse(link: str, method: str) -> str:
    request = Request(link, method=method)  # noqa: S310 - our own page
    response: HTTPResponse
    with urlopen(request, timeout=PATIENCE_S) as response:  # noqa: S310 - our own page
        return response.read().decode()


def _check(stage: Stage, *signed_up: SignedUp) -> None:
    """Check and print what the database and the mail server hold in the end."""
    members = [each.member for each in signed_up]
    verified = {m.membername: stage.database.verified_at(m.membername) for m in members}
    mails = {m.email: stage.mailbox.count(m.email) for m in members}
    expect(all(verified.values()), f"not everybody is verified: {verified}")
    expect(set(mails.values()) == {1}, f"not everybody got one mail: {mails}")
    stage.narrator.say(
        "Everybody got one mail, and is verified in the database",
        **{name: f"verified at {at} UTC" for name, at in verified.items()},
        mails=", ".join(f"{count} to {address}" for address, count in mails.items()),
    )
