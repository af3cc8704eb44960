"""The certificate of the HTTP listener."""

import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives import serialization
from structlog.testing import capture_logs

from mcwatch.domain.errors import ConfigError
from mcwatch.httpserver.certificate import Certificate, CertificateFiles
from mcwatch.httpserver.server import HttpServer, Listener
from tests.unit.httpserver.answering import answering


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Give an authority that signs quickly."""
    return trustme.CA(key_type=trustme.KeyType.ECDSA)


class _Issued:
    """A certificate in two files, or one."""

    def __init__(self, authority: trustme.CA, directory: Path) -> None:
        self.files = CertificateFiles(directory / "cert.pem", directory / "key.pem")
        self._authority = authority
        self.renew()

    def renew(self) -> None:
        """Write another certificate with its key; the key first, as careful programs do not."""
        leaf = self._authority.issue_cert("localhost", "127.0.0.1", key_type=trustme.KeyType.ECDSA)
        assert self.files.key_file
        for path, pem in (
            (self.files.key_file, leaf.private_key_pem.bytes()),
            (self.files.cert_file, leaf.cert_chain_pems[0].bytes()),
        ):
            fresh = path.with_suffix(".new")
            fresh.write_bytes(pem)
            fresh.rename(path)


@pytest.fixture
def issued(authority: trustme.CA, tmp_path: Path) -> _Issued:
    """Give a certificate in files."""
    return _Issued(authority, tmp_path)


async def _presented(server: HttpServer, authority: trustme.CA) -> bytes:
    """Return the certificate that a client is shown, which it must believe."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    _, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=context)
    try:
        shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        assert isinstance(shown, bytes)
        return shown
    finally:
        writer.close()
        await writer.wait_closed()


async def test_a_renewed_certificate_is_served_without_restart(authority: trustme.CA, issued: _Issued) -> None:
    """The next connection gets it, also of a client that names no server."""
    async with answering(Listener("127.0.0.1:0", issued.files)) as server:
        before = await _presented(server, authority)
        issued.renew()
        after = await _presented(server, authority)

    assert server.url.startswith("https://127.0.0.1:")
    assert before != after


async def test_half_a_renewal_leaves_the_old_one_at_work(authority: trustme.CA, issued: _Issued) -> None:
    """A key without its certificate is logged once and taken once both are there."""
    async with answering(Listener("127.0.0.1:0", issued.files)) as server:
        before = await _presented(server, authority)
        certificate = issued.files.cert_file.read_bytes()
        issued.renew()
        renewed = issued.files.cert_file.read_bytes()
        issued.files.cert_file.write_bytes(certificate)
        with capture_logs() as logs:
            half = [await _presented(server, authority) for _ in range(2)]
            issued.files.cert_file.write_bytes(renewed)
            after = await _presented(server, authority)

    assert half == [before, before]
    assert after != before
    assert [line["event"] for line in logs if line["event"].startswith("http_cert")] == [
        "http_certificate_unusable",
        "http_certificate_read",
    ]


def test_the_key_may_stand_in_the_certificates_file(issued: _Issued, tmp_path: Path) -> None:
    """One PEM file is enough."""
    both = tmp_path / "both.pem"
    both.write_bytes(b"".join(path.read_bytes() for path in issued.files.paths))

    assert Certificate(CertificateFiles(both)).context.minimum_version is ssl.TLSVersion.TLSv1_2


def _encrypt(path: Path) -> None:
    key = serialization.load_pem_private_key(path.read_bytes(), None)
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"passphrase"),
        )
    )


def _mismatch(path: Path) -> None:
    leaf = trustme.CA(key_type=trustme.KeyType.ECDSA).issue_cert("localhost", key_type=trustme.KeyType.ECDSA)
    path.write_bytes(leaf.private_key_pem.bytes())


@pytest.mark.parametrize(
    ("spoil", "file", "words"),
    [
        (Path.unlink, "cert.pem", r"http\.tls\.cert_file: .*cert\.pem cannot be read: No such file"),
        (Path.unlink, "key.pem", r"http\.tls\.key_file: .*key\.pem cannot be read: No such file"),
        (lambda path: path.write_bytes(b"x"), "cert.pem", r"http\.tls\.cert_file: .*both must be PEM files"),
        (lambda path: path.write_bytes(b"x"), "key.pem", r"http\.tls\.key_file: .*key\.pem holds no private key"),
        (_encrypt, "key.pem", r"http\.tls\.key_file: .*key\.pem is encrypted; write it without a passphrase"),
        (_mismatch, "key.pem", r"http\.tls\.key_file: .*key\.pem does not belong to the certificate in .*cert\.pem"),
    ],
)
def test_files_that_cannot_be_used(
    issued: _Issued, tmp_path: Path, spoil: Callable[[Path], object], file: str, words: str
) -> None:
    """Each is a configuration error that names the key, the file and what to do."""
    spoil(tmp_path / file)

    with pytest.raises(ConfigError, match=words):
        Certificate(issued.files)
