"""The JSON Schema of the configuration file, for editors that complete and check as one types.

    python -m proxy.config.schema > config/stream-guard.schema.json

It describes the file as people write it: durations and sizes are text with a unit.
"""

import json
from typing import Any

from proxy.config.settings import Settings


def schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) that a configuration file satisfies."""
    # "serialization" writes the defaults as the file has them: "5s", not 5.0.
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Settings.model_json_schema(mode="serialization"),
        "title": "Hermes Stream Guard",
    }


def render() -> str:
    """The schema as the text of ``config/stream-guard.schema.json``."""
    return json.dumps(schema(), indent=2) + "\n"


if __name__ == "__main__":
    print(render(), end="")  # noqa: T201 - printing is what this command is for
