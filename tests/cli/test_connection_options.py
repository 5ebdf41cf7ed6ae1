"""The address of the broker comes from flags, variables and the file of asynq's tool."""

import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result
from redis.crc import key_slot

from pyasynq.cli import connection_options
from pyasynq.cli.command_group import Command
from pyasynq.cli.connection_options import ConnectionOptions, with_connection
from pyasynq.cli.main import cli
from tests.cli.command_runner import CommandRunner
from tests.support.servers import RedisCluster, TlsRedis, free_port


@click.command(cls=Command, context_settings=cli.context_settings)
@with_connection
def show_url(*, connection: ConnectionOptions) -> int:
    """Print the URL."""
    click.echo(connection.url)
    return 0


def url(home: Path, *args: str, **environ: str) -> str:
    """Return the URL that results from *args* and *environ*."""
    return run(home, *args, **environ).stdout.strip()


def run(home: Path, *args: str, **environ: str) -> Result:
    """Run a command that prints the URL."""
    return CliRunner(env={"HOME": str(home), **environ}).invoke(show_url, args)


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ("", "redis://127.0.0.1:6379"),
        ("-u h:1", "redis://h:1"),
        ("--uri redis://h:1/2", "redis://h:1/2"),
        ("--uri unix:///run/redis.sock", "unix:///run/redis.sock"),
        ("-n 3", "redis://127.0.0.1:6379/3"),
        ("-n=3", "redis://127.0.0.1:6379/3"),
        ("--db=0", "redis://127.0.0.1:6379/0"),
        ("-p s@cret", "redis://:s%40cret@127.0.0.1:6379"),
        ("-U me -p secret", "redis://me:secret@127.0.0.1:6379"),
        ("-u redis://me@h -p s@cret", "redis://me:s%40cret@h"),
        ("-u redis://me:old@h -p new", "redis://me:new@h"),
        ("-u redis://:secret@h -U me", "redis://me:secret@h"),
        ("--tls", "rediss://127.0.0.1:6379"),
        ("--tls_server name", "rediss://127.0.0.1:6379?ssl_server_name=name"),
        ("--tls-server name", "rediss://127.0.0.1:6379?ssl_server_name=name"),
        (
            "--tls --insecure",
            "rediss://127.0.0.1:6379?ssl_cert_reqs=none&ssl_check_hostname=false",
        ),
        ("-u unix:///tmp/r.sock -n 3", "unix:///tmp/r.sock?db=3"),
        ("-u unix:///tmp/r.sock?db=1&x=y -n 3", "unix:///tmp/r.sock?x=y&db=3"),
        ("-u redis://h/1?db=2 -n 3", "redis://h/1?db=3"),
        ("--cluster --cluster_addrs a:1 -n 0", "redis-cluster://a:1/0"),
        ("-u unix:///tmp/r.sock -p secret", "unix://:secret@/tmp/r.sock"),
        (
            "-u redis-sentinel://:theirs@s:1/0?master=m -U me -p s@cret -n 2",
            "redis-sentinel://:theirs@s:1/2?master=m&username=me&password=s%40cret",
        ),
        (
            "-u redis-sentinel://s:1?password=old -p new --tls",
            "rediss-sentinel://s:1?password=new",
        ),
        ("--cluster --cluster_addrs a:1,b:2", "redis-cluster://a:1,b:2"),
        ("--cluster --cluster_addrs a:1 --tls", "rediss-cluster://a:1"),
        (
            "--cluster",
            "redis-cluster://" + ",".join(f"127.0.0.1:{port}" for port in range(7000, 7006)),
        ),
    ],
)
def test_the_flags_of_asynqs_tool_make_a_url(tmp_path: Path, args: str, expected: str) -> None:
    assert url(tmp_path, *args.split()) == expected


def test_variables_stand_for_flags(tmp_path: Path) -> None:
    variables = {"PYASYNQ_URI": "h:1", "PYASYNQ_DB": "2", "PYASYNQ_TLS": "true"}
    assert url(tmp_path, **variables) == "rediss://h:1/2"


def test_an_empty_variable_counts_as_not_set(tmp_path: Path) -> None:
    assert url(tmp_path, PYASYNQ_URI="", PYASYNQ_TLS="") == url(tmp_path)


def test_a_variable_that_is_no_switch_is_named(tmp_path: Path) -> None:
    result = run(tmp_path, PYASYNQ_TLS="maybe")
    assert (result.exit_code, "(env var: 'PYASYNQ_TLS'): 'maybe' is not" in result.stderr) == (
        2,
        True,
    )


@pytest.mark.parametrize(
    "option", ["--db=3", "--username=me", "--password=s", "--cluster", "--tls"]
)
def test_an_option_of_redis_does_not_fit_a_file(tmp_path: Path, option: str) -> None:
    result = run(tmp_path, "-u", "sqlite:///tasks.db", option)
    name = option.partition("=")[0]
    assert (result.exit_code, result.stderr.splitlines()[-1]) == (
        2,
        f"Error: {name} is for Redis, not for sqlite:///tasks.db",
    )


