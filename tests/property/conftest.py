"""What holds for the property tests: thousands of polls say nothing."""

from collections.abc import Iterator, MutableMapping
from typing import Any, NoReturn

import pytest
import structlog


def _drop(_: object, __: str, ___: MutableMapping[str, Any]) -> NoReturn:
    raise structlog.DropEvent


@pytest.fixture
def _silence() -> Iterator[None]:
    before = structlog.get_config()
    structlog.configure(processors=[_drop])
    yield
    structlog.configure(**before)
