"""What ``mcwatch check`` says of the file alone."""

from collections.abc import Set
from pathlib import Path
from typing import Any

import pytest

from mcwatch.app.checks import check, unknown_names
from mcwatch.settings import Settings
from mcwatch.settings.http import HttpTlsConfig
from mcwatch.sinks.syslog import SyslogSinkConfig
from tests.unit.app.settings import account

_SYSLOG: dict[str, Any] = {"type": "syslog", "address": "siem.example:514"}


def _settings(place: Path, sink: dict[str, Any], **options: object) -> Settings:
    return Settings.model_validate(
        {
            "store": {"url": f"sqlite:///{place / 'mcwatch.db'}"},
            "accounts": [account("acme"), account("acme-eu")],
            "destinations": [{"name": "out", "sink": sink, **options}],
        }
    )


def test_patterns_that_fit_no_account_are_warned_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A slip selects nothing for ever, but the name of an account that is gone is legal: the check still passes."""
    monkeypatch.setattr("mcwatch.app.checks.configure", lambda _level: None)  # which lasts longer than a test
    settings = _settings(tmp_path, _SYSLOG, select={"accounts": ["amce", "acme*"]})
    [warning] = unknown_names(settings)
    assert ("destination out: names", True) == (warning.subject, warning.ok)
    assert "select.accounts names 'amce', which is no account" in warning.detail
    assert "acme, acme-eu" in warning.remedy
    assert warning in check(settings, offline=True)


def test_severities_of_what_does_not_exist_are_warned_of(tmp_path: Path) -> None:
    """Neither a status nor a kind of event."""
    severities = {"hedl": "crit", "held": "notice", "queue.left": "debug"}
    [warning] = unknown_names(_settings(tmp_path, _SYSLOG | {"severities": severities}))
    assert "'hedl'" in warning.detail
    assert "queue" not in warning.detail


def test_accounts_that_a_sink_names_are_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever options of the sink name them."""

    def names(_config: SyslogSinkConfig) -> Set[str]:
        return {"acem", "acme"}

    monkeypatch.setattr(SyslogSinkConfig, "account_names", property(names))
    [warning] = unknown_names(_settings(tmp_path, _SYSLOG))
    assert "the sink names 'acem', which is no account" in warning.detail


def test_names_that_exist_are_not_mentioned(tmp_path: Path) -> None:
    """The defaults know nothing but what there is."""
    assert [] == unknown_names(_settings(tmp_path, _SYSLOG, select={"accounts": ["acme"]}))


def test_a_certificate_that_cannot_be_used_is_found_before_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also offline; the key of the configuration and the file are named."""
    monkeypatch.setattr("mcwatch.app.checks.configure", lambda _level: None)
    settings = _settings(tmp_path, _SYSLOG)
    missing = settings.http.model_copy(update={"tls": HttpTlsConfig(cert_file=tmp_path / "nowhere.pem")})
    results = check(settings.model_copy(update={"http": missing}), offline=True)
    [bad] = [one for one in results if one.subject == "http: certificate"]
    assert not bad.ok
    assert "http.tls.cert_file" in bad.detail
    assert "nowhere.pem" in bad.detail
    assert not [one for one in check(settings, offline=True) if one.subject == "http: certificate"]