def test_what_a_file_says_about_redis_does_not_concern_sqlite(tmp_path: Path) -> None:
    (tmp_path / ".asynq.yaml").write_text("uri: h:1\ndb: 2\npassword: secret\ntls: true\n")
    assert url(tmp_path, "-u", "sqlite:///tasks.db") == "sqlite:///tasks.db"


def test_a_variable_or_a_file_may_name_a_sqlite_file(tmp_path: Path) -> None:
    assert url(tmp_path, PYASYNQ_URI="sqlite:////tmp/t.db") == "sqlite:////tmp/t.db"
    (tmp_path / ".asynq.yaml").write_text("uri: sqlite:///tasks.db\n")
    assert url(tmp_path) == "sqlite:///tasks.db"


def test_the_memory_of_a_process_is_of_no_use_to_a_command(tmp_path: Path) -> None:
    result = run(tmp_path, "-u", "sqlite://")
    assert (result.exit_code, "is the memory of one process" in result.stderr) == (2, True)


def test_a_malformed_sqlite_address_is_a_usage_error(run_cli: CommandRunner) -> None:
    result = run_cli("queue", "list", "-u", "sqlite://tasks.db")
    assert (result.code, "a file is named after three slashes" in result.err) == (2, True)


def test_a_file_that_is_not_there_is_not_made(run_cli: CommandRunner, tmp_path: Path) -> None:
    file = tmp_path / "typo.db"
    result = run_cli("queue", "list", "-u", f"sqlite:///{file}")
    assert (result.code, result.err) == (
        4,
        f"pyasynq: there is no file {file}: a client or a worker makes it\n"
        "to find out more: pyasynq doctor\n",
    )
    assert not file.exists()


def test_a_file_that_cannot_exist_is_no_connection(run_cli: CommandRunner) -> None:
    result = run_cli("queue", "list", "-u", f"sqlite:////{'x' * 5000}")
    assert (result.code, "File name too long" in result.err) == (4, True)


def test_variables_without_prefix_mean_nothing(tmp_path: Path) -> None:
    assert url(tmp_path, USERNAME="somebody", URI="h:1") == "redis://127.0.0.1:6379"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (".asynq.yaml", "uri: h:1\ndb: 2\npassword: secret\n"),
        (".asynq.yml", "uri: 'h:1'\ndb: 2\npassword: secret\nsomething: else\n"),
        (".asynq.json", '{"uri": "h:1", "db": 2, "password": "secret"}'),
    ],
)
def test_the_file_of_asynqs_tool_gives_defaults(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    assert url(tmp_path) == "redis://:secret@h:1/2"


def test_a_list_of_nodes_may_stand_in_the_file(tmp_path: Path) -> None:
    (tmp_path / ".asynq.yaml").write_text("cluster: true\ncluster_addrs: [a:1, b:2]\n")
    assert url(tmp_path) == "redis-cluster://a:1,b:2"


def test_the_flag_wins_over_the_variable_and_that_over_the_file(tmp_path: Path) -> None:
    (tmp_path / ".asynq.yaml").write_text("uri: file:1\ndb: 1\nusername: file\n")
    variables = {"PYASYNQ_URI": "variable:1", "PYASYNQ_DB": "2"}
    assert url(tmp_path, "-n", "3", **variables) == "redis://file:@variable:1/3"


def test_an_empty_file_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / ".asynq.yaml").write_text("")
    assert url(tmp_path) == "redis://127.0.0.1:6379"


def test_another_file_can_be_named(tmp_path: Path) -> None:
    (tmp_path / ".asynq.yaml").write_text("uri: usual:1")
    (tmp_path / "mine.yaml").write_text("uri: mine:1")
    assert url(tmp_path, "--config", str(tmp_path / "mine.yaml")) == "redis://mine:1"


@pytest.mark.parametrize("text", ["uri: [", "- a list"])
def test_a_file_that_cannot_be_read_is_a_usage_error(tmp_path: Path, text: str) -> None:
    (tmp_path / ".asynq.yaml").write_text(text)
    result = run(tmp_path)
    assert (result.exit_code, ".asynq.yaml cannot be read" in result.stderr) == (2, True)


@pytest.mark.parametrize("password", ["@secret", "*secret", "!secret", '"secret', "a: secret"])
def test_a_file_that_cannot_be_read_shows_no_password(tmp_path: Path, password: str) -> None:
    (tmp_path / ".asynq.yaml").write_text(f"uri: h:1\npassword: {password}\n")
    result = run(tmp_path)
    assert (result.exit_code, "secret" in result.output) == (2, False)
    assert ".asynq.yaml cannot be read: line " in result.output


def test_a_named_file_that_is_not_there_is_a_usage_error(tmp_path: Path) -> None:
    result = run(tmp_path, "--config", "/no/such/file.yaml")
    assert (result.exit_code, "cannot be read" in result.stderr) == (2, True)


def test_a_home_folder_that_cannot_be_seen_has_no_file(tmp_path: Path) -> None:
    home = tmp_path / ("x" * 5000)
    assert url(home) == "redis://127.0.0.1:6379"


