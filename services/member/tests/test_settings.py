"""Settings from ``app.env`` and the environment."""

import secrets
from datetime import timedelta
from pathlib import Path

import pytest

from member.addresses import host_and_port, is_loopback
from member.limits.rate import Rate
from member.roles import ALL_ROLES, Role
from member.settings import SettingsError, load_settings
from member.strength import is_guessable

PRODUCTION = {
    "ENVIRONMENT": "production",
    "TOKEN_SYMMETRIC_KEY": "b1d2e4b6c0f94a7893d5b7f2a8c61e30",
    "EMAIL_SENDER_ADDRESS": "service@example.com",
    "SMTP_ADDRESS": "mail.example.com:587",
    "PUBLIC_URL": "https://members.example.com",
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder, and an environment without settings of the service."""
    monkeypatch.chdir(tmp_path)
    others = ("REDIS_ADDRESS", "VERIFY_EMAIL_DELAY", "EMAIL_SENDER_PASSWORD", "DB_SOURCE", "ROLES")
    for name in (*PRODUCTION, *others):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def set_production(monkeypatch: pytest.MonkeyPatch, *, without: str) -> None:
    for name, value in PRODUCTION.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv(without)


def problems_with(monkeypatch: pytest.MonkeyPatch, without: str = "", **changes: str) -> list[str]:
    for name, value in {**PRODUCTION, **changes}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv(without, raising=False)
    with pytest.raises(SettingsError) as caught:
        load_settings()
    return caught.value.problems


def test_the_environment_wins_over_the_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "app.env").write_text(
        "ENVIRONMENT=development\nREDIS_ADDRESS=file:6379\nVERIFY_EMAIL_DELAY=3s\n"
    )
    monkeypatch.setenv("REDIS_ADDRESS", "environment:6379")
    settings = load_settings()
    assert settings.redis_address.get_secret_value() == "environment:6379"
    assert settings.verify_email_delay == timedelta(seconds=3)


def test_development_needs_no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENVIRONMENT", "development")
    assert load_settings().verify_email_delay == timedelta(seconds=10)


def test_every_unknown_name_in_the_file_is_refused(folder: Path) -> None:
    (folder / "app.env").write_text("ENVIRONMENT=development\nMIGRATION_URL=x\nSMTP_ADRESS=y\n")
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert caught.value.problems == [
        "MIGRATION_URL in app.env is no setting",
        "SMTP_ADRESS in app.env is no setting: is SMTP_ADDRESS meant?",
    ]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("LIMIT_LOGIN_MEMBERS", "LIMIT_LOGIN_MEMBER"),
        ("TRUSTED_PROXY", "TRUSTED_PROXIES"),
        ("smtp_adress", "SMTP_ADDRESS"),
    ],
)
def test_an_unknown_name_in_the_environment_that_is_almost_a_setting_is_refused(
    monkeypatch: pytest.MonkeyPatch, name: str, meant: str
) -> None:
    (problem,) = problems_with(monkeypatch, **{name: "x"})
    assert problem == f"{name} is no setting: is {meant} meant?"


def test_variables_of_other_programs_are_none_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    others = ("PATH", "REDIS_PORT", "POSTGRES_PASSWORD", "REDIS_PASSWORD", "MEMBER_VERSION")
    for name in others:
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("ENVIRONMENT", "development")
    assert load_settings()


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "ftp://members.example.com",
        "members.example.com",
        "https://",
        "https://user:secret@members.example.com",
        "https://members.example.com?a=b",
        "https://members.example.com#x",
        "https://members.example.com/\nBcc: x@example.com",
        'https://members.example.com/"><script>',
        "https://members.example.com\\@example.org",
    ],
)
def test_a_public_url_that_links_must_not_start_with_is_refused(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    (problem,) = problems_with(monkeypatch, PUBLIC_URL=url)
    assert problem.startswith("PUBLIC_URL: must be http:// or https:// with a host")


def test_in_production_links_are_never_open_to_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    (problem,) = problems_with(monkeypatch, PUBLIC_URL="http://members.example.com")
    assert problem == "PUBLIC_URL must begin with https://: links in mails are secrets"


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:8080", "https://[::1]:8443/", "https://members.example.com/a/b/"],
)
def test_a_public_url_may_have_a_port_and_a_path(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("ENVIRONMENT", "development")
    monkeypatch.setenv("PUBLIC_URL", url)
    assert load_settings().public_url == url


@pytest.mark.parametrize(
    "key",
    [
        "k" * 64,
        "ab" * 32,
        "12345678901234567890123456789012",
        "abcdefghijklmnopqrstuvwxyz0123456789",
        "please-change-me-before-you-go-live-1",
        "this is the secret of our members, 42",
    ],
)
def test_a_key_that_is_not_random_is_refused_in_production(
    monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    (problem,) = problems_with(monkeypatch, TOKEN_SYMMETRIC_KEY=key)
    assert problem.startswith("TOKEN_SYMMETRIC_KEY could be guessed")


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("DB_SOURCE", "postgresql://member:password@db.example.com/member"),
        ("REDIS_ADDRESS", "rediss://:Password@redis.example.com:6380"),
        ("REDIS_ADDRESS", "redis-cluster://user:secret@redis1:7000,redis2:7000"),
    ],
)
def test_a_password_of_an_example_is_refused_in_production(
    monkeypatch: pytest.MonkeyPatch, name: str, address: str
) -> None:
    (problem,) = problems_with(monkeypatch, **{name: address})
    assert problem == f"{name} has a password that everybody tries first"


@pytest.mark.parametrize(("time", "memory"), [("1", "8"), ("1", "16384"), ("100", "4096")])
def test_hashes_that_are_cheap_to_guess_are_refused_in_production(
    monkeypatch: pytest.MonkeyPatch, time: str, memory: str
) -> None:
    (problem,) = problems_with(
        monkeypatch, PASSWORD_HASH_TIME=time, PASSWORD_HASH_MEMORY_KIB=memory
    )
    assert problem.startswith("PASSWORD_HASH_TIME and PASSWORD_HASH_MEMORY_KIB make hashes")


@pytest.mark.parametrize(("time", "memory"), [("5", "7168"), ("2", "19456"), ("1", "47104")])
def test_hashes_of_a_cost_that_is_recommended_are_taken_in_production(
    monkeypatch: pytest.MonkeyPatch, time: str, memory: str
) -> None:
    monkeypatch.setenv("PASSWORD_HASH_TIME", time)
    monkeypatch.setenv("PASSWORD_HASH_MEMORY_KIB", memory)
    for name, value in PRODUCTION.items():
        monkeypatch.setenv(name, value)
    assert load_settings().hash_cost.memory_kib == int(memory)


@pytest.mark.parametrize("size", [16, 32])
def test_a_random_key_is_accepted(size: int) -> None:
    drawn = [secrets.token_hex(size) for _ in range(100)]
    assert [key for key in drawn if is_guessable(key)] == []


def test_limits_are_read_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENVIRONMENT", "development")
    monkeypatch.setenv("LIMIT_CREATE_MEMBER", "5/30s")
    monkeypatch.setenv("LIMIT_LOGIN_MEMBER", "off")
    rates = load_settings().rates
    assert rates.create_member == Rate(burst=5, per=timedelta(seconds=30))
    assert rates.log_in is None
    assert rates.verify_email == Rate(burst=30, per=timedelta(minutes=1))


@pytest.mark.parametrize(
    "name", ["TOKEN_SYMMETRIC_KEY", "EMAIL_SENDER_ADDRESS", "SMTP_ADDRESS", "PUBLIC_URL"]
)
def test_a_setting_that_is_missing_in_production_is_named(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (problem,) = problems_with(monkeypatch, without=name)
    assert problem.startswith(f"{name} is missing")


def test_everything_that_is_missing_is_named_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert len(caught.value.problems) == 4


def test_everything_that_does_not_fit_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    changes = {
        "TLS_CERT_FILE": "x",
        "UNVERIFIED_MEMBER_LIFETIME": "1h",
        "VERIFY_EMAIL_DELAY": "1h",
        "PUBLIC_URL": "http://members.example.com",
    }
    found = problems_with(monkeypatch, **changes)
    assert [problem.split()[0] for problem in found] == [
        "TLS_CERT_FILE",
        "UNVERIFIED_MEMBER_LIFETIME",
        "PUBLIC_URL",
    ]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"TOKEN_SYMMETRIC_KEY": "short"}, "TOKEN_SYMMETRIC_KEY must have at least 32 characters"),
        (
            {"SMTP_SECURITY": "none", "EMAIL_SENDER_PASSWORD": "secret"},
            "SMTP_SECURITY=none would show EMAIL_SENDER_PASSWORD to the network",
        ),
        ({"REDIS_ADDRESS": "http://x:secret@y"}, "REDIS_ADDRESS: must be host:port, or a redis://"),
        ({"REDIS_ADDRESS": "redis://:sec/ret@y"}, "REDIS_ADDRESS: must be host:port, or a redis:"),
        ({"ROLES": "grpc,wrong"}, "ROLES: must be one or more of grpc,http,worker,relay"),
        ({"SMTP_ADDRESS": "nowhere"}, "SMTP_ADDRESS: must be host:port"),
        ({"VERIFY_EMAIL_DELAY": "0s"}, "VERIFY_EMAIL_DELAY: must be 1s to 720h"),
        ({"VERIFY_EMAIL_DELAY": "10"}, "VERIFY_EMAIL_DELAY: must be 1s to 720h, with a unit"),
        ({"SHUTDOWN_TIMEOUT": "9" * 400 + "h"}, "SHUTDOWN_TIMEOUT: must be 0s to 24h"),
        ({"DB_SOURCE": "mysql://x:secret@y/z"}, "DB_SOURCE: must be sqlite:///file or"),
        ({"DB_SOURCE": "nowhere"}, "DB_SOURCE: must be sqlite:///file or postgresql://"),
        ({"LIMIT_LOGIN_MEMBER": "many"}, "LIMIT_LOGIN_MEMBER: must be off, or how often in which"),
        (
            {"TRUSTED_PROXIES": "10.0.0.0/8,wrong"},
            "TRUSTED_PROXIES: must be addresses and networks",
        ),
        (
            {"UNVERIFIED_MEMBER_LIFETIME": "1h", "VERIFY_EMAIL_DELAY": "1h"},
            "UNVERIFIED_MEMBER_LIFETIME must be at least VERIFY_EMAIL_DELAY plus",
        ),
        ({"TRUSTED_PROXIES": "0.0.0.0/0"}, "TRUSTED_PROXIES: trusts strangers"),
        ({"WORKER_CONCURRENCY": "many"}, "WORKER_CONCURRENCY: Input should be a valid integer"),
        ({"EMAIL_SENDER_ADDRESS": "nowhere"}, "EMAIL_SENDER_ADDRESS: must be an e-mail address"),
        (
            {"EMAIL_SENDER_ADDRESS": "a@example.com\nBcc: wrong@example.com"},
            "EMAIL_SENDER_ADDRESS: must be an e-mail address",
        ),
        (
            {"EMAIL_SENDER_NAME": "Service\nBcc: wrong@example.com"},
            "EMAIL_SENDER_NAME: must be one line",
        ),
    ],
    ids=[
        "key",
        "password",
        "redis",
        "slash",
        "roles",
        "address",
        "short",
        "unit",
        "long",
        "database",
        "no URL",
        "limit",
        "proxies",
        "lifetime",
        "whole world",
        "number",
        "sender",
        "two lines",
        "name of two lines",
    ],
)
def test_a_setting_that_does_not_fit_is_named_without_its_value(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, str], problem: str
) -> None:
    (found,) = problems_with(monkeypatch, **changes)
    assert found.startswith(problem)
    assert not {"short", "secret", "nowhere", "many", "wrong", "sec"} & set(found.split())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DB_SOURCE", "mysql://me:hunter2@127.0.0.1/x"),
        ("DB_SOURCE", "postgresql://me:hunter2@127.0.0.1:port/x"),
        ("REDIS_ADDRESS", "http://me:hunter2@127.0.0.1"),
        ("REDIS_ADDRESS", "redis://me:hunter2@127.0.0.1:port/0"),
        ("REDIS_ADDRESS", "redis-sentinel://me:hunter2@"),
    ],
)
def test_the_password_in_an_address_that_is_no_use_is_not_quoted(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    (problem,) = problems_with(monkeypatch, **{name: value})
    assert problem.startswith(name)
    assert "hunter2" not in problem


def test_secrets_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in PRODUCTION.items():
        monkeypatch.setenv(name, value)
    assert PRODUCTION["TOKEN_SYMMETRIC_KEY"] not in repr(load_settings())


def test_a_short_key_is_refused_in_development_too(monkeypatch: pytest.MonkeyPatch) -> None:
    changes = {"ENVIRONMENT": "development", "TOKEN_SYMMETRIC_KEY": "short"}
    (found,) = problems_with(monkeypatch, **changes)
    assert found.startswith("TOKEN_SYMMETRIC_KEY must have at least 32 characters")


def test_an_ipv6_host_stands_in_brackets() -> None:
    assert host_and_port("[::1]:8080") == ("::1", 8080)


def test_the_loopback_has_a_few_names() -> None:
    hosts = ("localhost", "127.1.2.3", "::1", "0.0.0.0", "x.org")
    assert [is_loopback(host) for host in hosts] == [True, True, True, False, False]


@pytest.mark.parametrize(
    ("environment", "roles", "shown"),
    [
        ("development", "grpc,http,worker,relay", (True, True, True)),
        ("production", "grpc,http,worker,relay", (False, False, False)),
        ("production", "worker,relay", (True, False, False)),
    ],
)
def test_production_tells_strangers_neither_numbers_nor_operations(
    monkeypatch: pytest.MonkeyPatch, environment: str, roles: str, shown: tuple[bool, ...]
) -> None:
    set_production(monkeypatch, without="ENVIRONMENT")
    settings = load_settings(environment=environment, roles=roles)
    assert (settings.shows_metrics, settings.shows_api_docs, settings.has_reflection) == shown


@pytest.mark.parametrize("environment", ["development", "production"])
@pytest.mark.parametrize("switch", ["on", "off"])
def test_an_operator_may_decide_otherwise(
    monkeypatch: pytest.MonkeyPatch, environment: str, switch: str
) -> None:
    set_production(monkeypatch, without="ENVIRONMENT")
    names = ("metrics", "api_docs", "grpc_reflection")
    settings = load_settings(environment=environment, **dict.fromkeys(names, switch))
    assert {settings.shows_metrics, settings.shows_api_docs, settings.has_reflection} == {
        switch == "on"
    }


def test_a_process_has_all_roles_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENVIRONMENT", "development")
    assert load_settings().roles == ALL_ROLES


def test_the_flag_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENVIRONMENT", "development")
    monkeypatch.setenv("ROLES", "worker")
    assert load_settings(roles="grpc, http").roles == {Role.GRPC, Role.HTTP}


@pytest.mark.parametrize(
    ("roles", "name"),
    [
        ("grpc,http", "SMTP_ADDRESS"),
        ("grpc,http", "EMAIL_SENDER_ADDRESS"),
        ("grpc,http,relay", "PUBLIC_URL"),
        ("relay", "TOKEN_SYMMETRIC_KEY"),
    ],
)
def test_a_setting_that_no_role_uses_may_be_missing(
    monkeypatch: pytest.MonkeyPatch, roles: str, name: str
) -> None:
    set_production(monkeypatch, without=name)
    assert load_settings(roles=roles)


@pytest.mark.parametrize("roles", ["grpc", "http", "worker"])
def test_a_role_that_knows_tokens_needs_their_key(
    monkeypatch: pytest.MonkeyPatch, roles: str
) -> None:
    (problem,) = problems_with(monkeypatch, without="TOKEN_SYMMETRIC_KEY", ROLES=roles)
    assert problem.startswith("TOKEN_SYMMETRIC_KEY is missing")


@pytest.mark.parametrize("key", ["", "short", "a" * 64])
def test_the_error_for_a_bad_key_says_how_to_make_one(
    monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    (problem,) = problems_with(monkeypatch, TOKEN_SYMMETRIC_KEY=key)
    assert problem.endswith(": take what openssl rand -hex 32 prints")
