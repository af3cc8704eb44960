"""Who writes to whom: mailboxes, foreign domains and addresses on the net."""

from random import Random
from typing import Final, NamedTuple

from mcwatch.simulator.dice import pick
from mcwatch.simulator.mail import Address

_FIRST: Final = ("amy", "ben", "carla", "dev", "eva", "finn", "gita", "hugo", "ines", "jan", "kim", "lea", "mo", "nina")
_LAST: Final = ("adams", "brandt", "cho", "diaz", "eriksen", "fischer", "gupta", "haas", "ito", "jones", "kowalski")
_FOREIGN: Final = (
    "news.example", "partner.example", "shop.example", "bank.example", "cloud.example", "travel.example",
    "supplier.test", "customer.test", "university.test", "notcorp.example", "xn--mnchen-3ya.example",
)  # fmt: skip
_NETS: Final = ("192.0.2", "198.51.100", "203.0.113")
_ROUTES: Final = ("inbound",) * 60 + ("outbound",) * 25 + ("internal",) * 13 + ("external",) * 2

NULL_SENDER: Final = Address("<>")


class Parties(NamedTuple):
    """Route, senders and recipients of one mail."""

    route: str
    envelope_from: Address
    header_from: Address
    to: tuple[Address, ...]


def sender_ip(rng: Random) -> str:
    """Draw an address of the documentation ranges, now and then of IPv6."""
    if rng.random() < 0.03:
        return f"2001:db8::{int(rng.random() * 65535):x}"
    return f"{pick(rng, _NETS)}.{int(rng.random() * 254) + 1}"


def parties(rng: Random, own_domains: tuple[str, ...]) -> Parties:
    """Draw a route and people that fit it.

    An external mail is a forwarded one: own envelope sender, foreign everywhere else, so that only a search that looks
    at the envelope too finds it.
    """
    route = pick(rng, _ROUTES)
    own, foreign = _own(rng, own_domains), _foreign(rng)
    if route == "inbound":
        envelope = _bounce_address(foreign) if rng.random() < 0.3 else Address(foreign.address)
        return Parties(route, envelope, foreign, _recipients(rng, own, own_domains))
    if route == "outbound":
        return Parties(route, Address(own.address), own, (foreign,))
    if route == "internal":
        return Parties(route, Address(own.address), own, _recipients(rng, _own(rng, own_domains), own_domains))
    forwarder = Address(f"srs0={int(rng.random() * 9999):04d}={foreign.domain}=x@{own_domains[0]}")
    return Parties(route, forwarder, foreign, (_foreign(rng),))


def _recipients(rng: Random, first: Address, own_domains: tuple[str, ...]) -> tuple[Address, ...]:
    # Real samples show one recipient; the notes say not to rely on it (reference notes §G).
    if rng.random() < 0.03:
        return (first, _own(rng, own_domains), _own(rng, own_domains))
    return (first,)


def _own(rng: Random, domains: tuple[str, ...]) -> Address:
    # The first domain is the busy one; squaring an even draw favours low indexes.
    draw = rng.random()
    return _mailbox(rng, domains[int(draw * draw * len(domains))])


def _foreign(rng: Random) -> Address:
    return _mailbox(rng, pick(rng, _FOREIGN))


def _mailbox(rng: Random, domain: str) -> Address:
    first, last = pick(rng, _FIRST), pick(rng, _LAST)
    name = f"{first.title()} {last.title()}" if rng.random() < 0.6 else ""
    return Address(f"{first}.{last}@{domain}", name)


def _bounce_address(sender: Address) -> Address:
    return Address(f"bounce@{sender.domain}")
