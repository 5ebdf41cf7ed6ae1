"""Durations, weights and addresses are read as people write them."""

import argparse
from datetime import UTC, datetime, timedelta

import pytest

from pyasynq.cli.values import Flags, Options, address, duration, instant, weights, whole


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
    assert duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "8", "s", "8 s", "8x", "1m30", "1s garbage", "8S"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="is no duration: write 8s"):
        duration(text)


def test_a_negative_duration_is_refused() -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="-8s is negative"):
        duration("-8s")


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
    assert weights(text) == queues


@pytest.mark.parametrize("text", ["", "=3", "a=x", "a=-1", "a,,b", "a=1.5"])
def test_what_is_no_weights_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="write queues as critical=6"):
        weights(text)


def test_a_queue_that_is_named_twice_is_refused() -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="twice"):
        weights("a=1,a=2")


def test_a_colon_before_a_weight_is_refused_with_the_remedy() -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="'low:1': write low=1"):
        weights("high=6,low:1")


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
    assert address(text) == place


@pytest.mark.parametrize("text", ["", "localhost", "localhost:", "localhost:http"])
def test_an_address_without_port_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="write host:port"):
        address(text)


@pytest.mark.parametrize("text", ["localhost:0", "localhost:65536"])
def test_a_port_out_of_range_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="port must be from 1 to 65535"):
        address(text)


def parsed(environ: dict[str, str], *words: str) -> argparse.Namespace:
    """Return what *words* mean where *environ* is set."""
    parser = argparse.ArgumentParser()
    options = Options(parser, environ)
    options.value("-t", "--shutdown-timeout", type=duration, help="")
    options.value("-c", "--count", type=whole, help="")
    options.value("--form", choices=["table", "json"], default="table", help="")
    options.switch("--strict", help="")
    return parser.parse_args(words)


def test_a_variable_stands_for_an_option() -> None:
    words = parsed({"PYASYNQ_SHUTDOWN_TIMEOUT": "8s"})
    assert words.shutdown_timeout == timedelta(seconds=8)


def test_the_option_wins_over_its_variable() -> None:
    words = parsed({"PYASYNQ_SHUTDOWN_TIMEOUT": "8s"}, "-t", "1s")
    assert words.shutdown_timeout == timedelta(seconds=1)


@pytest.mark.parametrize(("text", "on"), [("1", True), ("TRUE", True), ("0", False), ("", False)])
def test_a_variable_stands_for_a_switch(text: str, on: bool) -> None:  # noqa: FBT001
    assert parsed({"PYASYNQ_STRICT": text}).strict is on


@pytest.mark.parametrize(
    ("variable", "text"),
    [("SHUTDOWN_TIMEOUT", "soon"), ("COUNT", "abc"), ("FORM", "xml"), ("STRICT", "maybe")],
)
def test_a_variable_that_cannot_be_read_is_named(
    variable: str, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        parsed({f"PYASYNQ_{variable}": text})
    assert end.value.code == 2
    assert f"PYASYNQ_{variable}: '{text}' is" in capsys.readouterr().err


def test_a_variable_that_cannot_be_read_does_not_matter_beside_the_option() -> None:
    assert parsed({"PYASYNQ_COUNT": "abc"}, "-c", "3").count == 3


@pytest.mark.parametrize("name", ["SHUTDOWN_TIMEOUT", "COUNT", "FORM", "STRICT"])
def test_an_empty_variable_counts_as_not_set(name: str) -> None:
    words = parsed({f"PYASYNQ_{name}": ""})
    assert words == parsed({})


def test_a_choice_may_be_in_upper_case() -> None:
    assert parsed({}, "--form", "JSON").form == "json"


# -- of operators ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2030-01-31T12:00:00Z", datetime(2030, 1, 31, 12, tzinfo=UTC)),
        ("2030-01-31T12:00:00+02:00", datetime(2030, 1, 31, 10, tzinfo=UTC)),
    ],
)
def test_an_instant_is_read_as_rfc_3339_writes_it(text: str, at: datetime) -> None:
    assert instant(text) == at


@pytest.mark.parametrize("text", ["", "tomorrow", "2030-01-31", "2030-01-31T12:00:00"])
def test_an_instant_without_zone_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="is no instant"):
        instant(text)


def operators(environ: dict[str, str], *words: str) -> argparse.Namespace:
    """Return what *words* mean to a command that needs a queue."""
    parser = argparse.ArgumentParser()
    options = Options(parser, environ)
    options.value("-q", "--queue", required=True, help="")
    options.value("-o", "--output", choices=["table", "json"], default="table", help="")
    options.value("-H", "--header", action="append", help="")
    return parser.parse_args(words)


def test_flags_alone_know_no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYASYNQ_YES", "1")
    parser = argparse.ArgumentParser()
    Flags(parser).switch("--yes", help="")
    assert parser.parse_args([]).yes is False


def test_a_variable_stands_for_an_option_that_is_needed() -> None:
    assert operators({"PYASYNQ_QUEUE": "q"}).queue == "q"


def test_a_variable_holds_several_values_between_commas() -> None:
    words = operators({"PYASYNQ_QUEUE": "q", "PYASYNQ_HEADER": "a=1,b=2"})
    assert words.header == ["a=1", "b=2"]


@pytest.mark.parametrize(
    ("environ", "words"),
    [({}, ()), ({"PYASYNQ_OUTPUT": "xml"}, ("-q", "q")), ({}, ("-q", "q", "-o", "xml"))],
    ids=["none", "variable", "option"],
)
def test_what_is_missing_or_no_choice_is_a_usage_error(
    environ: dict[str, str], words: tuple[str, ...]
) -> None:
    with pytest.raises(SystemExit) as end:
        operators(environ, *words)
    assert end.value.code == 2
