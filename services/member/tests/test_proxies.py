"""The client behind a proxy."""

from collections.abc import Generator, MutableMapping
from typing import Any

import pytest
import structlog
from starlette.requests import Request

from member.proxies import Proxies, client_address, read_networks
from member.rpc.callers import peer_ip
from member.web.callers import caller_of

TRUSTED = read_networks("127.0.0.1, 10.0.0.0/8,2001:db8::/32")


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("203.0.113.1", "", "203.0.113.1"),
        ("203.0.113.1", "198.51.100.7", "203.0.113.1"),
        ("127.0.0.1", "198.51.100.7", "198.51.100.7"),
        ("127.0.0.1", "1.1.1.1, 198.51.100.7", "198.51.100.7"),
        ("127.0.0.1", "1.1.1.1,198.51.100.7 , 10.1.2.3", "198.51.100.7"),
        ("127.0.0.1", "10.1.2.4, 10.1.2.3", "10.1.2.4"),
        ("2001:db8::1", "2a00::1", "2a00::1"),
        ("127.0.0.1", "198.51.100.7:4711", "198.51.100.7"),
        ("127.0.0.1", "[2a00::1]:4711", "2a00::1"),
        ("127.0.0.1", "[2a00::1]", "2a00::1"),
    ],
    ids=[
        "no proxy",
        "not trusted",
        "one proxy",
        "more than the proxy wrote",
        "two proxies",
        "all trusted",
        "IPv6",
        "port",
        "IPv6 and port",
        "brackets",
    ],
)
def test_the_client_is_the_last_that_a_trusted_proxy_names(
    peer: str, forwarded: str, client: str
) -> None:
    assert client_address(peer, forwarded, TRUSTED) == client


@pytest.mark.parametrize(
    "forwarded", ["", ",", "unknown", "1.1.1.1, unknown", "1.1.1.1,", "300.1.1.1", "\x00", "_x:1"]
)
def test_entries_before_an_invalid_one_are_ignored(forwarded: str) -> None:
    assert client_address("127.0.0.1", forwarded, TRUSTED) == "127.0.0.1"


@pytest.mark.parametrize("peer", ["::ffff:127.0.0.1", "::FFFF:7f00:1"])
def test_an_ipv4_address_in_the_form_of_ipv6_is_that_ipv4_address(peer: str) -> None:
    assert client_address(peer, "", TRUSTED) == "127.0.0.1"
    assert client_address(peer, "::ffff:198.51.100.7", TRUSTED) == "198.51.100.7"


@pytest.mark.parametrize("peer", ["", "/run/member.sock"])
def test_a_peer_without_an_address_is_no_client_and_not_trusted(peer: str) -> None:
    assert client_address(peer, "198.51.100.7", TRUSTED) == ""


@pytest.mark.parametrize(
    ("peer", "ip"),
    [
        ("ipv4:127.0.0.1:4711", "127.0.0.1"),
        ("ipv6:%5B::1%5D:4711", "::1"),
        ("ipv6:[::1]:4711", "::1"),
        ("unix:/run/member.sock", ""),
        ("unix:", ""),
        ("", ""),
    ],
)
def test_the_address_of_a_peer_is_found_in_the_name_that_grpc_gives_it(peer: str, ip: str) -> None:
    assert peer_ip(peer) == ip


@pytest.mark.parametrize("text", ["proxy", "10.0.0.0/33", "127.0.0.1,", "10.0.0.1/8"])
def test_an_invalid_network_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be addresses and networks"):
        read_networks(text)


@pytest.mark.parametrize(
    "text",
    [
        "0.0.0.0/0",
        "::/0",
        "0.0.0.0/1",
        "0.0.0.0/1,128.0.0.0/1",
        "10.0.0.0/8,11.0.0.0/8",
        "2000::/3",
        "fc00::/6",
        "127.0.0.1,8000::/1",
    ],
)
def test_a_network_with_strangers_in_it_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="trusts strangers"):
        read_networks(text)


@pytest.mark.parametrize("text", ["10.0.0.0/8", "fc00::/7", "172.16.0.0/12,192.168.0.0/16"])
def test_a_network_of_private_use_may_be_trusted(text: str) -> None:
    assert len(read_networks(text)) == len(text.split(","))


@pytest.fixture
def said() -> Generator[list[MutableMapping[str, Any]]]:
    """The logged events."""
    with structlog.testing.capture_logs() as lines:
        yield lines


@pytest.mark.parametrize("header", ["x-forwarded-for", "forwarded", "x-real-ip"])
def test_the_log_warns_about_a_proxy_that_may_be_missing(
    said: list[MutableMapping[str, Any]], header: str
) -> None:
    Proxies(TRUSTED).client("192.168.0.9", [(header, "198.51.100.7")])
    (line,) = said
    assert (line["log_level"], line["peer"]) == ("warning", "192.168.0.9")
    assert "TRUSTED_PROXIES" in line["event"]


@pytest.mark.parametrize(
    ("peer", "shown"),
    [
        ("8.8.4.7", "8.8.4.0/24"),
        ("2a00:1:2:3:4::5", "2a00:1:2:3::/64"),
        ("", "a Unix socket"),
    ],
)
def test_the_warning_names_only_the_network_of_a_stranger(
    said: list[MutableMapping[str, Any]], peer: str, shown: str
) -> None:
    Proxies(TRUSTED).client(peer, [("x-forwarded-for", "198.51.100.7")])
    assert [line["peer"] for line in said] == [shown]


def test_the_warning_comes_once_in_ten_minutes(said: list[MutableMapping[str, Any]]) -> None:
    times_s, forwarded = [0.0], [("forwarded", "for=198.51.100.7")]
    proxies = Proxies(TRUSTED, monotonic=lambda: times_s[-1])
    proxies.client("8.8.4.7", forwarded)
    times_s.append(599.0)
    proxies.client("8.8.8.8", forwarded)
    assert len(said) == 1
    times_s.append(600.0)
    proxies.client("8.8.8.8", forwarded)
    proxies.client("8.8.4.7", forwarded)
    assert len(said) == 2


def test_calls_without_a_doubtful_header_cause_no_warning(
    said: list[MutableMapping[str, Any]],
) -> None:
    Proxies(TRUSTED).client("127.0.0.1", [("x-forwarded-for", "198.51.100.7")])
    Proxies(TRUSTED).client("8.8.8.8", [("accept", "text/html")])
    assert said == []


def test_a_request_shows_its_bearer_token() -> None:
    headers = [(b"authorization", b"Bearer secret")]
    request = Request({"type": "http", "headers": headers, "client": ("198.51.100.1", 0)})
    caller = caller_of(request)
    assert (caller.address, caller.access_token) == ("198.51.100.1", "secret")


def test_a_request_over_a_unix_socket_has_no_address() -> None:
    assert caller_of(Request({"type": "http", "headers": [], "client": None})).address == ""
