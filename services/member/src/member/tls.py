"""The certificate of both servers, which is read again when its files change."""

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import TypeAlias

import structlog

_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""Ciphers of TLS 1.2. Python's default depends on its build; Debian's includes older ones."""

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

_Stamp: TypeAlias = tuple[tuple[int, int, int], ...]


class CertificateError(Exception):
    """The files hold no certificate that a server can use.

    Attributes:
        of_key: Whether the fault is in the file of the key.
    """

    def __init__(self, reason: str, *, of_key: bool) -> None:
        """Say the *reason*."""
        super().__init__(reason)
        self.of_key = of_key


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """The files of a certificate with its chain, and of its key; both PEM."""

    chain: Path
    key: Path


@dataclass(frozen=True, slots=True)
class Loaded:
    """The content of the files, and a context made of it."""

    chain: bytes
    key: bytes = field(repr=False)
    context: ssl.SSLContext


class Certificate:
    """A certificate that follows its files.

    Safe to use from several threads: gRPC calls it in one of its own.
    """

    def __init__(self, files: CertificateFiles) -> None:
        """Read the *files*.

        Raises:
            CertificateError: If they do not hold a certificate with its key.
        """
        self._files = files
        self._lock = Lock()
        self._stamp = _stamp(files)
        self._loaded = load(files)

    def current(self) -> Loaded:
        """Return the content of the files, or their last valid content."""
        with self._lock:
            if (stamp := _stamp(self._files)) != self._stamp:
                self._stamp = stamp
                self._renew()
            return self._loaded

    def _renew(self) -> None:
        try:
            self._loaded = load(self._files)
        except CertificateError as error:  # perhaps only one of the files is new so far
            log.warning("certificate is not renewed", reason=str(error))
        else:
            log.info("certificate is renewed")


def load(files: CertificateFiles) -> Loaded:
    """Read a certificate and its key.

    Raises:
        CertificateError: If a file cannot be read, or the two do not belong together.
    """
    chain, key = _read(files.chain, of_key=False), _read(files.key, of_key=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=files.chain)
    except ssl.SSLError:
        reason = "holds no certificate in PEM form"
        raise CertificateError(reason, of_key=False) from None
    try:
        # Without this argument OpenSSL would ask for a password at the terminal.
        context.load_cert_chain(files.chain, files.key, password="")
    except ssl.SSLError as error:
        mismatch = error.reason == "KEY_VALUES_MISMATCH"
        reason = (
            "is not the key of the certificate"
            if mismatch
            else "holds no unencrypted key in PEM form"
        )
        raise CertificateError(reason, of_key=True) from None
    return Loaded(chain, key, context)


def _read(file: Path, *, of_key: bool) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        reason = f"cannot be read: {error.strerror}"
        raise CertificateError(reason, of_key=of_key) from None


def _stamp(files: CertificateFiles) -> _Stamp:
    """Return a value that changes when a file changes, even behind a symbolic link."""
    return tuple(_file_stamp(file) for file in (files.chain, files.key))


def _file_stamp(file: Path) -> tuple[int, int, int]:
    try:
        status = file.stat()
    except OSError:
        return (0, 0, 0)
    return (status.st_mtime_ns, status.st_ino, status.st_size)
