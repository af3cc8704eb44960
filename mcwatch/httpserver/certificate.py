"""The listener's TLS certificate, exchanged when its files are."""

import ssl
from dataclasses import dataclass
from pathlib import Path

import structlog

from mcwatch.domain.errors import ConfigError

_log = structlog.get_logger(__name__)

_Stamp = tuple[int, int] | None
_ENCRYPTED = "the key is encrypted"


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """PEM files: the certificate with what signed it, and its key where that stands in a file of its own."""

    cert_file: Path
    key_file: Path | None = None

    @property
    def paths(self) -> list[Path]:
        """The files there are."""
        return [self.cert_file, *([self.key_file] if self.key_file else [])]


class Certificate:
    """The server's TLS context.

    Making it raises ConfigError naming the key of the file that cannot be used. Files that become unusable later, a
    certificate whose key is not written yet for instance, leave the certificate at work that was read before, with a
    warning in the log.
    """

    def __init__(self, files: CertificateFiles) -> None:
        self._files = files
        self._stamps = _stamps(files)
        self._current = _context(files)
        self._troubled = False
        self.context = _context(files)
        """What to listen with. Each handshake gets the certificate of that moment."""
        self.context.sni_callback = self._exchange

    def _exchange(self, connection: ssl.SSLSocket | ssl.SSLObject, _name: str | None, _old: ssl.SSLContext) -> None:
        """Answer a handshake (OpenSSL asks here also when the client names no server)."""
        self._refresh()
        connection.context = self._current

    def _refresh(self) -> None:
        stamps = _stamps(self._files)
        if stamps == self._stamps:
            return
        try:
            self._current = _context(self._files)
        except ConfigError as error:
            if not self._troubled:
                _log.warning("http_certificate_unusable", error=str(error), remedy="the one read before serves on")
            self._troubled = True
        else:
            self._stamps, self._troubled = stamps, False
            _log.info("http_certificate_read", cert_file=str(self._files.cert_file))


def _context(files: CertificateFiles) -> ssl.SSLContext:
    for path in files.paths:
        _check_readable(path, _key_of(path, files))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(files.cert_file, files.key_file, password=_refuse_to_ask)
    except (OSError, ValueError) as error:
        raise ConfigError([_problem(error, files)]) from error
    return context


def _check_readable(path: Path, key: str) -> None:
    """Tell which of the two files is the trouble; OpenSSL does not."""
    try:
        path.read_bytes()
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise ConfigError(
            [f"{key}: {path} cannot be read: {why}; check the path, and that the user mcwatch runs as may read it"]
        ) from error


def _problem(error: Exception, files: CertificateFiles) -> str:
    keyed = files.key_file or files.cert_file
    key = _key_of(keyed, files)
    if isinstance(error, ValueError) and str(error) == _ENCRYPTED:
        return (
            f"{key}: the private key in {keyed} is encrypted; write it without a passphrase, readable by mcwatch alone"
        )
    reason = getattr(error, "reason", None) or ""
    if "KEY_VALUES_MISMATCH" in reason:
        return f"{key}: the private key in {keyed} does not belong to the certificate in {files.cert_file}; pair them"
    if _holds(files.cert_file, b"CERTIFICATE-----") and not _holds(keyed, b"PRIVATE KEY-----"):
        return f"{key}: {keyed} holds no private key in PEM form; add it, or name its file in http.tls.key_file"
    return (
        f"http.tls.cert_file: {files.cert_file} and its key cannot be used ({reason or 'not PEM data'}); "
        "both must be PEM files, the server's certificate first"
    )


def _holds(path: Path, words: bytes) -> bool:
    return words in path.read_bytes()


def _key_of(path: Path, files: CertificateFiles) -> str:
    return "http.tls.key_file" if path == files.key_file else "http.tls.cert_file"


def _refuse_to_ask() -> str:
    # Without this OpenSSL would ask on the terminal, and a daemon would stand still.
    raise ValueError(_ENCRYPTED)


def _stamps(files: CertificateFiles) -> list[_Stamp]:
    return [_stamp(path) for path in files.paths]


def _stamp(path: Path) -> _Stamp:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino
