"""The HTTP listener's section of the configuration."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from mcwatch.domain.errors import ConfigError
from mcwatch.settings import HttpConfig, load
from mcwatch.settings.http import BasicAuthConfig, HttpTlsConfig

MINIMAL = """
accounts: [{name: a, api: {base_url: "http://127.0.0.1:9", auth: {type: oauth2, client_id: i, client_secret: s}},
  sources: [{type: processing_queue}]}]
destinations: [{name: d, sink: {type: stdout}}]
"""


def test_defaults_are_loopback_without_ceremony() -> None:
    """No certificate, no password, no reload over HTTP."""
    config = HttpConfig()

    assert (config.listen, config.tls, config.basic_auth, config.reload) == ("127.0.0.1:9640", None, None, False)


def test_everything_given(tmp_path: Path) -> None:
    """The password may stand in a file, and never shows."""
    (tmp_path / "password").write_text("geheim\n")
    config = HttpConfig.model_validate(
        {
            "listen": "0.0.0.0:9640",
            "tls": {"cert_file": "c.pem", "key_file": "k.pem"},
            "basic_auth": {"username": "ops", "password": {"file": str(tmp_path / "password")}},
            "reload": True,
        }
    )

    assert config.tls == HttpTlsConfig(cert_file=Path("c.pem"), key_file=Path("k.pem"))
    assert config.basic_auth is not None
    assert config.basic_auth.password.reveal() == "geheim"
    assert "geheim" not in repr(config)


@pytest.mark.parametrize("username", ["", "a:b", "a\nb", "a\x00"])
def test_username_refused(username: str) -> None:
    """RFC 7617 section 2: no colon, no control characters."""
    with pytest.raises(ValidationError, match="without colons"):
        BasicAuthConfig.model_validate({"username": username, "password": "p"})


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ("http: {tls: {key_file: k.pem}}", "http.tls.cert_file"),
        ("http: {tls: {cert: k.pem}}", "http.tls.cert"),
        ("http: {basic_auth: {username: ops}}", "http.basic_auth.password"),
        ("http: {basic_auth: {username: ops, password: ''}}", "http.basic_auth.password"),
        ("http: {basic_auth: {username: 'o:ps', password: x}}", "http.basic_auth.username"),
        ("http: {reload: maybe}", "http.reload"),
    ],
)
def test_problems_name_the_key(tmp_path: Path, lines: str, problem: str) -> None:
    """Each with the file and its line."""
    path = tmp_path / "mcwatch.yaml"
    path.write_text(lines + MINIMAL)

    with pytest.raises(ConfigError) as caught:
        load(path, {})
    assert any(f"mcwatch.yaml:1: {problem}:" in one for one in caught.value.problems)


def test_the_environment_reaches_all_of_it(tmp_path: Path) -> None:
    """Every single value outside lists can be set by a variable."""
    path = tmp_path / "mcwatch.yaml"
    path.write_text("http: {tls: {cert_file: file.pem}}" + MINIMAL)
    config = load(
        path,
        {
            "MCWATCH_HTTP__TLS__CERT_FILE": "c.pem",
            "MCWATCH_HTTP__BASIC_AUTH__USERNAME": "ops",
            "MCWATCH_HTTP__BASIC_AUTH__PASSWORD": "geheim",
            "MCWATCH_HTTP__RELOAD": "true",
        },
    ).http

    assert config.tls == HttpTlsConfig(cert_file=Path("c.pem"))
    assert config.basic_auth is not None
    assert (config.basic_auth.username, config.basic_auth.password.reveal()) == ("ops", "geheim")
    assert config.reload
