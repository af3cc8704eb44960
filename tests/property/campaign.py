"""How long the property tests run: a short time in CI, as long as asked for by hand."""

import os

from hypothesis import HealthCheck, Phase, settings

_EXAMPLES = int(os.environ.get("MCWATCH_PROPERTY_EXAMPLES", "40"))
_SHRINKS = os.environ.get("MCWATCH_PROPERTY_SHRINK", "1") != "0"
"""To shrink a failure takes minutes; a long run may leave that to the run that repeats it."""


def campaign(steps: int) -> settings:
    """Return the settings of a run whose examples take up to so many steps."""
    return settings(
        max_examples=_EXAMPLES,
        stateful_step_count=steps,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
        phases=[Phase.generate, Phase.shrink] if _SHRINKS else [Phase.generate],
    )
