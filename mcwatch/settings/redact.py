"""What of a mail a destination does not get to see."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from mcwatch.domain.redaction import Redaction
from mcwatch.domain.redaction_rules import KEEP, Action, fault_of
from mcwatch.option_types import Config, Secret

_Choice = Literal["drop", "hash", "domain", "keep"]


def _check_fields(fields: dict[str, _Choice]) -> dict[str, _Choice]:
    faults = [fault for field, action in fields.items() if (fault := fault_of(field, action))]
    if faults:
        raise PydanticCustomError("redact_fields", "{faults}", {"faults": "; ".join(faults)})
    return fields


class RedactConfig(Config):
    """Privacy: fields dropped, hashed under a key, or cut to the domain, before the format renders them."""

    key: Secret = Field(
        description="Key of the hashes, 32 or more random characters: a short one can be found by trying. Always "
        "needed, because message.id and message.key are always hashed. Equal values have equal hashes under one key, "
        "in all fields and destinations. Read at the start."
    )
    fields: Annotated[dict[str, _Choice], AfterValidator(_check_fields)] = Field(
        {},
        description="What happens to subject, from_envelope.address, from_envelope.name, from_header.address, "
        "from_header.name, to.address, to.name, sender_ip, info, extra, extra.<key> or previous: drop, hash "
        "(HMAC-SHA256, 32 hex digits), domain (addresses: only what follows the last @) or keep. info, extra and "
        "previous are dropped unless named here; extra is kept or dropped only, and what it holds is the API's: name "
        "its keys one by one where you can.",
    )

    def build(self) -> Redaction:
        """Return the redaction; raises ConfigError when the key's file cannot be read or is empty."""
        rules = {field: Action(action) for field, action in self.fields.items() if action != KEEP}
        keep = [field for field, action in self.fields.items() if action == KEEP]
        return Redaction(self.key.reveal().encode(), rules, keep)
