"""The built-in Mimecast API: a real server on loopback, with mail that lives, quotas, faults and a ledger.

It shares no code with the client side of mcwatch, so that the two check each other; every fact about the API stands in
the reference notes (`mimecast-api.md`), whose section is named where it is used.
"""

from mcwatch.simulator.config import (
    AccountConfig,
    FinderRules,
    QuotaConfig,
    Shape,
    SimulatorConfig,
)
from mcwatch.simulator.faults import FAULT_KINDS, PROFILES, Fault, Faults
from mcwatch.simulator.given import MailError
from mcwatch.simulator.ledger import Ledger, Sighting, Tally
from mcwatch.simulator.simulator import Simulator
from mcwatch.simulator.stats import Stats
from mcwatch.simulator.world import World

__all__ = [
    "FAULT_KINDS",
    "PROFILES",
    "AccountConfig",
    "Fault",
    "Faults",
    "FinderRules",
    "Ledger",
    "MailError",
    "QuotaConfig",
    "Shape",
    "Sighting",
    "Simulator",
    "SimulatorConfig",
    "Stats",
    "Tally",
    "World",
]
