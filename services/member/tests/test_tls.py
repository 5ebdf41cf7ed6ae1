"""Both servers speak TLS, and use a renewed certificate without a restart."""

import asyncio
import ssl
from collections.abc import AsyncGenerator
from pathlib import Path

import grpc
import pytest
import trustme
from grpc import aio
from structlog.testing import capture_logs

from member.demo.smtp import SmtpSink
from member.program import Addresses, running
from member.roles import Role
from member.settings import Settings, SettingsError, load_settings
from member.tls import Certificate, CertificateFiles
from member.v1.member_pb2_grpc import MemberServiceStub
from services.member.tests.browser import browse
from services.member.tests.doubles import link_of
from services.member.tests.programs import ALICE, output_of, program, stub_of


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def files(authority: trustme.CA, tmp_path: Path) -> CertificateFiles:
    """A certificate for this machine, and its key."""
    found = CertificateFiles(tmp_path / "chain.pem", tmp_path / "key.pem")
    put(authority.issue_cert("127.0.0.1"), found)
    return found


@pytest.fixture
def trusting(authority: trustme.CA) -> ssl.SSLContext:
    """The TLS context of a client that trusts the authority."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


@pytest.fixture
async def addresses(settings: Settings, files: CertificateFiles) -> AsyncGenerator[Addresses]:
    changes = {"tls_cert_file": files.chain, "tls_key_file": files.key}
    async with running(settings.model_copy(update=changes)) as found:
        yield found


def put(certificate: trustme.LeafCert, files: CertificateFiles) -> None:
    """Replace the certificate before by *certificate*, like tools for renewal do."""
    replace(files.chain, b"".join(part.bytes() for part in certificate.cert_chain_pems))
    replace(files.key, certificate.private_key_pem.bytes())


def replace(file: Path, content: bytes) -> None:
    fresh = file.with_suffix(".new")
    fresh.write_bytes(content)
    fresh.replace(file)


def der_of(certificate: trustme.LeafCert) -> bytes:
    return ssl.PEM_cert_to_DER_cert(certificate.cert_chain_pems[0].bytes().decode())


async def certificate_at(address: str, trusting: ssl.SSLContext) -> bytes:
    """Return the certificate of a server."""
    host, _, port = address.rpartition(":")
    _, writer = await asyncio.open_connection(host, int(port), ssl=trusting)
    shown: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.transport.abort()
    return shown


async def test_a_sign_up_over_tls_leads_to_a_page_over_https(
    addresses: Addresses,
    authority: trustme.CA,
    trusting: ssl.SSLContext,
    sink: tuple[SmtpSink, str],
) -> None:
    credentials = grpc.ssl_channel_credentials(authority.cert_pem.bytes())
    async with aio.secure_channel(addresses.grpc, credentials) as channel:
        await MemberServiceStub(channel).CreateMember(ALICE)
    link = link_of(await sink[0].mails.get())
    assert link.startswith(f"https://{addresses.http}/")
    assert (await browse(link, "POST", context=trusting)).scene == "verified"


async def test_answers_tell_browsers_to_use_only_tls(
    addresses: Addresses, trusting: ssl.SSLContext
) -> None:
    page = await browse(f"https://{addresses.http}/verify-email/verified", context=trusting)
    assert page.headers["Strict-Transport-Security"] == "max-age=31536000"


@pytest.mark.parametrize(
    ("public_url", "header"),
    [("https://members.example.com", "max-age=31536000"), ("http://127.0.0.1:8080", None)],
)
async def test_answers_behind_a_tls_proxy_tell_browsers_to_use_only_tls(
    settings: Settings, public_url: str, header: str | None
) -> None:
    changes = {"public_url": public_url, "roles": frozenset({Role.HTTP})}
    async with running(settings.model_copy(update=changes)) as found:
        page = await browse(f"http://{found.http}/nowhere")
    assert (page.status, page.headers["Strict-Transport-Security"]) == (404, header)


async def test_a_client_without_tls_is_refused_over_grpc(addresses: Addresses) -> None:
    async with stub_of(addresses.grpc) as stub:
        with pytest.raises(aio.AioRpcError) as caught:
            await stub.CreateMember(ALICE)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_a_client_without_tls_is_refused_over_http(addresses: Addresses) -> None:
    with pytest.raises(OSError, match=r"closed connection|reset by peer"):
        await browse(f"http://{addresses.http}/verify-email")


@pytest.mark.parametrize("transport", ["grpc", "http"])
async def test_tls_1_2_is_spoken(
    addresses: Addresses, trusting: ssl.SSLContext, transport: str
) -> None:
    trusting.set_alpn_protocols(["h2"])
    trusting.maximum_version = ssl.TLSVersion.TLSv1_2
    trusting.set_ciphers("DEFAULT:@SECLEVEL=0")
    assert await certificate_at(getattr(addresses, transport), trusting)


@pytest.mark.parametrize("transport", ["grpc", "http"])
@pytest.mark.parametrize("ciphers", ["AES256-GCM-SHA384:AES128-GCM-SHA256", "ECDHE+AES+SHA1"])
async def test_ciphers_without_forward_secrecy_or_with_sha_1_are_refused(
    addresses: Addresses, trusting: ssl.SSLContext, transport: str, ciphers: str
) -> None:
    trusting.set_alpn_protocols(["h2"])
    trusting.maximum_version = ssl.TLSVersion.TLSv1_2
    trusting.set_ciphers(f"{ciphers}:@SECLEVEL=0")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await certificate_at(getattr(addresses, transport), trusting)


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated")
@pytest.mark.parametrize("transport", ["grpc", "http"])
async def test_tls_before_1_2_is_refused(
    addresses: Addresses, trusting: ssl.SSLContext, transport: str
) -> None:
    trusting.set_alpn_protocols(["h2"])
    trusting.minimum_version = trusting.maximum_version = ssl.TLSVersion.TLSv1_1
    trusting.set_ciphers("DEFAULT:@SECLEVEL=0")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await certificate_at(getattr(addresses, transport), trusting)


@pytest.mark.parametrize("transport", ["grpc", "http"])
async def test_new_connections_see_a_renewed_certificate(
    addresses: Addresses,
    authority: trustme.CA,
    files: CertificateFiles,
    trusting: ssl.SSLContext,
    transport: str,
) -> None:
    trusting.set_alpn_protocols(["h2"])
    before = await certificate_at(getattr(addresses, transport), trusting)
    renewed = authority.issue_cert("127.0.0.1")
    put(renewed, files)
    after = await certificate_at(getattr(addresses, transport), trusting)
    assert before != der_of(renewed)
    assert after == der_of(renewed)


def test_half_renewed_files_leave_the_old_certificate(
    authority: trustme.CA, files: CertificateFiles
) -> None:
    certificate = Certificate(files)
    before, renewed = certificate.current(), authority.issue_cert("127.0.0.1")
    replace(files.key, renewed.private_key_pem.bytes())
    with capture_logs() as lines:
        assert certificate.current() is before
        assert certificate.current() is before
    assert [line["event"] for line in lines] == ["certificate is not renewed"]
    put(renewed, files)
    assert certificate.current().key == renewed.private_key_pem.bytes()


def test_files_that_vanish_leave_the_old_certificate(files: CertificateFiles) -> None:
    certificate = Certificate(files)
    before = certificate.current()
    files.chain.unlink()
    assert certificate.current() is before


@pytest.fixture
def faulty(authority: trustme.CA, files: CertificateFiles) -> CertificateFiles:
    """Faulty files beside `files`."""
    other = CertificateFiles(files.chain.with_name("junk.pem"), files.key.with_name("other.pem"))
    other.chain.write_bytes(b"junk")
    authority.issue_cert("127.0.0.1").private_key_pem.write_to_path(str(other.key))
    return other


@pytest.mark.parametrize(
    ("chain", "key", "problem"),
    [
        ("chain.pem", "", "TLS_CERT_FILE and TLS_KEY_FILE need each other"),
        ("", "key.pem", "TLS_CERT_FILE and TLS_KEY_FILE need each other"),
        ("none.pem", "key.pem", "TLS_CERT_FILE: cannot be read: No such file or directory"),
        ("chain.pem", "none.pem", "TLS_KEY_FILE: cannot be read: No such file or directory"),
        ("chain.pem", ".", "TLS_KEY_FILE: cannot be read: Is a directory"),
        ("junk.pem", "key.pem", "TLS_CERT_FILE: holds no certificate in PEM form"),
        ("chain.pem", "junk.pem", "TLS_KEY_FILE: holds no unencrypted key in PEM form"),
        ("chain.pem", "other.pem", "TLS_KEY_FILE: is not the key of the certificate"),
    ],
)
def test_files_that_do_not_fit_are_named(
    faulty: CertificateFiles,
    monkeypatch: pytest.MonkeyPatch,
    chain: str,
    key: str,
    problem: str,
) -> None:
    monkeypatch.chdir(faulty.chain.parent)
    monkeypatch.setenv("ENVIRONMENT", "development")
    monkeypatch.setenv("TLS_CERT_FILE", chain)
    monkeypatch.setenv("TLS_KEY_FILE", key)
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert caught.value.problems == [problem]


async def test_a_certificate_that_is_missing_ends_the_start_by_its_setting(
    variables: dict[str, str], files: CertificateFiles, tmp_path: Path
) -> None:
    changed = {**variables, "TLS_CERT_FILE": "none.pem", "TLS_KEY_FILE": str(files.key)}
    async with program(changed, tmp_path) as process:
        said = await output_of(process)
        assert await process.wait() == 2
    assert said.startswith(b"member: cannot start: TLS_CERT_FILE: cannot be read")
