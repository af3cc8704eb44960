"""``domains: discover``: the account's own domains, asked of the API once a day.

The vendor's page of the endpoint names the right that it takes (Directories | Internal | Read) and shows all rows in
one answer, directly in ``data``, without a word of paging; pages are followed where an answer names them.
"""

import difflib
from collections.abc import Mapping
from typing import Annotated, Final, Literal

import msgspec
import structlog
from pydantic import AfterValidator, GetCoreSchemaHandler, GetJsonSchemaHandler, ValidatorFunctionWrapHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from mcwatch.domain import tolerant_json
from mcwatch.domain.domains import DomainList, domain_name, refresh
from mcwatch.domain.errors import AuthError, FailureReason, PermanentError, TransientError
from mcwatch.mimecast.client import MimecastClient
from mcwatch.mimecast.endpoints import Endpoint
from mcwatch.mimecast.envelope import AnswerDecoder
from mcwatch.mimecast.errors import PageTokenInvalid, error_for
from mcwatch.mimecast.quota import Priority

logger = structlog.get_logger(__name__)

DISCOVER: Final = "discover"

CURSOR: Final = "domains"
"""The name under which the list is stored."""

PAGE_SIZE: Final = 500
MOST_PAGES: Final = 500
MOST_ROWS: Final = 50_000
MOST_IDLE_PAGES: Final = 20
"""So many pages in a row that show nothing new are not those of a list."""

_ROWS: Final = AnswerDecoder(msgspec.Raw)
_MOST_NAMES_LOGGED: Final = 100
_BY_HAND = "list your own domains by hand under domains"
_RIGHT = (
    "to discover domains, the role of the API user (or of the 2.0 application, with the product of this endpoint) "
    f"needs Directories | Internal | Read; or {_BY_HAND}"
)
_FORBIDDEN = error_for(403).remedy
"""What errors advise where a right is missing."""


def read_domains(stored: bytes | None) -> DomainList | None:
    """Return the list that a cursor holds."""
    return msgspec.json.decode(stored, type=DomainList) if stored else None


async def discover(client: MimecastClient, known: DomainList | None) -> DomainList:
    """Ask for the domains and return the list as it is now, by the API's clock; changes are logged.

    Raises the errors of :meth:`MimecastClient.call`, and TransientError (BAD_RESPONSE) where the answer names no domain
    or its pages never end; ``known`` stays good then.
    """
    try:
        listing = await _list(client)
    except PermanentError as error:
        raise type(error)(str(error), reason=error.reason, remedy=_remedy(error), detail=error.detail) from error
    _log_oddities(client.account, listing)
    if not listing.names:
        raise _broken("the answer names no domain", f"check the account's internal domains; {_RIGHT}")
    after, added, removed = refresh(known, listing.names, client.server_now(), complete=listing.complete)
    if added or removed:
        logger.info(
            "domains_changed",
            account=client.account,
            added=len(added),
            removed=len(removed),
            added_names=added[:_MOST_NAMES_LOGGED],
            removed_names=removed[:_MOST_NAMES_LOGGED],
        )
    return after


class _Listing(msgspec.Struct, frozen=True):
    """What was listed; ``complete`` unless the API says or lets suspect that there is more."""

    names: list[str]
    rows: int
    complete: bool


async def _list(client: MimecastClient) -> _Listing:
    try:
        return await _pass(client)
    except PageTokenInvalid:
        try:
            return await _pass(client)
        except PageTokenInvalid as error:
            raise _broken("the API forgets its page tokens while they are in use") from error


async def _pass(client: MimecastClient) -> _Listing:
    rows: dict[int, str | None] = {}
    tokens: set[str] = set()
    token: str | None = None
    idle = 0
    for _ in range(MOST_PAGES):
        answer = await client.call(
            Endpoint.INTERNAL_DOMAINS, {}, _ROWS, page_size=PAGE_SIZE, page_token=token, priority=Priority.FRESH
        )
        items = answer.raw_items if answer.items is None else answer.items
        known = len(rows)
        for item in items[: MOST_ROWS + 1]:
            rows.update(_rows_in(bytes(item)))
        if len(rows) > MOST_ROWS:
            raise _broken(f"more than {MOST_ROWS} rows")
        idle = 0 if len(rows) > known else idle + 1
        token = answer.next_token
        # A server may name one token for a whole list: named again, it ends the list only with a page of known rows.
        if token is None or (token in tokens and idle):
            return _Listing(_named(rows), len(rows), not _looks_cut(answer.total_count, len(rows), len(items)))
        if idle >= MOST_IDLE_PAGES:
            raise _broken(f"{idle} pages in a row that show nothing new")
        tokens.add(token)
    raise _broken(f"more than {MOST_PAGES} pages for one answer")


