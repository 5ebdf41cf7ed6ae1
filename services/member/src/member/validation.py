"""Turn typed fields into their stored form, or report everything that is wrong with them. Pure."""

import re
import unicodedata
from dataclasses import dataclass, replace
from typing import Literal

from email_validator import EmailNotValidError, validate_email

from member import guessing, locales, names
from member.errors import InvalidInputError, Violation
from member.members import Changes, Member, NewMember, SignUp

_MEMBERNAME = re.compile(r"[a-z0-9_]{3,32}")
_REQUEST_ID = re.compile(r"[!-~]{0,64}")
_FULL_NAME_MAX = 100
_EMAIL_MAX = 254  # RFC 5321
_PASSWORD_MIN, _PASSWORD_MAX = 8, 128
_SHRINKING = 4  # at most this number of typed characters becomes one


@dataclass(frozen=True, slots=True)
class _Field:
    """A field as it will be stored, or the rule that it breaks; one of the two is empty."""

    value: str
    problem: str = ""


def validate_sign_up(sign_up: SignUp) -> NewMember:
    """Return *sign_up* as a new member.

    Raises:
        InvalidInputError: If fields break their rules; it lists all of them.
    """
    membername, email = _membername(sign_up.membername), _email(sign_up.email)
    full_name = _full_name(sign_up.full_name)
    own = _personal_words(sign_up.membername, full_name.value, sign_up.email.strip(), email.value)
    password = _password(sign_up.password, own)
    locale = _locale(sign_up.locale)
    _refuse(
        membername=membername, full_name=full_name, email=email, password=password, locale=locale
    )
    return NewMember(
        membername=membername.value,
        full_name=full_name.value,
        email=email.value,
        password=password.value,
        locale=locales.nearest(locale.value),
    )


def with_changes(member: Member, changes: Changes) -> Member:
    """Return *member* with its *changes*; a new address waits until it is verified.

    A change to the present address removes an address that waits.

    Raises:
        InvalidInputError: If fields break their rules; it lists all of them.
    """
    full_name = _full_name(_either(changes.full_name, member.full_name))
    email = _email(_either(changes.email, member.pending_email or member.email))
    locale = _locale(_either(changes.locale, member.locale))
    _refuse(full_name=full_name, email=email, locale=locale)
    return replace(
        member,
        full_name=full_name.value,
        locale=locales.nearest(locale.value),
        pending_email=None if email.value == member.email else email.value,
    )


def _either(change: str | None, present: str) -> str:
    return present if change is None else change


def validate_new_password(text: str, member: Member) -> str:
    """Return the new password of *member* in the form that is hashed.

    Raises:
        InvalidInputError: If it breaks a rule.
    """
    password = _password(text, _personal_words(member.membername, member.full_name, member.email))
    _refuse(new_password=password)
    return password.value


def validate_email_address(text: str) -> str:
    """Return an address in the form that is stored and compared.

    Raises:
        InvalidInputError: If *text* is no valid address.
    """
    email = _email(text)
    _refuse(email=email)
    return email.value


def validate_request_id(text: str) -> str:
    """Return the id of a sign-up; empty: the sign-up has none.

    Raises:
        InvalidInputError: If it is too long or has other characters than visible ASCII.
    """
    fits = _REQUEST_ID.fullmatch(text)
    _refuse(request_id=_Field(text, "" if fits else "must be up to 64 visible ASCII characters"))
    return text


def is_membername(text: str) -> bool:
    """Tell whether a member can have this name."""
    return _MEMBERNAME.fullmatch(text) is not None


def _refuse(**fields: _Field) -> None:
    violations = tuple(Violation(name, f.problem) for name, f in fields.items() if f.problem)
    if violations:
        raise InvalidInputError(violations)


def _membername(text: str) -> _Field:
    if not is_membername(text):
        return _Field("", "must be 3 to 32 characters of a-z, 0-9 and _")
    return _Field(text)


def _full_name(text: str) -> _Field:
    name = _normalize("NFC", text, _FULL_NAME_MAX).strip()
    if not 1 <= len(name) <= _FULL_NAME_MAX:
        return _Field("", f"must be 1 to {_FULL_NAME_MAX} characters")
    problem = names.problem(name)
    return _Field("" if problem else name, problem)


def _normalize(form: Literal["NFC", "NFKC"], text: str, longest: int) -> str:
    """Return *text* in a normal form; unchanged if it would be too long in any form.

    The time of normalizing grows with the square of the number of marks in a row: seconds for the
    longest request.
    """
    return text if len(text) > _SHRINKING * longest else unicodedata.normalize(form, text)


def _email(text: str) -> _Field:
    """Return the address in the one form that is stored and compared: ASCII, lower case.

    The domain is in the form of IDNA 2008 (xn--...), and not case-folded: folding would turn
    ``straße.de`` into ``strasse.de``, which somebody else owns. The local part must be ASCII,
    because not every mail server accepts others (SMTPUTF8).
    """
    if len(text) > _EMAIL_MAX:
        return _Field("", "is not valid: it is too long")
    try:
        found = validate_email(
            text.strip(), check_deliverability=False, allow_smtputf8=False, strict=True
        )
    except EmailNotValidError as error:
        return _Field("", f"is not valid: {error}")
    if names.ENCODED_WORD in found.local_part:
        return _Field("", f"is not valid: it must not contain {names.ENCODED_WORD}")
    return _Field(f"{found.local_part}@{found.ascii_domain}".lower())


def normalize_password(text: str) -> str:
    """Return a password in the form that is hashed, the same from every keyboard.

    Source:
        NIST SP 800-63B, 5.1.1.2: normalize Unicode with NFKC.
    """
    return _normalize("NFKC", text, _PASSWORD_MAX)


def _personal_words(membername: str, full_name: str, *emails: str) -> set[str]:
    """Return the words about this member that attackers guess first."""
    words, local_parts = full_name.split(), [email.partition("@")[0] for email in emails]
    return {membername, *emails, *local_parts, "".join(words), *words} - {""}


def _password(text: str, own: set[str]) -> _Field:
    password = normalize_password(text)
    if not _PASSWORD_MIN <= len(password) <= _PASSWORD_MAX:
        return _Field("", f"must be {_PASSWORD_MIN} to {_PASSWORD_MAX} characters")
    if any(unicodedata.category(c) == "Cs" for c in password):
        return _Field("", "must not contain half of a surrogate pair")
    if not names.can_be_seen(password):
        return _Field("", "must have a visible character")
    if guessing.is_made_of(password, own):
        return _Field("", "must not be made of your name or your e-mail address")
    if guessing.is_common(password):
        return _Field("", "is made of a common password, word or name; choose another")
    return _Field(password)


def _locale(text: str) -> _Field:
    tag = text or locales.DEFAULT
    if not locales.is_tag(tag):
        return _Field("", "must be a language tag such as en or zh-TW")
    return _Field(tag)
