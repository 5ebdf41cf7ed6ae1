"""Users log in by password, by token, or at a proxy."""

import base64
from pathlib import Path

import anyio
import pytest
from starlette.requests import Request

from pyasynq import OptionError
from pyasynq.dashboard import (
    FileLogin,
    LoopbackLogin,
    NoLogin,
    Principal,
    ProxyLogin,
    Role,
    hash_password,
    hash_token,
)
from pyasynq.dashboard import login as login_module
from pyasynq.dashboard.login import verify
from pyasynq.dashboard.problems import Problem

HASH = hash_password("correct horse")
ANN = Principal(name="ann", role=Role.ADMIN)


def a_request(*, peer: str | None = "127.0.0.1", **headers: str) -> Request:
    encoded = [
        (name.replace("_", "-").lower().encode(), value.encode("latin-1"))
        for name, value in headers.items()
    ]
    client = None if peer is None else (peer, 1)
    return Request({"type": "http", "headers": encoded, "client": client})


def basic(name: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


@pytest.fixture
def users(tmp_path: Path) -> Path:
    file = tmp_path / "users"
    file.write_text(f"# staff\n\nann admin {HASH}\nci operator {hash_token('t0ken')}\n")
    return file


async def test_a_right_password_lets_in(users: Path) -> None:
    login = FileLogin(users)
    request = a_request(authorization=basic("ann", "correct horse"))
    assert await login(request) == ANN
    assert await login(request) == ANN


@pytest.mark.parametrize(
    "given",
    [
        "",
        "Basic",
        "Basic !",
        basic("ann", "wrong"),
        basic("ann", ""),
        basic("bob", "correct horse"),
        basic("ci", "t0ken"),
        basic("", ""),
        "Basic " + base64.b64encode(b"ann").decode(),
        "Basic " + base64.b64encode(b"\xff:x").decode(),
        "Bearer",
        "Bearer wrong",
        f"Bearer {HASH}",
        f"Bearer {hash_token('t0ken')}",
        "Digest x",
    ],
)
async def test_everything_else_is_asked_to_log_in(given: str, users: Path) -> None:
    with pytest.raises(Problem) as raised:
        await FileLogin(users)(a_request(authorization=given))
    assert raised.value.status == 401
    assert raised.value.headers["WWW-Authenticate"].startswith("Basic")


async def test_a_token_lets_in(users: Path) -> None:
    found = await FileLogin(users)(a_request(authorization="Bearer t0ken"))
    assert found == Principal(name="ci", role=Role.OPERATOR)


async def test_a_password_is_checked_once(users: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checked: list[str] = []

    def check(digest: str, password: str) -> bool:
        checked.append(password)
        return verify(digest, password)

    monkeypatch.setattr(login_module, "verify", check)
    login = FileLogin(users)
    request = a_request(authorization=basic("ann", "correct horse"))
    assert [await login(request), await login(request)] == [ANN, ANN]
    assert checked == ["correct horse"]


async def test_a_user_who_is_removed_is_let_in_no_more(users: Path) -> None:
    login = FileLogin(users)
    request = a_request(authorization=basic("ann", "correct horse"))
    await login(request)
    await anyio.Path(users).write_text("# nobody at all\n")
    with pytest.raises(Problem):
        await login(request)


async def test_few_passwords_are_remembered(users: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(login_module, "REMEMBERED", 0)
    login = FileLogin(users)
    await login(a_request(authorization=basic("ann", "correct horse")))
    assert not login._known


@pytest.mark.parametrize(
    "text",
    ["ann", "ann admin", "ann boss $argon2x", "ann admin plain", "a b admin $argon2x"],
)
def test_a_malformed_line_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "users").write_text(f"\n{text}\n")
    with pytest.raises(OptionError, match="line 2"):
        FileLogin(tmp_path / "users")


@pytest.mark.parametrize("text", [None, "ann boss"])
async def test_a_client_learns_nothing_about_a_file_that_cannot_be_read_any_more(
    text: str | None, users: Path, caplog: pytest.LogCaptureFixture
) -> None:
    login = FileLogin(users)
    await anyio.Path(users).unlink()
    if text is not None:
        await anyio.Path(users).write_text(text)
    with pytest.raises(Problem) as raised:
        await login(a_request(authorization="Bearer t0ken"))
    assert (raised.value.status, raised.value.code) == (503, "login-unavailable")
    assert "users" not in raised.value.detail
    assert "users" in caplog.text


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="a file that can be read"):
        FileLogin(tmp_path / "users")


@pytest.mark.parametrize("peer", ["10.0.0.7", "::ffff:10.0.0.7", "testclient", None])
def test_other_machines_need_a_login(peer: str | None) -> None:
    with pytest.raises(Problem, match="this machine only"):
        LoopbackLogin()(a_request(peer=peer))


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.1.2.3", "::1"])
def test_programs_on_this_machine_are_let_in(peer: str) -> None:
    assert LoopbackLogin()(a_request(peer=peer)).role is Role.ADMIN


def test_everybody_is_let_in_if_that_is_wanted() -> None:
    found = NoLogin(Role.VIEWER)(a_request(peer="10.0.0.7"))
    assert found == Principal(name="anyone", role=Role.VIEWER)


def test_a_proxy_names_the_user() -> None:
    login = ProxyLogin("X-User", trusted=["10.0.0.0/8"], roles={"ann": "admin"})
    assert login(a_request(peer="10.0.0.7", x_user="ann")) == ANN
    assert login(a_request(peer="10.0.0.7", x_user="bob")) == Principal(name="bob")
    assert login(a_request(peer="10.0.0.7")) is None
    assert login(a_request(peer="10.0.0.7", x_user="")) is None


@pytest.mark.parametrize("peer", ["127.0.0.1", "11.0.0.1", "x", None])
def test_only_the_proxy_is_believed(peer: str | None) -> None:
    login = ProxyLogin("X-User", trusted=["10.0.0.0/8"])
    with pytest.raises(Problem, match="only the proxy"):
        login(a_request(peer=peer, x_user="ann"))


def test_a_header_that_comes_twice_is_not_believed() -> None:
    headers = [(b"x-user", b"ann"), (b"x-user", b"bob")]
    request = Request({"type": "http", "headers": headers, "client": ("127.0.0.1", 1)})
    assert ProxyLogin("X-User")(request) is None


def test_users_without_a_role_can_be_refused() -> None:
    login = ProxyLogin("X-User", roles={"ann": Role.ADMIN}, role=None)
    with pytest.raises(Problem, match="bob has no role here"):
        login(a_request(x_user="bob"))


@pytest.mark.parametrize(
    "options", [{"trusted": ["proxy"]}, {"role": "boss"}, {"roles": {"ann": "boss"}}]
)
def test_a_wrong_setting_of_a_proxy_is_refused(options: dict[str, object]) -> None:
    with pytest.raises(OptionError):
        ProxyLogin("X-User", **options)  # type: ignore[arg-type]
