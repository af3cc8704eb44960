"""The api section of an account."""

import pytest
from pydantic import TypeAdapter, ValidationError

from mcwatch.mimecast.config import ApiConfig

OAUTH2 = {"type": "oauth2", "client_id": "id", "client_secret": "hunter2"}
HMAC = {"type": "hmac", "app_id": "a", "app_key": "b", "access_key": "c", "secret_key": "hunter2"}


def parse(**keys: object) -> ApiConfig:
    """Read an api section."""
    return ApiConfig.model_validate({"auth": OAUTH2, **keys})


@pytest.mark.parametrize(
    ("keys", "origin"),
    [
        ({}, "https://api.services.mimecast.com"),
        ({"region": "global"}, "https://api.services.mimecast.com"),
        ({"region": "us"}, "https://us-api.services.mimecast.com"),
        ({"region": "uk"}, "https://uk-api.services.mimecast.com"),
        ({"auth": HMAC, "region": "eu"}, "https://eu-api.mimecast.com"),
        ({"auth": HMAC, "region": "de"}, "https://de-api.mimecast.com"),
        ({"auth": HMAC, "region": "us"}, "https://us-api.mimecast.com"),
        ({"auth": HMAC, "region": "usb"}, "https://usb-api.mimecast.com"),
        ({"auth": HMAC, "region": "ca"}, "https://ca-api.mimecast.com"),
        ({"auth": HMAC, "region": "za"}, "https://za-api.mimecast.com"),
        ({"auth": HMAC, "region": "au"}, "https://au-api.mimecast.com"),
        ({"auth": HMAC, "region": "je"}, "https://je-api.mimecast.com"),
        ({"base_url": "https://de-api.services.mimecast.com"}, "https://de-api.services.mimecast.com"),
        ({"base_url": "https://api.example:8443/"}, "https://api.example:8443"),
        ({"base_url": "http://127.0.0.1:8080"}, "http://127.0.0.1:8080"),
        ({"base_url": "http://[::1]:8080"}, "http://[::1]:8080"),
        ({"base_url": "http://localhost"}, "http://localhost"),
    ],
)
def test_address(keys: dict[str, object], origin: str) -> None:
    """Regions and base URLs give the hosts of the reference notes B and C."""
    assert origin == parse(**keys).origin


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        ({"base_url": "https://a.example", "region": "us"}, "either base_url or region"),
        ({"region": "de"}, "set base_url"),
        ({"region": "mars"}, "'global', 'us'"),
        ({"auth": HMAC}, "eu, de, us, usb, ca, za, au, je"),
        ({"auth": HMAC, "region": "uk"}, "set base_url"),
        ({"auth": HMAC, "region": "global"}, "set base_url"),
        ({"base_url": "http://api.example"}, "https://"),
        ({"base_url": "https://api.example/api"}, "no path"),
        ({"base_url": "https://api.example?x=1"}, "no path"),
        ({"base_url": "https://user:pw@api.example"}, "password"),
        ({"base_url": "ftp://api.example"}, "https://host"),
        ({"base_url": "api.example"}, "https://host"),
        ({"base_url": "https://"}, "https://host"),
        ({"base_url": "https://api.example:port"}, "https://host"),
        ({"max_requests_per_minute": 0}, "greater than or equal to 1"),
        ({"request_timeout": "0s"}, "greater than 0"),
        ({"auth": {**OAUTH2, "type": "ntlm"}}, "'oauth2', 'hmac'"),
        ({"auth": {"type": "oauth2", "client_id": "x"}}, "client_secret"),
        ({"auth": {**OAUTH2, "secret_key": "x"}}, "secret_key"),
        ({"retries": 5}, "retries"),
    ],
)
def test_refusals(keys: dict[str, object], text: str) -> None:
    """What cannot be used is refused with a text that says what to write instead, and shows no secret."""
    with pytest.raises(ValidationError) as caught:
        parse(**keys)
    assert text in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_defaults() -> None:
    """Nothing but the credentials must be written."""
    config = parse()
    assert (120, 30.0, None, True, 16 * 2**20) == (
        config.max_requests_per_minute,
        config.request_timeout,
        config.proxy,
        config.tls.verify,
        config.max_answer,
    )


def test_every_field_is_described() -> None:
    """The schema explains every option, for the documentation is made of it."""
    schema = TypeAdapter(ApiConfig).json_schema()
    for model in (schema, *schema["$defs"].values()):
        for name, field in model["properties"].items():
            assert field.get("description"), name


def test_no_secret_shows() -> None:
    """Neither repr nor dump of the section shows a secret."""
    config = parse(proxy="http://u:hunter2@p.example:1")
    assert "hunter2" not in repr(config) + config.model_dump_json()
