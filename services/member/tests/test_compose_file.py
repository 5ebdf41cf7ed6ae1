"""The compose file and its example of settings name only what exists, and miss nothing."""

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest
import yaml
from dotenv import dotenv_values
from redis import Redis
from redis.exceptions import AuthenticationError

from member.durations import parse_duration
from member.proxies import client_address
from member.settings import Settings, load_settings
from services.member.tests.deployment import DEPLOY, EXAMPLE, LEAVING, example, values_of
from tests.support.servers import wait_for

COMPOSE = cast("dict[str, Any]", yaml.safe_load((DEPLOY / "compose.yaml").read_text()))
SERVICES = cast("dict[str, dict[str, Any]]", COMPOSE["services"])
OURS = {name: service for name, service in SERVICES.items() if "build" in service}

SETTINGS = {name.upper() for name in Settings.model_fields}
OF_SERVERS = {"POSTGRES_PASSWORD", "REDIS_PASSWORD"}
OF_OPERATORS = {"PYASYNQ_URI"}
VARIABLE = re.compile(r"(?<!\$)\$\{(\w+)([^}]*)\}")


def filled_in(text: str, variables: Mapping[str, str]) -> str:
    """Return *text* with variables replaced, as compose does it."""
    return VARIABLE.sub(lambda found: variables[found[1]], text).replace("$$", "$")


def environment(service: dict[str, Any]) -> dict[str, str]:
    """Return the environment of a container, from the example and the compose file."""
    variables = example()
    own = cast("dict[str, str]", service["environment"])
    return variables | {name: filled_in(value, variables) for name, value in own.items()}


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """An empty working folder, and an environment without settings of the service."""
    monkeypatch.chdir(tmp_path)
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def give(given: pytest.MonkeyPatch, variables: Mapping[str, str]) -> Settings:
    """Return the settings that the program reads from *variables*."""
    for name, value in variables.items():
        given.setenv(name, value)
    return load_settings()


# -- the example -----------------------------------------------------------------------------------


def test_the_example_names_only_settings_that_exist() -> None:
    assert set(example(elsewhere=True)) - SETTINGS == OF_SERVERS


def test_the_example_has_no_secret_to_use() -> None:
    unset = {name for name, value in values_of(EXAMPLE.read_text()).items() if not value}
    assert unset == {"TOKEN_SYMMETRIC_KEY", "EMAIL_SENDER_PASSWORD", *OF_SERVERS}


def test_the_example_reads_the_same_wherever_it_is_used() -> None:
    # Docker, systemd and python-dotenv handle quotes, spaces and text after a "#" differently.
    assert dotenv_values(EXAMPLE) == values_of(EXAMPLE.read_text())
    assert not re.search(r"""['"\\$#\s]""", "".join(values_of(EXAMPLE.read_text()).values()))


def test_the_example_with_servers_elsewhere_lets_the_program_start(
    given: pytest.MonkeyPatch,
) -> None:
    settings = give(given, example(elsewhere=True))
    assert settings.environment == "production"
    assert settings.redis_address.get_secret_value().startswith("rediss://")


@pytest.mark.parametrize("name", ["HTTP_SERVER_ADDRESS", "GRPC_SERVER_ADDRESS"])
def test_the_example_leaves_to_each_process_where_it_listens(name: str) -> None:
    assert name not in example(elsewhere=True)


# -- the services ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", OURS)
def test_a_container_lets_the_program_start(given: pytest.MonkeyPatch, name: str) -> None:
    settings = give(given, environment(OURS[name]))
    assert settings.db_source.get_secret_value().endswith("@postgres/member")
    assert settings.redis_address.get_secret_value().endswith("@redis:6379")


def test_the_proxy_in_front_of_the_containers_is_trusted(given: pytest.MonkeyPatch) -> None:
    (network,) = COMPOSE["networks"]["outside"]["ipam"]["config"]
    trusted = give(given, environment(OURS["service"])).trusted_proxies
    assert [str(it) for it in trusted] == [network["subnet"]]


