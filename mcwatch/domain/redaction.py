"""What a destination must not see: fields of the mail dropped, hashed under a key, or cut to the domain.

A rule names a field by its path inside ``message``. Whatever the rules say, ``id`` and ``key`` are hashed, and
``info``, ``extra`` and ``previous`` are left out unless named: they hold free text, or what no rule can foresee. Fields
that this module does not know are left out too.

``event_id`` stays, because receivers dedupe on it. It is a hash over account, source, Mimecast id and state (over
sender, recipients, subject, time and IP for a row without an id), so it shows nothing by itself; but it has no key: one
who knows all of that can compute it, and so prove that a certain mail is meant.
"""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import lru_cache
from ipaddress import IPv6Address, ip_address

import msgspec
from msgspec import UNSET, Raw, UnsetType

from mcwatch.domain.errors import ConfigError, FailureReason, PermanentError
from mcwatch.domain.keyed_digest import KeyedDigest
from mcwatch.domain.redaction_rules import ADDRESSES, IN_EXTRA, KEEP, OWN_NAMES, Action, fault_of

_REMEMBERED = 8192
_DOMAIN = re.compile(r"\w[\w.-]*")
_OCTET = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
_PLAIN_IPV4 = re.compile(rf"(?:{_OCTET}\.){{3}}{_OCTET}", re.ASCII)
_NULL = Raw(b"null")

_Change = Callable[[str], str | UnsetType]
_Said = str | None | UnsetType


class _Address(msgspec.Struct, omit_defaults=True, gc=False):
    address: _Said = UNSET
    name: _Said = UNSET


class _Message(msgspec.Struct, omit_defaults=True, gc=False):
    """A message, or the part of one in ``previous``. What no rule can change is handed on as it stands."""

    id: _Said = UNSET
    key: _Said = UNSET
    status: Raw | UnsetType = UNSET
    info: _Said = UNSET
    subject: _Said = UNSET
    route: Raw | UnsetType = UNSET
    from_envelope: _Address | UnsetType | None = UNSET
    from_header: _Address | UnsetType | None = UNSET
    to: list[_Address] | UnsetType | None = UNSET
    sender_ip: _Said = UNSET
    attachments: Raw | UnsetType = UNSET
    received_at: Raw | UnsetType = UNSET
    sent_at: Raw | UnsetType = UNSET
    spam_score: Raw | UnsetType = UNSET
    detection_level: Raw | UnsetType = UNSET
    size: Raw | UnsetType = UNSET
    attempts: Raw | UnsetType = UNSET
    created_at: Raw | UnsetType = UNSET
    next_attempt_at: Raw | UnsetType = UNSET
    locked_until: Raw | UnsetType = UNSET
    priority: Raw | UnsetType = UNSET
    extra: Raw | UnsetType = UNSET


class _Event(msgspec.Struct, gc=False):
    schema: Raw
    event_id: Raw
    kind: Raw
    account: Raw
    source: Raw
    occurred_at: Raw
    observed_at: Raw
    message: _Message
    previous: Raw
    queue: Raw


_EVENT = msgspec.json.Decoder(_Event)
_PREVIOUS = msgspec.json.Decoder(_Message | None)
_EXTRA = msgspec.json.Decoder(dict[str, Raw])
_ENCODER = msgspec.json.Encoder()
_NOTHING_LEFT = _Message()


