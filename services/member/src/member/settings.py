"""The settings, from ``app.env`` in the working folder and the environment, which wins."""

import os
from collections.abc import Iterable, Iterator
from datetime import timedelta
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError
from pydantic import model_validator as _model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from member.addresses import host_and_port, is_loopback
from member.limits import Rates
from member.limits.rate import Rate
from member.passwords import HashCost
from member.proxies import Networks, read_networks
from member.roles import ALL_ROLES, ANSWERING_ROLES, Role, read_roles
from member.setting_values import (
    Address,
    Limit,
    OptionalAddress,
    Switch,
    between,
    check_db_source,
    check_mail_address,
    check_one_line,
    check_public_url,
    check_redis_address,
    lower,
)
from member.store.database import url_of
from member.strength import is_guessable, is_tried_first
from member.tls import CertificateError, CertificateFiles, load

_KEY_CHARACTERS = 32

# OWASP, Password Storage Cheat Sheet: argon2id with 7 MiB and 5 passes, or more memory and fewer
# passes with the same product.
_HASH_MEMORY_KIB = 7 * 1024
_HASH_WORK_KIB = 5 * _HASH_MEMORY_KIB
_MAKE_ONE = "take what openssl rand -hex 32 prints"

_MISSPELT = 0.85
"""Similarity, 0 to 1, from which a variable such as ``TRUSTED_PROXY`` counts as a misspelling."""


def _is_on(switch: Switch, *, auto: bool) -> bool:
    return auto if switch == "auto" else switch == "on"


class SettingsError(Exception):
    """The settings do not let the service start."""

    def __init__(self, problems: list[str]) -> None:
        """List the *problems*; none quotes a value, which may be a secret."""
        super().__init__("settings: " + "; ".join(problems))
        self.problems = problems