def _looks_cut(total: int | None, shown: int, on_last_page: int) -> bool:
    return on_last_page == PAGE_SIZE if total is None else shown < total


def _rows_in(item: bytes) -> dict[int, str | None]:
    """Return fingerprint and name of the rows in an item of ``data``, which is a row itself.

    One client of the API also expects blocks that hold a list of ``domains``.
    """
    try:
        content = tolerant_json.read(item)
        block = content.get("domains") if isinstance(content, dict) else None
        if isinstance(block, list):
            return {hash(tolerant_json.write(row)): _name_in(row) for row in block[: MOST_ROWS + 1]}
        return {hash(item): _name_in(content)}
    except (ValueError, RecursionError):
        return {hash(item): None}


def _name_in(row: object) -> str | None:
    named = row.get("domain") if isinstance(row, dict) else None
    return domain_name(named) if isinstance(named, str) else None


def _named(rows: Mapping[int, str | None]) -> list[str]:
    return [name for name in rows.values() if name is not None]


def _remedy(error: PermanentError) -> str:
    if isinstance(error, AuthError):
        return _RIGHT if error.remedy == _FORBIDDEN else error.remedy
    return f"{error.remedy}, or {_BY_HAND}" if error.remedy else _BY_HAND


def _broken(problem: str, remedy: str = f"it is tried again; if this stays, {_BY_HAND}") -> TransientError:
    return TransientError(f"{Endpoint.INTERNAL_DOMAINS}: {problem}", reason=FailureReason.BAD_RESPONSE, remedy=remedy)


def _log_oddities(account: str, listing: _Listing) -> None:
    skipped = listing.rows - len(listing.names)
    if skipped:
        logger.warning("domains_skipped", account=account, rows=skipped, remedy=f"if one is missing, {_BY_HAND}")
    if not listing.complete:
        logger.warning(
            "domains_cut",
            account=account,
            rows=listing.rows,
            remedy=f"the API may not list every domain, so none is dropped; if one is missing, {_BY_HAND}",
        )


class _Reading:
    """How pydantic reads ``domains``: the word, or a list whose entries are told apart in errors."""

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        names = handler.generate_schema(list[Annotated[str, AfterValidator(_listed_by_hand)]])
        return core_schema.no_info_wrap_validator_function(_read_option, names)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        names = {"type": "array", "items": {"type": "string", "minLength": 1}}
        return {"anyOf": [names, {"const": DISCOVER, "type": "string"}]}


DomainsOption = Annotated[list[str] | Literal["discover"], _Reading()]
"""``discover``, or the domains by hand, spelt as discovery spells them: a change of ways renames no search."""


def _read_option(given: object, read_names: ValidatorFunctionWrapHandler) -> object:
    if given == DISCOVER:
        return given
    if not isinstance(given, str):
        return read_names(given)
    if difflib.get_close_matches(given.strip().lower(), [DISCOVER]):
        raise PydanticCustomError("domains", "not known; did you mean discover? write discover, or a list of domains")
    raise PydanticCustomError("domains", "write the domains as a list, be it of one: [corp.example]; or write discover")


def _listed_by_hand(given: str) -> str:
    name = domain_name(given)
    if name == DISCOVER:
        raise PydanticCustomError("domain", "discover is no domain; write domains: discover, without a list around it")
    if name is not None:
        return name
    if "@" in given:
        raise PydanticCustomError("domain", "write the domain alone: corp.example, not an address")
    if "*" in given:
        raise PydanticCustomError("domain", "the API knows no wildcards; list every domain and subdomain by its name")
    raise PydanticCustomError("domain", "this is not the name of a domain; write it as corp.example")
