"""Read and check the values of single settings.

Their errors are for people, and none quotes a value that may be a secret.
"""

import re
from datetime import timedelta
from typing import Annotated, Literal, TypeAlias

from email_validator import EmailNotValidError, validate_email
from pydantic import AfterValidator, BeforeValidator, SecretStr
from pydantic_settings import NoDecode
from sqlalchemy.exc import ArgumentError

import pyasynq
from member.durations import parse_duration
from member.limits.rate import Rate, parse_rate
from member.store.database import url_of

# No other characters: links in mails are built from it.
_PUBLIC_URL = re.compile(
    r"https?://(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?(?:/[A-Za-z0-9._~%/-]*)?"
)


def between(least: str, most: str) -> BeforeValidator:
    """Return a validator of durations from *least* to *most*, whose error says how to write one."""

    def read(given: str | timedelta) -> timedelta:
        msg = f"must be {least} to {most}, with a unit: write 10s, 15m or 1h30m"
        try:
            value = given if isinstance(given, timedelta) else parse_duration(given)
        except ValueError:
            raise ValueError(msg) from None
        if not parse_duration(least) <= value <= parse_duration(most):
            raise ValueError(msg)
        return value

    return BeforeValidator(read)


def _rate(given: str | Rate | None) -> Rate | None:
    return parse_rate(given) if isinstance(given, str) else given


def lower(given: str) -> str:
    """Return *given* in lower case."""
    return given.lower()


def check_db_source(value: SecretStr) -> SecretStr:
    """Return *value* if it is the address of a database.

    Raises:
        ValueError: If it is not.
    """
    try:
        url_of(value.get_secret_value())
    except (ArgumentError, ValueError):
        msg = "must be sqlite:///file or postgresql://user:password@host/name"
        raise ValueError(msg) from None  # the error may quote a password
    return value


def check_redis_address(value: SecretStr) -> SecretStr:
    """Return *value* if pyasynq can use it.

    Raises:
        ValueError: If it cannot.
    """
    try:
        pyasynq.Client(value.get_secret_value())
    except pyasynq.OptionError:
        msg = (
            "must be host:port, or a redis://, rediss://, unix://, redis-sentinel:// or "
            "redis-cluster:// URL"
        )
        raise ValueError(msg) from None  # the error may quote a password
    return value


def check_public_url(value: str) -> str:
    """Return *value* if links can begin with it, or it is empty.

    Raises:
        ValueError: If they cannot.
    """
    if value and not _PUBLIC_URL.fullmatch(value):
        msg = "must be http:// or https:// with a host, and perhaps a port and a path"
        raise ValueError(msg)
    return value


def check_mail_address(value: str) -> str:
    """Return *value* if it is an address of mail, or empty.

    Raises:
        ValueError: If it is not.
    """
    try:
        if value:
            validate_email(value, check_deliverability=False, test_environment=True)
    except EmailNotValidError:
        msg = "must be an e-mail address such as welcome@example.com"
        raise ValueError(msg) from None
    return value


def check_one_line(value: str) -> str:
    """Return *value* if it is one line of visible characters.

    Raises:
        ValueError: If it is not.
    """
    if not value.isprintable():
        msg = "must be one line of visible characters"
        raise ValueError(msg)
    return value


def check_address(value: str) -> str:
    """Return *value* if it is ``host:port``.

    Raises:
        ValueError: If it is not.
    """
    if not re.fullmatch(r".+:\d{1,5}", value):
        msg = "must be host:port"
        raise ValueError(msg)
    return value


Switch: TypeAlias = Literal["auto", "on", "off"]
Address = Annotated[str, AfterValidator(check_address)]
OptionalAddress = Annotated[str, AfterValidator(lambda value: value and check_address(value))]
Limit = Annotated[Rate | None, NoDecode, BeforeValidator(_rate)]
