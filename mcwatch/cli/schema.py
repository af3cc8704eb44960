"""``mcwatch schema``: what a configuration file may hold."""

import json


def schema() -> None:
    """Print the configuration's JSON Schema."""
    from mcwatch import settings

    print(json.dumps(settings.schema(), indent=2))