class Settings(BaseSettings):
    """The settings of the service. Durations: ``10s``, ``15m``, ``1h30m``.

    Attributes:
        environment: ``development`` has defaults for everything; ``production`` requires secrets,
            and the addresses that others see.
        roles: What this process does, ``grpc,http,worker,relay`` or some of them. In production
            the process needs only the settings that its roles use.
        db_source: URL of an SQLite file or a PostgreSQL database.
        redis_address: ``host:port`` or URL of the Redis that holds the task queue.
        grpc_server_address: Where the gRPC server listens; port 0 takes a free one.
        grpc_health_address: A second address for gRPC's health service, without TLS, for programs
            that watch this one. It answers even if strangers hold every connection of the other
            address; strangers must not reach it.
        http_server_address: Where the HTTP server listens; port 0 takes a free one.
        trusted_proxies: Addresses and networks whose ``X-Forwarded-For`` is trusted.
        tls_cert_file: Certificate and its chain, PEM; with it both servers speak only TLS.
        tls_key_file: Its key, PEM, without password.
        public_url: How browsers reach the HTTP server; links in mails start with it.
        token_symmetric_key: Key of all tokens, at least 32 characters.
        access_token_duration: How long an access token is valid.
        refresh_token_duration: How long a refresh token is valid, and a session without renewal.
        session_lifetime: How long a session lives, however often it is renewed.
        email_sender_name: Name of the sender of mails.
        email_sender_address: Address of the sender of mails, and the SMTP user.
        email_sender_password: Password of the SMTP user; without one, no SMTP log-in.
        smtp_address: ``host:port`` of the mail server; without it mails go to files.
        smtp_security: ``none``, ``starttls``, or ``tls`` from the first byte.
        mailbox_dir: Folder for mails without a mail server.
        verify_email_delay: Wait before the verification mail. At least one second: with ``redis``
            as `task_distributor` the task is queued before its member is committed, and must not
            run before the commit.
        verify_email_lifetime: How long a link can verify, counted from the last sending.
        verify_email_max_wrong: Number of wrong tokens that locks a link of either kind.
        password_reset_lifetime: How long a link can set a new password, counted from the last
            sending.
        unverified_member_lifetime: How long a member may be without a verified address, and block
            that address for its owner; then the member is removed.
        task_distributor: ``outbox`` writes tasks with the member and queues them after the
            commit; ``redis`` queues them at once, inside the transaction.
        worker_concurrency: Tasks that run at once.
        limit_create_member: Sign-ups, and changes to another e-mail address, from one IP address;
            ``20/1h``: twenty at once, and one more every twentieth of an hour. ``off``, here and
            below: no limit.
        limit_login_member: Log-ins and password changes for one account from one IP address. Ten
            times that from one IP address for all accounts, renewals of access tokens included.
        limit_password_guesses: Wrong passwords for one account from all IP addresses together.
            Each address that the member has logged in from has the same limit of its own.
        limit_verify_email: Links tried from one IP address, for each kind of link.
        limit_resend_verify_email: Further mails to one address that has to be verified; and the
            same number of mails to an address whose member forgot the password.
        password_hash_time: Passes of argon2id over its memory.
        password_hash_memory_kib: Memory of one hash, KiB.
        password_hash_threads: Hashes at once.
        shutdown_timeout: How long running RPCs and tasks may take to end at a stop; then they are
            interrupted, and the tasks go back into the queue.
        log_level: The lowest level that is logged; other packages never log below ``info``.
        log_format: ``console`` or ``json``; ``auto``: ``json`` in production.
        metrics: ``on`` or ``off``: whether ``/metrics`` exists. ``auto``: in development, and in
            production in a process without the role ``http``, which strangers do not reach.
        api_docs: The same for ``/docs`` and ``/openapi.json``; ``auto``: only in development.
        grpc_reflection: The same for gRPC reflection; ``auto``: only in development.
    """

    model_config = SettingsConfigDict(
        env_file="app.env",
        env_file_encoding="utf-8",
        env_ignore_empty=True,
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
    )

    environment: Literal["development", "production"] = "production"
    roles: Annotated[frozenset[Role], NoDecode, BeforeValidator(read_roles)] = ALL_ROLES
    db_source: Annotated[SecretStr, AfterValidator(check_db_source)] = SecretStr(
        "sqlite:///member.db"
    )
    redis_address: Annotated[SecretStr, AfterValidator(check_redis_address)] = SecretStr(
        "127.0.0.1:6379"
    )
    grpc_server_address: Address = "127.0.0.1:9090"
    grpc_health_address: OptionalAddress = ""
    http_server_address: Address = "127.0.0.1:8080"
    trusted_proxies: Annotated[Networks, NoDecode, BeforeValidator(read_networks)] = ()
    tls_cert_file: Path | None = None
    tls_key_file: Path | None = None
    public_url: Annotated[str, AfterValidator(check_public_url)] = ""
    token_symmetric_key: SecretStr = SecretStr("")
    email_sender_name: Annotated[str, AfterValidator(check_one_line)] = "Member Service"
    email_sender_address: Annotated[str, AfterValidator(check_mail_address)] = ""
    email_sender_password: SecretStr = SecretStr("")
    smtp_address: OptionalAddress = ""
    smtp_security: Literal["none", "starttls", "tls"] = "starttls"
    mailbox_dir: Path = Path("mailbox")
    verify_email_delay: Annotated[timedelta, between("1s", "720h")] = timedelta(seconds=10)
    access_token_duration: Annotated[timedelta, between("1s", "24h")] = timedelta(minutes=15)
    refresh_token_duration: Annotated[timedelta, between("1s", "8760h")] = timedelta(hours=24)
    session_lifetime: Annotated[timedelta, between("1m", "8760h")] = timedelta(days=30)
    verify_email_lifetime: Annotated[timedelta, between("1m", "8760h")] = timedelta(minutes=15)
    password_reset_lifetime: Annotated[timedelta, between("1m", "24h")] = timedelta(minutes=15)
    verify_email_max_wrong: Annotated[int, Field(ge=1)] = 5
    unverified_member_lifetime: Annotated[timedelta, between("1h", "87600h")] = timedelta(days=7)
    task_distributor: Literal["outbox", "redis"] = "outbox"
    worker_concurrency: Annotated[int, Field(ge=1)] = 10
    limit_create_member: Limit = Rate(burst=20, per=timedelta(hours=1))
    limit_login_member: Limit = Rate(burst=10, per=timedelta(minutes=1))
    limit_password_guesses: Limit = Rate(burst=20, per=timedelta(hours=1))
    limit_verify_email: Limit = Rate(burst=30, per=timedelta(minutes=1))
    limit_resend_verify_email: Limit = Rate(burst=3, per=timedelta(minutes=10))
    password_hash_time: Annotated[int, Field(ge=1)] = 3
    password_hash_memory_kib: Annotated[int, Field(ge=8)] = 65536
    password_hash_threads: Annotated[int, Field(ge=1)] = 2
    shutdown_timeout: Annotated[timedelta, between("0s", "24h")] = timedelta(seconds=10)
    log_level: Annotated[
        Literal["debug", "info", "warning", "error", "critical"], BeforeValidator(lower)
    ] = "info"
    log_format: Literal["auto", "console", "json"] = "auto"
    metrics: Annotated[Switch, BeforeValidator(lower)] = "auto"
    api_docs: Annotated[Switch, BeforeValidator(lower)] = "auto"
    grpc_reflection: Annotated[Switch, BeforeValidator(lower)] = "auto"

    @_model_validator(mode="after")
    def _complete(self) -> Self:
        problems = [*self._weak(), *self._unfit()]
        if not self.is_development:
            problems += [*self._missing(), *self._guessable(), *self._exposed()]
        if problems:
            raise ValueError("\n".join(problems))
        return self

    def _missing(self) -> Iterator[str]:
        hint = "is missing (only ENVIRONMENT=development works without)"
        if (
            self.roles & {*ANSWERING_ROLES, Role.WORKER}
            and not self.token_symmetric_key.get_secret_value()
        ):
            yield f"TOKEN_SYMMETRIC_KEY {hint}: {_MAKE_ONE}"
        if Role.WORKER in self.roles:
            needed = {
                "EMAIL_SENDER_ADDRESS": self.email_sender_address,
                "SMTP_ADDRESS": self.smtp_address,
                "PUBLIC_URL": self.public_url,
            }
            yield from (f"{name} {hint}" for name, value in needed.items() if not value)

    def _weak(self) -> Iterator[str]:
        if 0 < len(self.token_symmetric_key.get_secret_value()) < _KEY_CHARACTERS:
            rule = f"must have at least {_KEY_CHARACTERS} characters"
            yield f"TOKEN_SYMMETRIC_KEY {rule}: {_MAKE_ONE}"

    def _unfit(self) -> Iterator[str]:
        if bool(self.tls_cert_file) != bool(self.tls_key_file):
            yield "TLS_CERT_FILE and TLS_KEY_FILE need each other"
        if self.unverified_member_lifetime < self.verify_email_delay + self.verify_email_lifetime:
            yield (
                "UNVERIFIED_MEMBER_LIFETIME must be at least VERIFY_EMAIL_DELAY plus "
                "VERIFY_EMAIL_LIFETIME"
            )
        try:
            if self.certificate_files:
                load(self.certificate_files)
        except CertificateError as error:
            yield f"{'TLS_KEY_FILE' if error.of_key else 'TLS_CERT_FILE'}: {error}"

    def _guessable(self) -> Iterator[str]:
        key = self.token_symmetric_key.get_secret_value()
        if len(key) >= _KEY_CHARACTERS and is_guessable(key):
            yield f"TOKEN_SYMMETRIC_KEY could be guessed: {_MAKE_ONE}"
        cost = self.hash_cost
        cheap = cost.memory_kib < _HASH_MEMORY_KIB or cost.time * cost.memory_kib < _HASH_WORK_KIB
        if cheap and self.roles & {*ANSWERING_ROLES}:
            yield (
                "PASSWORD_HASH_TIME and PASSWORD_HASH_MEMORY_KIB make hashes that are cheap to "
                "guess: leave them out, or set at least 7168 KiB and a product of at least 35840"
            )
        passwords = {
            "DB_SOURCE": url_of(self.db_source.get_secret_value()).password,
            "REDIS_ADDRESS": urlsplit(self.redis_address.get_secret_value()).password,
        }
        for name, password in passwords.items():
            if is_tried_first(str(password or "")):
                yield f"{name} has a password that everybody tries first"

    def _exposed(self) -> Iterator[str]:
        if self.smtp_security == "none" and self.email_sender_password.get_secret_value():
            yield "SMTP_SECURITY=none would show EMAIL_SENDER_PASSWORD to the network"
        if self.public_url.startswith("http:"):
            yield "PUBLIC_URL must begin with https://: links in mails are secrets"

    @property
    def certificate_files(self) -> CertificateFiles | None:
        """Files of the certificate and its key; None without TLS."""
        if self.tls_cert_file is None or self.tls_key_file is None:
            return None
        return CertificateFiles(self.tls_cert_file, self.tls_key_file)

    @property
    def token_key(self) -> bytes:
        """Key of the tokens; in development without a setting, a known key."""
        return (self.token_symmetric_key.get_secret_value() or "development only").encode()

    @property
    def sender_address(self) -> str:
        """Address of the sender of mails."""
        return self.email_sender_address or "noreply@example.com"

    @property
    def inbox_dir(self) -> Path | None:
        """Folder that the development inbox shows; None if there is no inbox."""
        host, _ = host_and_port(self.http_server_address)
        shown = self.is_development and not self.smtp_address and is_loopback(host)
        return self.mailbox_dir if shown else None

    @property
    def is_development(self) -> bool:
        """Tell whether this process runs for development, not for users."""
        return self.environment == "development"

    @property
    def shows_metrics(self) -> bool:
        """Tell whether the HTTP server serves metrics; ``auto``: not where strangers reach it."""
        return _is_on(self.metrics, auto=self.is_development or Role.HTTP not in self.roles)

    @property
    def shows_api_docs(self) -> bool:
        """Tell whether the HTTP server explains its operations."""
        return _is_on(self.api_docs, auto=self.is_development)

    @property
    def has_reflection(self) -> bool:
        """Tell whether the gRPC server explains its RPCs."""
        return _is_on(self.grpc_reflection, auto=self.is_development)

    @property
    def hash_cost(self) -> HashCost:
        """What one password hash costs."""
        return HashCost(
            time=self.password_hash_time,
            memory_kib=self.password_hash_memory_kib,
            threads=self.password_hash_threads,
        )

    @property
    def rates(self) -> Rates:
        """How often callers may make the limited calls."""
        return Rates(
            create_member=self.limit_create_member,
            log_in=self.limit_login_member,
            verify_email=self.limit_verify_email,
            resend=self.limit_resend_verify_email,
            guess=self.limit_password_guesses,
        )

    @property
    def logs_json(self) -> bool:
        """Tell whether log lines are JSON."""
        by_environment = "json" if self.environment == "production" else "console"
        return (by_environment if self.log_format == "auto" else self.log_format) == "json"


