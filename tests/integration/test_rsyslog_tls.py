"""The syslog sink against a real rsyslogd over TLS: names, authorities, client certificates."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import trustme

from mcwatch.domain.delivery import ALL_ACCEPTED
from mcwatch.domain.errors import FailureReason, MisconfiguredError, TransientError
from mcwatch.sinks.syslog import SyslogSinkConfig
from tests.contract.sink_events import numbered
from tests.integration.rsyslog import Receiver, Rsyslog, rsyslogd, sink_to

pytestmark = pytest.mark.integration
_Require = Callable[[str], Path]
_RECEIVERS = {
    "tls-gtls": Receiver("tls", "gtls", client_auth=True),
    "tls-ossl": Receiver("tls", "ossl", client_auth=True),
    "relp-gtls": Receiver("relp+tls", "gtls", client_auth=True),
    "relp-ossl": Receiver("relp+tls", "ossl", client_auth=True),
}


def _no_certificate(rsyslog: Rsyslog) -> dict[str, str]:
    return rsyslog.tls


def _of_another_name(rsyslog: Rsyslog) -> dict[str, str]:
    return rsyslog.client_tls("somebody.else.example")


def _of_another_authority(rsyslog: Rsyslog) -> dict[str, str]:
    return rsyslog.client_tls(authority=trustme.CA())


@pytest.mark.parametrize("receiver", _RECEIVERS.values(), ids=_RECEIVERS)
async def test_a_client_certificate_opens_the_door(
    require_program: _Require, tmp_path: Path, receiver: Receiver
) -> None:
    """With the certificate that rsyslogd wants events arrive."""
    async with rsyslogd(require_program, tmp_path, receiver) as rsyslog:
        async with sink_to(rsyslog) as sink:
            assert await sink.check()
            assert await sink.deliver(numbered(20)) == ALL_ACCEPTED
        assert len(await rsyslog.received(20)) == 20


# Rsyslog 8.2302 with the ossl driver turns a client of another name away once and then lets it in.
@pytest.mark.parametrize(
    ("name", "identity"),
    [
        (name, identity)
        for name in _RECEIVERS
        for identity in (_no_certificate, _of_another_name, _of_another_authority)
        if (name, identity) != ("tls-ossl", _of_another_name)
    ],
)
async def test_without_the_right_client_certificate_nothing_counts_as_accepted(
    require_program: _Require, tmp_path: Path, name: str, identity: Callable[[Rsyslog], dict[str, str]]
) -> None:
    """None, one for another name, one of another authority: an error each time that names the option, and no event."""
    async with rsyslogd(require_program, tmp_path, _RECEIVERS[name]) as rsyslog:
        async with sink_to(rsyslog, tls=identity(rsyslog)) as sink:
            for attempt in (sink.check, partial(sink.deliver, numbered(5)), partial(sink.deliver, numbered(5))):
                with pytest.raises((MisconfiguredError, TransientError)) as failure:
                    await attempt()
                assert "sink.tls" in failure.value.remedy
        assert rsyslog.messages() == []


async def test_the_receivers_name_and_authority_are_checked(require_program: _Require, tmp_path: Path) -> None:
    """A certificate for another name, or of an unknown authority, takes the destination down with the reason."""
    async with rsyslogd(require_program, tmp_path, Receiver("tls")) as rsyslog:
        other_name = rsyslog.address.replace("localhost", "127.0.0.1")
        async with sink_to(rsyslog, address=other_name) as sink:
            with pytest.raises(MisconfiguredError) as by_name:
                await sink.deliver(numbered(1))
        async with sink_to(rsyslog, tls={}) as sink:
            with pytest.raises(MisconfiguredError) as by_authority:
                await sink.check()
        assert rsyslog.messages() == []
    assert [by_name.value.reason, by_authority.value.reason] == [FailureReason.TLS] * 2


async def test_unchecked_means_any_certificate(require_program: _Require, tmp_path: Path) -> None:
    """With ``verify: false`` neither name nor authority matters."""
    async with rsyslogd(require_program, tmp_path, Receiver("tls")) as rsyslog:
        other_name = rsyslog.address.replace("localhost", "127.0.0.1")
        async with sink_to(rsyslog, address=other_name, tls={"verify": False}) as sink:
            assert await sink.deliver(numbered(3)) == ALL_ACCEPTED
        assert len(await rsyslog.received(3)) == 3


@pytest.mark.parametrize(
    ("receiver", "transport"),
    [(Receiver("tls"), "tcp"), (Receiver("tls", "ossl"), "tcp"), (Receiver("relp+tls", "ossl"), "relp")],
)
async def test_plain_words_to_a_tls_port_are_not_accepted(
    require_program: _Require, tmp_path: Path, receiver: Receiver, transport: str
) -> None:
    """Rsyslogd's kernel takes them and rsyslogd hangs up: the batch counts as not accepted, and the remedy says TLS."""
    async with rsyslogd(require_program, tmp_path, receiver) as rsyslog:
        options = {"type": "syslog", "transport": transport, "address": rsyslog.address}
        async with SyslogSinkConfig.model_validate(options).build() as sink:
            for number in range(2):
                with pytest.raises(TransientError) as failure:
                    await sink.deliver(numbered(3, start=number))
                assert "TLS" in failure.value.remedy
        assert rsyslog.messages() == []