class Redaction:
    """Takes out of native events what a destination must not see.

    A hash is an HMAC-SHA256 (RFC 2104) of the value as UTF-8, the first 32 hex digits of it. Addresses are hashed in
    lower case and IP addresses in their canonical form, whatever the field, so equal values have equal hashes wherever
    the key is the same; an empty text stays empty. ``domain`` leaves the part after the last ``@``, in lower case;
    nothing remains of an address without one, or where something other than a host name comes after it. So a second
    ``domain`` leaves nothing of the address, a second ``drop`` changes nothing, and a second ``hash`` hashes the hash.

    Inside ``previous``, when it is kept, the same rules hold. A kept ``extra`` is without what it has under the API's
    names of redacted fields, unless ``extra.<key>`` is named: the more exact name decides.

    Args:
        key: the key of the hashes.
        rules: what happens to a field, by its path in ``redaction_rules.FIELDS`` or ``extra.<key>``.
        keep: fields that stay, among them those that are left out unless named; a rule for the same field wins.

    Raises ConfigError for an empty key, an unknown field, or an action that a field cannot have.
    """

    def __init__(self, key: bytes, rules: Mapping[str, Action], keep: Collection[str] = ()) -> None:
        named: dict[str, str] = {**dict.fromkeys(keep, KEEP), **rules}
        problems = [fault for field, action in named.items() if (fault := fault_of(field, action))]
        if not key:
            problems.append("the key of the redaction is empty; write a long random text into it")
        if problems:
            raise ConfigError(problems)
        self._digest = KeyedDigest(key).of
        # Senders, recipients and their hosts come again and again; ids, keys and subjects do not.
        self._address_digest = lru_cache(_REMEMBERED)(self._digest_of_address)
        self._ip_digest = lru_cache(_REMEMBERED)(self._digest_of_ip)
        self._domain = lru_cache(_REMEMBERED)(_domain)
        # Under the key itself: it tells two keys apart and shows neither.
        self.name = self._digest("redaction\0" + "\0".join(f"{field}={named[field]}" for field in sorted(named)))
        self._sort(named)

    def _sort(self, named: Mapping[str, str]) -> None:
        """Turn the rules into what is looked at per event."""
        named = {"info": Action.DROP, **named}
        digests: dict[str, _Change] = {"subject": self._digest, "sender_ip": self._ip_digest, "info": self._digest}
        self._dropped = [field for field in digests if named.get(field) == Action.DROP]
        self._hashed = [(field, digest) for field, digest in digests.items() if named.get(field) == Action.HASH]
        changing = {"id", *(field.partition(".")[0] for field, action in named.items() if action != KEEP)}
        self._addresses = [
            (field, self._address_change(named.get(f"{field}.address")), self._name_change(named.get(f"{field}.name")))
            for field in ADDRESSES
            if field in changing
        ]
        self._keeps_previous = named.get("previous") == KEEP
        self._keeps_extra = named.get("extra") == KEEP
        self._extra = {
            field.removeprefix(IN_EXTRA): action for field, action in named.items() if field.startswith(IN_EXTRA)
        }
        self._hidden = {name for field in changing for name in OWN_NAMES.get(field, ())}

    def apply(self, native: Sequence[bytes]) -> Sequence[bytes]:
        """Redact native JSON lines, in order, one for one.

        Raises PermanentError for a line that is no event of the native schema: nothing of it can be let through.
        """
        try:
            return [self._redacted(line) for line in native]
        except (msgspec.DecodeError, UnicodeDecodeError):
            # Without its cause, which holds the line.
            raise PermanentError(
                "a stored event cannot be read, so what is redacted cannot be taken out of it",
                reason=FailureReason.UNDECODABLE,
            ) from None

    def _redacted(self, line: bytes) -> bytes:
        event = _EVENT.decode(line)
        self._clean(event.message)
        event.previous = self._earlier(event.previous) if self._keeps_previous else _NULL
        return _ENCODER.encode(event)

    def _earlier(self, raw: Raw) -> Raw:
        previous = _PREVIOUS.decode(raw)
        if previous is None:
            return _NULL
        self._clean(previous)
        return _NULL if previous == _NOTHING_LEFT else Raw(_ENCODER.encode(previous))

    def _clean(self, message: _Message) -> None:
        for field in self._dropped:
            setattr(message, field, UNSET)
        if message.id:
            message.id = self._digest(message.id)
        if message.key:
            message.key = self._digest(message.key)
        for field, digest in self._hashed:
            if value := getattr(message, field):
                setattr(message, field, digest(value))
        if self._addresses:
            self._clean_addresses(message)
        if message.extra is not UNSET:
            message.extra = self._extra_left(message.extra) if self._keeps_extra or self._extra else UNSET

    def _clean_addresses(self, message: _Message) -> None:
        for field, change_address, change_name in self._addresses:
            found = getattr(message, field)
            if not found:
                continue
            if isinstance(found, list):
                left = [entry for entry in found if _says_something(entry, change_address, change_name)]
                setattr(message, field, left or UNSET)
            elif not _says_something(found, change_address, change_name):
                setattr(message, field, UNSET)

    def _extra_left(self, raw: Raw) -> Raw | UnsetType:
        left: dict[str, Raw | str] = {}
        for name, value in _EXTRA.decode(raw).items():
            action = self._extra.get(name)
            if action == Action.HASH:
                left[name] = self._digest(_as_text(value))
            elif action == KEEP or (action is None and self._keeps_extra and name.lower() not in self._hidden):
                left[name] = value
        return Raw(_ENCODER.encode(left)) if left else UNSET

    def _digest_of_address(self, address: str) -> str:
        return self._digest(address.lower())

    def _digest_of_ip(self, address: str) -> str:
        return self._digest(address if _PLAIN_IPV4.fullmatch(address) else _canonical(address))

    def _address_change(self, action: str | None) -> _Change | None:
        changes: Mapping[str | None, _Change] = {
            Action.DROP: _nothing,
            Action.HASH: self._address_digest,
            Action.DOMAIN: self._domain,
        }
        return changes.get(action)

    def _name_change(self, action: str | None) -> _Change | None:
        changes: Mapping[str | None, _Change] = {Action.DROP: _nothing, Action.HASH: self._digest}
        return changes.get(action)


def _says_something(entry: _Address, change_address: _Change | None, change_name: _Change | None) -> bool:
    """Change an address in place and tell whether anything is left of it."""
    if entry.address and change_address:
        entry.address = change_address(entry.address)
    if entry.name and change_name:
        entry.name = change_name(entry.name)
    return bool(entry.address or entry.name)


def _nothing(_value: str) -> UnsetType:
    return UNSET


def _domain(address: str) -> str | UnsetType:
    _, at, behind = address.rpartition("@")
    domain = behind.strip().removesuffix(">").lower()
    return domain if at and _DOMAIN.fullmatch(domain) else UNSET


def _canonical(address: str) -> str:
    try:
        found = ip_address(address.strip())
    except ValueError:
        return address
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return str(mapped or found)


def _as_text(value: Raw) -> str:
    found = msgspec.json.decode(value)
    return found if isinstance(found, str) else msgspec.json.encode(found, order="sorted").decode()
