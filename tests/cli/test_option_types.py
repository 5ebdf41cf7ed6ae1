"""Durations, weights and addresses are read as people write them."""

from datetime import UTC, datetime, timedelta

import click
import pytest
from click.testing import CliRunner, Result

from pyasynq.cli.option_types import (
    DURATION,
    option_with_variable,
    parse_address,
    parse_duration,
    parse_instant,
    parse_size,
    parse_weights,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("8s", 8),
        ("1m30s", 90),
        ("250ms", 0.25),
        ("1.5h", 5400),
        ("1h2m3s", 3723),
        ("0", 0),
        ("0s", 0),
        (".5s", 0.5),
        ("10us", 1e-5),
    ],
)
def test_a_duration_is_read_as_go_writes_it(text: str, seconds: float) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "8", "s", "8 s", "8x", "1m30", "1s garbage", "8S"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is no duration: write 8s"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("300000K", 300_000 * 1024),
        ("512M", 512 * 1024**2),
        ("512mib", 512 * 1024**2),
        ("512Mi", 512 * 1024**2),
        ("1.5G", 3 * 1024**3 // 2),
    ],
)
def test_a_size_is_read_in_powers_of_1024(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "512", "512MB", "-1G", "1e3M", "G", "0M", "0.0001K"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is no size: write 512M"):
        parse_size(text)


def test_a_negative_duration_is_refused() -> None:
    with pytest.raises(click.BadParameter, match="-8s is negative"):
        parse_duration("-8s")


@pytest.mark.parametrize(
    ("text", "queues"),
    [
        ("critical=6,default=3,low=1", {"critical": 6, "default": 3, "low": 1}),
        ("default", {"default": 1}),
        ("a=2,b", {"a": 2, "b": 1}),
        ("email:verify=2", {"email:verify": 2}),
    ],
)
def test_weights_are_read_and_default_to_one(text: str, queues: dict[str, int]) -> None:
    assert parse_weights(text) == queues


@pytest.mark.parametrize("text", ["", "=3", "a=x", "a=-1", "a,,b", "a=1.5", "a=²"])
def test_what_is_no_weights_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="write queues as critical=6"):
        parse_weights(text)


def test_a_queue_that_is_named_twice_is_refused() -> None:
    with pytest.raises(click.BadParameter, match="twice"):
        parse_weights("a=1,a=2")


def test_a_colon_before_a_weight_is_refused_with_the_remedy() -> None:
    with pytest.raises(click.BadParameter, match="'low:1': write low=1"):
        parse_weights("high=6,low:1")


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("127.0.0.1:8081", ("127.0.0.1", 8081)),
        (":8081", ("127.0.0.1", 8081)),
        ("0.0.0.0:80", ("0.0.0.0", 80)),
        ("[::1]:80", ("::1", 80)),
    ],
)
def test_an_address_is_read_and_means_this_machine_by_default(
    text: str, place: tuple[str, int]
) -> None:
    assert parse_address(text) == place


@pytest.mark.parametrize("text", ["", "localhost", "localhost:", "localhost:http", "localhost:²"])
def test_an_address_without_port_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="write host:port"):
        parse_address(text)


@pytest.mark.parametrize("text", ["localhost:0", "localhost:65536"])
def test_a_port_out_of_range_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="port must be from 1 to 65535"):
        parse_address(text)


@click.command()
@option_with_variable("-t", "--shutdown-timeout", **DURATION)
@option_with_variable("-c", "--count", type=int)
@option_with_variable("--form", type=click.Choice(["table", "json"], case_sensitive=False))
@option_with_variable("--strict", is_flag=True)
def show(**values: object) -> None:
    """Print what the options are."""
    click.echo(", ".join(f"{name}={value}" for name, value in values.items()))


def run(environ: dict[str, str], *args: str) -> Result:
    """Run the command where *environ* is set."""
    return CliRunner(env=environ).invoke(show, args)


def test_a_variable_stands_for_an_option() -> None:
    assert "shutdown_timeout=0:00:08" in run({"PYASYNQ_SHUTDOWN_TIMEOUT": "8s"}).stdout


def test_the_option_wins_over_its_variable() -> None:
    result = run({"PYASYNQ_SHUTDOWN_TIMEOUT": "8s"}, "-t", "1s")
    assert "shutdown_timeout=0:00:01" in result.stdout


@pytest.mark.parametrize(("text", "on"), [("1", True), ("TRUE", True), ("0", False), ("", False)])
def test_a_variable_stands_for_a_switch(text: str, on: bool) -> None:  # noqa: FBT001
    assert f"strict={on}" in run({"PYASYNQ_STRICT": text}).stdout


@pytest.mark.parametrize(
    ("variable", "text"),
    [("SHUTDOWN_TIMEOUT", "soon"), ("COUNT", "abc"), ("FORM", "xml"), ("STRICT", "maybe")],
)
def test_a_variable_that_cannot_be_read_is_named(variable: str, text: str) -> None:
    result = run({f"PYASYNQ_{variable}": text})
    assert result.exit_code == 2
    assert f"(env var: 'PYASYNQ_{variable}'): '{text}' is" in result.stderr


def test_a_variable_that_cannot_be_read_does_not_matter_beside_the_option() -> None:
    assert "count=3" in run({"PYASYNQ_COUNT": "abc"}, "-c", "3").stdout


@pytest.mark.parametrize("name", ["SHUTDOWN_TIMEOUT", "COUNT", "FORM", "STRICT"])
def test_an_empty_variable_counts_as_not_set(name: str) -> None:
    assert run({f"PYASYNQ_{name}": ""}).stdout == run({}).stdout


def test_a_choice_may_be_in_upper_case() -> None:
    assert "form=json" in run({}, "--form", "JSON").stdout


# -- of operators ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2030-01-31T12:00:00Z", datetime(2030, 1, 31, 12, tzinfo=UTC)),
        ("2030-01-31T12:00:00+02:00", datetime(2030, 1, 31, 10, tzinfo=UTC)),
    ],
)
def test_an_instant_is_read_as_rfc_3339_writes_it(text: str, at: datetime) -> None:
    assert parse_instant(text) == at


@pytest.mark.parametrize("text", ["", "tomorrow", "2030-01-31", "2030-01-31T12:00:00"])
def test_an_instant_without_zone_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is no instant"):
        parse_instant(text)
