"""Accounts that are kept in a directory of files instead of the configuration file."""

from pathlib import Path

from pydantic import Field, GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from mcwatch.option_types import Config


class AccountsDirectory(Config):
    """A directory that holds the accounts, one file each."""

    directory: Path = Field(
        description="Directory whose files *.yaml and *.yml are the accounts: each holds one, with the keys of an "
        "entry of the list. Without `name` the file's name is taken, less its ending. Hidden files, other endings and "
        "sub-directories are left alone. Relative to the directory of the configuration file. All of it is read again "
        "at a reload.",
    )


class OrDirectory:
    """Marks a list of the configuration that may be given as a directory too; loading puts the list in its place."""

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Validate the list; the JSON Schema describes both ways to write it."""
        listed = handler(source)
        either = core_schema.union_schema([listed, handler.generate_schema(AccountsDirectory)])
        return core_schema.no_info_before_validator_function(_as_is, listed, json_schema_input_schema=either)


def _as_is(given: object) -> object:
    return given
