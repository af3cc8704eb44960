"""The way to a store that several replicas share, for commands; PostgreSQL's driver is needed only there."""

from typing import TYPE_CHECKING

from mcwatch.domain.errors import ConfigError
from mcwatch.settings import Settings

if TYPE_CHECKING:
    from mcwatch.app.asking import SharedStore

_PACKAGE = "psycopg"
DRIVER_REMEDY = 'pip install "mcwatch[postgres]"'


def shared_store(settings: Settings) -> "SharedStore":
    """Return what can be asked of the shared store; raises ConfigError where its driver is not installed."""
    try:
        from mcwatch.app.asking import SharedStore  # noqa: PLC0415 - only who needs the driver has it
    except ImportError as error:
        # Without its binary part, or libpq, the driver is found and cannot be imported: that error names nothing.
        if error.name is not None and error.name.partition(".")[0] != _PACKAGE:
            raise
        problem = f"store.url names PostgreSQL, whose driver cannot be loaded ({error}): {DRIVER_REMEDY}"
        raise ConfigError([problem]) from error
    return SharedStore(settings)
