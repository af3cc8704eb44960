"""What tests of the PostgreSQL store share."""

import pytest

from tests.contract.postgres_database import emptied_database


@pytest.fixture
def url() -> str:
    """Give an empty database with our schema."""
    return emptied_database()