def load_settings(**flags: str) -> Settings:
    """Read ``app.env`` and the environment; *flags*, by the names of settings, win over both.

    Raises:
        SettingsError: If settings are missing or invalid; it names all of them.
    """
    misspelt = list(_find_misspelt(name for name, value in os.environ.items() if value))
    try:
        settings = Settings.model_validate(flags)
    except ValidationError as error:
        raise SettingsError([*misspelt, *_problems(error)]) from None
    if misspelt:
        raise SettingsError(misspelt)
    return settings


def _problems(error: ValidationError) -> list[str]:
    problems: list[str] = []
    for found in error.errors(include_url=False, include_input=False):
        name = "_".join(str(part) for part in found["loc"]).upper()
        text = found["msg"].removeprefix("Value error, ")
        if found["type"] == "extra_forbidden":
            problems.append(f"{name} in app.env is no setting{_suggestion(name)}")
        else:
            problems += [f"{name}: {text}"] if name else text.split("\n")
    return problems


def _find_misspelt(names: Iterable[str]) -> Iterator[str]:
    """Yield a problem for each of *names* that is almost the name of a setting.

    All other variables may belong to other programs.
    """
    for name in names:
        if name.lower() not in Settings.model_fields and (meant := _suggestion(name)):
            yield f"{name} is no setting{meant}"


def _suggestion(name: str) -> str:
    near = get_close_matches(name.lower(), Settings.model_fields, n=1, cutoff=_MISSPELT)
    return f": is {near[0].upper()} meant?" if near else ""