@pytest.mark.parametrize("option", ["--username", "--password", "--tls-server"])
def test_a_value_that_is_not_utf_8_is_a_usage_error(tmp_path: Path, option: str) -> None:
    result = run(tmp_path, option, "\udcff")
    assert (result.exit_code, "it is not UTF-8" in result.stderr) == (2, True)


def test_a_number_in_the_file_may_be_the_password(tmp_path: Path) -> None:
    (tmp_path / ".asynq.yaml").write_text("password: 1234\n")
    assert url(tmp_path) == "redis://:1234@127.0.0.1:6379"


def test_a_redis_that_is_away_is_exit_code_4(run_cli: CommandRunner) -> None:
    result = run_cli("task", "enqueue", "-t", "t", "-l", "p", "-u", f"127.0.0.1:{free_port()}")
    assert (result.code, result.out) == (4, "")
    assert result.err.startswith("pyasynq: Redis: ")


def test_the_flags_may_stand_before_the_command(run_cli: CommandRunner) -> None:
    assert run_cli("-u", f"127.0.0.1:{free_port()}", "queue", "list").code == 4


def test_an_error_of_the_connection_names_doctor(run_cli: CommandRunner) -> None:
    result = run_cli("queue", "list", "-u", f"127.0.0.1:{free_port()}")
    assert result.err.endswith("\nto find out more: pyasynq doctor\n")


def test_an_error_at_the_default_address_says_how_to_name_a_file(
    run_cli: CommandRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYASYNQ_URI")
    monkeypatch.setattr(connection_options, "HERE", f"127.0.0.1:{free_port()}")
    result = run_cli("queue", "list")
    assert result.code == 4
    assert "\nthis is the default address: give another one, or -u sqlite:///" in result.err


def test_an_address_that_is_none_is_a_usage_error(run_cli: CommandRunner) -> None:
    assert run_cli("queue", "list", "-u", "http://h").code == 2


def test_a_database_of_a_cluster_is_a_usage_error(run_cli: CommandRunner) -> None:
    result = run_cli("queue", "list", "--cluster", "-n", "3")
    assert (result.code, "a cluster has only database 0" in result.err) == (2, True)


def test_a_refused_address_shows_no_password(run_cli: CommandRunner) -> None:
    result = run_cli("queue", "list", "-u", "redis://:sec/ret@h")
    assert result.code == 2
    assert "percent-encode" in result.err
    assert "ret@" not in result.err


def test_queues_of_a_cluster_are_listed_with_their_nodes(
    run_cli: CommandRunner, redis_cluster: RedisCluster
) -> None:
    nodes = ",".join(f"127.0.0.1:{node.port}" for node in redis_cluster.nodes)
    flags = ("--cluster", "--cluster_addrs", f"127.0.0.1:{free_port()},{nodes}")
    assert run_cli("task", "enqueue", "-t", "t", "-l", "p", "--queue", "q", *flags).code == 0
    headings, row = run_cli("queue", "list", *flags).lines
    assert headings == ["Queue", "Cluster", "KeySlot", "Cluster", "Nodes"]
    assert (row[0], row[1]) == ("q", str(key_slot(b"{q}")))
    assert row[2] in nodes
    assert "Redis Cluster Info" in run_cli("stats", *flags).out
    assert run_cli("queue", "remove", "q", "--force", "--yes", *flags).code == 0


def test_a_certificate_may_have_another_name_than_its_server(
    run_cli: CommandRunner, redis_with_tls: TlsRedis
) -> None:
    result = run_cli("queue", "list", "-u", redis_with_tls.url, "--tls_server", "127.0.0.1")
    assert result.code == 0
    result = run_cli("queue", "list", "-u", redis_with_tls.url, "--tls_server", "other.example.org")
    assert result.code == 4


def test_a_certificate_need_not_be_checked(
    run_cli: CommandRunner, redis_with_tls: TlsRedis
) -> None:
    url = redis_with_tls.url.replace("ssl_ca_certs=", "ignored=").split("&", 1)
    address, files = url[0].partition("?")[0], url[1]
    assert run_cli("queue", "list", "-u", f"{address}?{files}").code == 4
    assert run_cli("queue", "list", "-u", f"{address}?{files}", "--insecure").code == 0


def test_a_file_in_yaml_without_a_reader_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".asynq.yaml").write_text("uri: h:1")
    monkeypatch.setitem(sys.modules, "yaml", None)
    result = run(tmp_path)
    assert (result.exit_code, "pip install 'pyasynq[cli]'" in result.stderr) == (1, True)


def test_redis_may_be_named_before_the_worker(run_cli: CommandRunner) -> None:
    result = run_cli("-u", "http://h", "worker", "tests.cli.apps:app")
    assert (result.code, "--uri must be host:port" in result.err) == (2, True)


def test_a_short_option_may_have_an_equals_sign_before_the_command(run_cli: CommandRunner) -> None:
    assert run_cli(f"-u=127.0.0.1:{free_port()}", "queue", "list").code == 4


def test_the_last_of_several_options_wins(run_cli: CommandRunner) -> None:
    away = f"127.0.0.1:{free_port()}"
    assert run_cli("-u", "http://h", "queue", "list", "-u", away).code == 4
