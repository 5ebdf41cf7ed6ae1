"""What the pages say, in every language."""
# ruff: noqa: RUF001 - Chinese has punctuation of its own

from collections.abc import Mapping
from dataclasses import dataclass

from member.locales import Locale


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """One language; titles and bodies by scene: what happened, or the error's class."""

    button: str
    titles: Mapping[str, str]
    bodies: Mapping[str, str]


TEXTS: Mapping[Locale, Text] = {
    "en": Text(
        button="Confirm",
        titles={
            "confirm": "Confirm your e-mail address",
            "verified": "Your e-mail address is verified",
            "already": "Your e-mail address is already verified",
            "LinkUnknownError": "This link is not valid",
            "LinkExpiredError": "This link has expired",
            "LinkReplacedError": "A newer mail replaced this link",
            "LinkLockedError": "This link is locked",
            "StoreUnavailableError": "Not available now",
            "LimitedError": "Too many attempts",
        },
        bodies={
            "confirm": "Press the button to confirm that this address is yours.",
            "verified": "Thank you. You can close this page.",
            "already": "There is nothing left to do. You can close this page.",
            "LinkUnknownError": "Please open the whole link from the mail.",
            "LinkExpiredError": "Please ask for a new verification mail.",
            "LinkReplacedError": "Please open the link of the newest mail.",
            "LinkLockedError": "There were too many wrong attempts. "
            "Please ask for a new verification mail.",
            "StoreUnavailableError": "Please try again in a moment.",
            "LimitedError": "Please wait a minute, and try again.",
        },
    ),
    "zh-TW": Text(
        button="確認",
        titles={
            "confirm": "確認您的電子郵件地址",
            "verified": "您的電子郵件地址已驗證",
            "already": "您的電子郵件地址先前已驗證",
            "LinkUnknownError": "此連結無效",
            "LinkExpiredError": "此連結已過期",
            "LinkReplacedError": "此連結已被較新的郵件取代",
            "LinkLockedError": "此連結已鎖定",
            "StoreUnavailableError": "目前無法使用",
            "LimitedError": "嘗試次數過多",
        },
        bodies={
            "confirm": "請按下按鈕，確認這個地址是您的。",
            "verified": "謝謝您。您可以關閉此頁面。",
            "already": "無需再做任何動作。您可以關閉此頁面。",
            "LinkUnknownError": "請開啟郵件中的完整連結。",
            "LinkExpiredError": "請重新索取驗證郵件。",
            "LinkReplacedError": "請開啟最新郵件中的連結。",
            "LinkLockedError": "錯誤嘗試次數過多。請重新索取驗證郵件。",
            "StoreUnavailableError": "請稍後再試一次。",
            "LimitedError": "請稍候一分鐘，然後再試一次。",
        },
    ),
}
