"""The texts of the pages, in every language."""
# ruff: noqa: RUF001 - Chinese has its own punctuation

from collections.abc import Mapping
from dataclasses import dataclass

from member.locales import Locale


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """The texts of one language.

    Attributes:
        buttons: Texts of the button, by scene.
        label: Label of the field for a new password.
        titles: Titles, by scene: the state of the page, the class of an error, or an HTTP status.
        bodies: Texts below the title, by scene.
    """

    buttons: Mapping[str, str]
    label: str
    titles: Mapping[str, str]
    bodies: Mapping[str, str]


TEXTS: Mapping[Locale, Text] = {
    "en": Text(
        buttons={
            "confirm": "Confirm",
            "reset": "Set the password",
            "unfit": "Set the password",
        },
        label="New password",
        titles={
            "confirm": "Confirm your e\u2011mail address",
            "verified": "Your e\u2011mail address is verified",
            "already": "Your e\u2011mail address is already verified",
            "reset": "Set a new password",
            "unfit": "This password cannot be used",
            "reset_done": "Your password is changed",
            "LinkUnknownError": "This link is not valid",
            "LinkExpiredError": "This link has expired",
            "LinkReplacedError": "A newer mail replaced this link",
            "LinkUsedError": "This link was used before",
            "LinkLockedError": "This link is locked",
            "AlreadyExistsError": "This address belongs to another account",
            "503": "Not available now",
            "404": "This page does not exist",
            "405": "This page does not work that way",
            "421": "This page is at another address",
            "422": "The request is not complete",
            "429": "Too many attempts",
            "500": "Something went wrong",
        },
        bodies={
            "confirm": "Press the button to confirm that this address is yours.",
            "verified": "Thank you. You can close this page.",
            "already": "There is nothing left to do. You can close this page.",
            "reset": "Choose 8 to 128 characters that nobody guesses. You will be logged out "
            "everywhere.",
            "unfit": "Choose 8 to 128 characters that are not made of a common password, of a "
            "word, or of your own name or address.",
            "reset_done": "You can close this page, and log in with the new password.",
            "LinkUnknownError": "Please open the whole link from the mail. Part of it "
            "may be missing.",
            "LinkExpiredError": "It worked only for a short time. Please go back to where you "
            "asked for it, and ask for another mail.",
            "LinkReplacedError": "Please open the link of the newest mail.",
            "LinkUsedError": "It worked once. If it was not you, ask for another mail now.",
            "503": "Please try again in a moment.",
            "LinkLockedError": "There were too many wrong attempts. Please go back to where you "
            "asked for it, and ask for another mail.",
            "AlreadyExistsError": "Somebody else verified it meanwhile. Your account keeps the "
            "address that it had.",
            "404": "Please check the address, or open the link from the mail.",
            "405": "Please open the link from the mail in your browser.",
            "421": "Please open it at 127.0.0.1, or at the host of PUBLIC_URL.",
            "422": "Please go back and try again.",
            "429": "Please wait a few minutes, and try again.",
            "500": "This is not your fault. Please try again in a few minutes.",
        },
    ),
    "zh-TW": Text(
        buttons={"confirm": "確認", "reset": "設定密碼", "unfit": "設定密碼"},
        label="新的密碼",
        titles={
            "confirm": "確認您的電子郵件地址",
            "verified": "您的電子郵件地址已驗證",
            "already": "您的電子郵件地址先前已驗證",
            "reset": "設定新的密碼",
            "unfit": "無法使用這個密碼",
            "reset_done": "您的密碼已變更",
            "LinkUnknownError": "此連結無效",
            "LinkExpiredError": "此連結已過期",
            "LinkReplacedError": "此連結已被較新的郵件取代",
            "LinkUsedError": "此連結已使用過",
            "LinkLockedError": "此連結已鎖定",
            "AlreadyExistsError": "這個地址屬於另一個帳號",
            "503": "目前無法使用",
            "404": "找不到此頁面",
            "405": "無法以這種方式使用此頁面",
            "421": "此頁面在另一個網址",
            "422": "請求內容不完整",
            "429": "嘗試次數過多",
            "500": "發生錯誤",
        },
        bodies={
            "confirm": "請按下按鈕，確認這個地址是您的。",
            "verified": "謝謝您。您可以關閉此頁面。",
            "already": "無需再做任何動作。您可以關閉此頁面。",
            "reset": "請輸入 8 到 128 個字元、不易猜到的密碼。您在各處的登入都會結束。",
            "unfit": "請輸入 8 到 128 個字元，不要使用常見的密碼、單字，或您自己的名稱與地址。",
            "reset_done": "您可以關閉此頁面，並以新的密碼登入。",
            "LinkUnknownError": "請開啟郵件中的完整連結，連結可能缺少了一部分。",
            "LinkExpiredError": "連結僅在短時間內有效。請回到您提出要求的地方，重新索取郵件。",
            "LinkReplacedError": "請開啟最新郵件中的連結。",
            "LinkUsedError": "此連結只能使用一次。如果不是您本人使用，請立即重新索取郵件。",
            "503": "請稍後再試一次。",
            "LinkLockedError": "錯誤嘗試次數過多。請回到您提出要求的地方，重新索取郵件。",
            "AlreadyExistsError": "這個地址已由其他人完成驗證。您的帳號會保留原本的地址。",
            "404": "請檢查網址，或開啟郵件中的連結。",
            "405": "請在瀏覽器中開啟郵件裡的連結。",
            "421": "請使用 127.0.0.1，或 PUBLIC_URL 中的主機名稱開啟。",
            "422": "請返回上一頁，然後再試一次。",
            "429": "請稍候幾分鐘，然後再試一次。",
            "500": "這不是您的問題。請稍候幾分鐘，然後再試一次。",
        },
    ),
}