def test_the_proxy_in_front_of_the_units_is_trusted(given: pytest.MonkeyPatch) -> None:
    trusted = give(given, example(elsewhere=True)).trusted_proxies
    assert client_address("127.0.0.1", "198.51.100.7", trusted) == "198.51.100.7"


@pytest.mark.parametrize("name", OURS)
def test_a_container_gets_only_settings_that_the_program_reads(name: str) -> None:
    names = set(cast("dict[str, str]", OURS[name]["environment"]))
    assert names <= SETTINGS | OF_OPERATORS


def test_the_containers_share_the_roles_between_them() -> None:
    commands = {name: service["command"] for name, service in OURS.items()}
    assert commands == {
        "service": ["--roles", "grpc,http"],
        "worker": ["--roles", "worker"],
        "relay": ["--roles", "relay"],
    }


@pytest.mark.parametrize("name", OURS)
def test_a_container_may_drain_before_it_is_killed(name: str) -> None:
    timeout = parse_duration(example()["SHUTDOWN_TIMEOUT"])
    assert parse_duration(OURS[name]["stop_grace_period"]) > timeout + LEAVING


@pytest.mark.parametrize("name", OURS)
def test_a_container_waits_for_servers_that_say_how_they_are(name: str) -> None:
    awaited = cast("dict[str, dict[str, str]]", OURS[name]["depends_on"])
    assert {server for server in awaited if "healthcheck" in SERVICES[server]} == set(awaited)
    assert {how["condition"] for how in awaited.values()} == {"service_healthy"}


@pytest.mark.parametrize("name", OURS)
def test_a_container_can_change_nothing_but_its_memory(name: str) -> None:
    service = OURS[name]
    assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
    assert "volumes" not in service


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_has_limits_and_comes_back(name: str) -> None:
    limits = SERVICES[name]["deploy"]["resources"]["limits"]
    assert set(limits) == {"cpus", "memory", "pids"}
    assert SERVICES[name]["restart"] == "unless-stopped"


def test_only_this_machine_reaches_the_service_and_nobody_the_servers() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert ports == ["127.0.0.1:8080:8080", "127.0.0.1:9090:9090"]
    assert [SERVICES[name]["networks"] for name in ("postgres", "redis")] == [["inside"]] * 2
    assert COMPOSE["networks"]["inside"]["internal"] is True


def test_every_volume_is_declared() -> None:
    used = {volume.split(":")[0] for s in SERVICES.values() for volume in s.get("volumes", [])}
    assert used == set(COMPOSE["volumes"])


def test_a_secret_that_is_missing_stops_compose() -> None:
    found = VARIABLE.findall((DEPLOY / "compose.yaml").read_text())
    secrets = [(name, rest) for name, rest in found if name in OF_SERVERS]
    assert {name for name, _ in secrets} == OF_SERVERS
    assert {rest for _, rest in secrets} == {":?is missing in member.env"}


def test_the_redis_of_the_file_has_a_password_and_keeps_what_it_is_given(
    tmp_path: Path,
) -> None:
    """The test runs the command of the file with another port."""
    shell, flag, script = SERVICES["redis"]["command"]
    ours = "redis-server - --port 0 --unixsocket s"
    command = filled_in(script, {}).replace("redis-server -", ours)
    process = subprocess.Popen([shell, flag, command], cwd=tmp_path, env=with_password("secret"))
    try:
        wait_for((tmp_path / "s").exists, "Redis to listen")
        with Redis(unix_socket_path=str(tmp_path / "s"), password="secret") as redis:
            names = ("appendonly", "appendfsync", "maxmemory-policy")
            assert [redis.config_get(name)[name] for name in names] == [
                "yes",
                "everysec",
                "noeviction",
            ]
        with Redis(unix_socket_path=str(tmp_path / "s")) as stranger:
            with pytest.raises(AuthenticationError):
                stranger.ping()
        assert b"secret" not in Path(f"/proc/{process.pid}/cmdline").read_bytes()
    finally:
        process.kill()
        process.wait()


def with_password(password: str) -> dict[str, str]:
    """Return the environment of the Redis container."""
    return {"PATH": "/usr/bin:/bin:/usr/local/bin", "REDIS_PASSWORD": password}
