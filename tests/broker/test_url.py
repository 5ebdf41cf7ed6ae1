"""URLs of all schemes are parsed alike, and no error contains a password."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyasynq.broker import redact_url
from pyasynq.broker.url import KINDS, parse
from pyasynq.core.errors import OptionError

SCHEMES = sorted(KINDS)
OVER_TLS = [scheme for scheme in SCHEMES if scheme.startswith("rediss")]
WITHOUT_TLS = [scheme for scheme in SCHEMES if not scheme.startswith("rediss")]
NETWORK = [scheme for scheme, kind in KINDS.items() if kind != "socket"]
SEVERAL = [scheme for scheme, kind in KINDS.items() if kind in {"sentinel", "cluster"}]


def address(scheme: str, *, login: str = "", query: str = "") -> str:
    """Return a valid address of a scheme."""
    place = "/run/redis.sock" if KINDS[scheme] == "socket" else "127.0.0.1"
    return f"{scheme}://{login}{place}{query and '?'}{query}"


def refused(text: str) -> str:
    """Return the error text for an address."""
    with pytest.raises(OptionError) as refusal:
        parse(text)
    return str(refusal.value)


# -- hosts -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("place", "host"),
    [
        ("h", ("h", None)),
        ("h:1", ("h", 1)),
        ("h:", ("h", None)),
        ("127.0.0.1:1", ("127.0.0.1", 1)),
        ("[::1]", ("::1", None)),
        ("[::1]:1", ("::1", 1)),
        ("[fe80::1%25eth0]:1", ("fe80::1%eth0", 1)),
    ],
)
@pytest.mark.parametrize("scheme", NETWORK)
def test_a_host_is_read_alike_behind_every_scheme(
    scheme: str, place: str, host: tuple[str, int | None]
) -> None:
    usual = 26379 if "sentinel" in scheme else 6379
    assert parse(f"{scheme}://{place}").hosts == ((host[0], host[1] or usual),)


@pytest.mark.parametrize("scheme", SEVERAL)
def test_several_hosts_are_read_alike(scheme: str) -> None:
    hosts = parse(f"{scheme}://u:p@a:1,[::1]:2,[::2]:3, b:4").hosts
    assert hosts == (("a", 1), ("::1", 2), ("::2", 3), ("b", 4))


@pytest.mark.parametrize("place", ["::1", "::1:6379", "[::1", "[::1]6379"])
@pytest.mark.parametrize("scheme", NETWORK)
def test_an_ipv6_address_stands_in_brackets(scheme: str, place: str) -> None:
    assert "write an IPv6 address in brackets" in refused(f"{scheme}://{place}")


@pytest.mark.parametrize("port", ["port", "0", "70000", "-1", "٣"])
@pytest.mark.parametrize("scheme", NETWORK)
def test_an_invalid_port_is_refused(scheme: str, port: str) -> None:
    assert "a port is a number from 1 to 65535" in refused(f"{scheme}://h:{port}")


@pytest.mark.parametrize("places", ["", ",", "a,", ":1"])
@pytest.mark.parametrize("scheme", SEVERAL)
def test_each_sentinel_and_node_needs_a_name(scheme: str, places: str) -> None:
    assert "is named" in refused(f"{scheme}://{places}")


def test_no_host_is_this_machine() -> None:
    assert parse("redis://:6380").hosts == (("localhost", 6380),)


def test_no_scheme_is_a_single_redis() -> None:
    assert parse("h:1") == parse("redis://h:1")


def test_a_scheme_may_have_capitals_and_an_address_spaces_around_it() -> None:
    assert parse(" REDIS://h/1\n") == parse("redis://h/1")


@pytest.mark.parametrize(
    "text", ["unix://run/redis.sock", "unix://", "unix://u:p@", "unix://?db=1"]
)
def test_the_path_of_a_socket_begins_with_a_slash(text: str) -> None:
    assert "the path of a socket begins with a /" in refused(text)


def test_a_socket_may_have_a_login_and_a_strange_path() -> None:
    read = parse("unix://u:p@/run/a%20b%40c.sock?db=3")
    assert (read.path, read.username, read.password) == ("/run/a b@c.sock", "u", "p")


# -- settings --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "setting"),
    [
        ("client_name=me", ("client_name", "me")),
        ("socket_timeout=2.5", ("socket_timeout", 2.5)),
        ("socket_connect_timeout=1", ("socket_connect_timeout", 1.0)),
        ("health_check_interval=30", ("health_check_interval", 30)),
        ("max_connections=7", ("max_connections", 7)),
        ("protocol=3", ("protocol", 3)),
        ("db=0", ("db", 0)),
        ("username=%20u", ("username", " u")),
        ("password=p%26%40", ("password", "p&@")),
    ],
)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_setting_is_read_alike_behind_every_scheme(
    scheme: str, query: str, setting: tuple[str, object]
) -> None:
    assert parse(address(scheme, query=query)).settings == dict([setting])


@pytest.mark.parametrize(
    "query",
    [
        "nonsense=1",
        "dbb=3",
        "mastr=m",
        "socket_timeout=soon",
        "socket_timeout=0",
        "socket_timeout=nan",
        "max_connections=0",
        "protocol=4",
        "db=-1",
        "db=",
        "db=one",
        "db=1&db=2",
        "retry=1",
        "connection_class=Mine",
        "health_check_interval=often",
        "retry_on_timeout=perhaps",
    ],
)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_an_invalid_setting_is_refused_for_every_scheme(scheme: str, query: str) -> None:
    assert refused(address(scheme, query=query)).startswith("broker must be host:port, or a redis")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("redis://h?db=1&nonsense=1", "the setting 'nonsense' is unknown; known are client_name"),
        ("redis-sentinel://h?mastr=m", "the setting 'mastr' is unknown; did you mean master?"),
        ("unix:///s?dbb=3", "the setting 'dbb' is unknown; did you mean db?"),
        ("redis://h?retry=1", "retry cannot be given in a URL: make the client yourself"),
        ("redis://h?db=1&db=2", "db is given twice"),
        ("redis://h?db=one", "the number of a database is a whole number, 0 or more"),
        ("redis://h/one", "the number of a database is a whole number, 0 or more"),
        ("redis://h?socket_timeout=0", "socket_timeout is a number of seconds above 0"),
        ("rediss://h?ssl_cert_reqs=no", "ssl_cert_reqs is none or optional or required"),
        ("rediss://h?ssl_ca_certs=/no/such", "ssl_ca_certs names a file that does not exist"),
        ("rediss://h?ssl_min_version=1.2", "ssl_min_version is 771 for TLS 1.2 or 772 for TLS 1.3"),
        ("redis-cluster://h/3", "a cluster has only database 0"),
        ("redis-cluster://h?db=3", "a cluster has only database 0"),
        ("redis://h#1", "a URL of a broker has no #"),
    ],
)
def test_a_refusal_says_why(text: str, why: str) -> None:
    assert why in refused(text)


@pytest.mark.parametrize(
    ("query", "setting"),
    [
        ("ssl_ca_certs=/dev/null", ("ssl_ca_certs", "/dev/null")),
        ("ssl_cert_reqs=none", ("ssl_cert_reqs", "none")),
        ("ssl_check_hostname=false", ("ssl_check_hostname", False)),
        ("ssl_server_name=s", ("ssl_server_name", "s")),
        ("ssl_min_version=772", ("ssl_min_version", 772)),
        ("ssl_exclude_verify_flags=[VERIFY_X509_STRICT]", ("ssl_exclude_verify_flags", [32])),
    ],
)
@pytest.mark.parametrize("scheme", OVER_TLS)
def test_settings_of_tls_are_read_alike(
    scheme: str, query: str, setting: tuple[str, object]
) -> None:
    assert parse(address(scheme, query=query)).settings == dict([setting])


@pytest.mark.parametrize("scheme", WITHOUT_TLS)
def test_settings_of_tls_need_tls(scheme: str) -> None:
    assert "ssl_cert_reqs needs TLS" in refused(address(scheme, query="ssl_cert_reqs=none"))


@pytest.mark.parametrize(
    ("text", "number"),
    [("redis://h/3", 3), ("redis://h/3/", 3), ("redis-sentinel://h/3", 3), ("redis://h/3?db=4", 4)],
)
def test_the_database_may_stand_in_path_or_query(text: str, number: int) -> None:
    assert parse(text).settings == {"db": number}


# -- passwords -------------------------------------------------------------------------------------

ODD = [
    "redis://:{}@127.0.0.1:6379",
    "redis://user:{}@127.0.0.1:6379/1?socket_timeout=1",
    "redis://user:{}@127.0.0.1:port",
    "redis://user:{}@127.0.0.1?nonsense=1",
    "rediss://user:{}@[::1]:6379",
    "unix://:{}@/run/redis.sock",
    "redis-sentinel://:{}@a,b?master=m",
    "redis-sentinel://a?master=m&password={}",
    "redis-sentinel://a:port?password={}",
    "redis-cluster://u:{}@a,b",
    "http://u:{}@h",
    "u:{}@h:1",
]
PIECES = ["qux", "zork", "1234"]


@pytest.mark.parametrize(
    "between", ["/", "#", "?", "@", ":", "&", "=", "[", "]", "%", "/?", "?#@", "@/"]
)
@pytest.mark.parametrize("form", ODD)
def test_no_piece_of_a_password_is_shown(form: str, between: str) -> None:
    text = form.format(between.join(PIECES))
    told = redact_url(text) + refusal_text(text)
    assert [piece for piece in PIECES if piece in told] == []


@given(st.sampled_from(ODD), st.text("/#?@:&=[]%,.;+ x", max_size=12))
def test_no_password_is_shown_whatever_is_in_it(form: str, password: str) -> None:
    text = form.format(f"QQ{password}QQ{password}QQ")
    assert "QQ" not in redact_url(text) + refusal_text(text)


def refusal_text(text: str) -> str:
    """Return all texts of the error for *text*; empty if *text* is accepted."""
    try:
        parse(text)
    except OptionError as error:
        return f"{error}{error.value}{error.allowed}{error.__cause__}"
    return ""


@pytest.mark.parametrize("mark", ["/", "#", "?"])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_an_error_says_how_to_write_a_password(scheme: str, mark: str) -> None:
    told = refused(address(scheme, login=f"user:pa{mark}ss@"))
    assert "percent-encode / # ? @ in a password: %2F %23 %3F %40" in told


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_password_in_its_percent_form_is_read(scheme: str) -> None:
    read = parse(address(scheme, login="us%3Aer:p%2F%23%3F%40%3A@"))
    assert (read.username, read.password) == ("us:er", "p/#?@:")


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("h:1", "redis://h:1"),
        ("redis://u:p@h:1/2?socket_timeout=1", "redis://h:1/2"),
        ("unix://:p@/run/redis.sock?db=1", "unix:///run/redis.sock"),
        ("redis-sentinel://:p@a,b:1/2?password=p@q", "redis-sentinel://a,b:1/2"),
        ("redis://:p/q@h", "redis://…"),
        ("nonsense://u:p@h", "nonsense://…"),
        ("p@q://h", "…://…"),
    ],
)
def test_an_address_is_shown_without_login_and_settings(text: str, what: str) -> None:
    assert redact_url(text) == what


def test_a_client_is_shown_as_the_programs_own() -> None:
    client: Any = object()
    assert redact_url(client) == "the program's own client"
