"""JSON Schemas of what the commands print: `python -m tests.schemas` makes those that the package ships anew.

They come from the values themselves, so that they cannot say anything else.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec

from hero_livekit_units.model.plan import Plan
from hero_livekit_units.model.receipt import Receipt
from hero_livekit_units.plan.serial import FORMAT

FOLDER = Path(__file__).parents[1] / "hero_livekit_units" / "schemas"
MADE = {"plan": Plan, "receipt": Receipt}


def schema(of: type[Any]) -> dict[str, Any]:
    """The schema of a value as `plain` gives it: nothing more, and all that is always there required."""
    found = msgspec.json.schema(of)
    for definition in found["$defs"].values():
        if definition.get("type") == "object":
            definition["required"] = sorted(definition["properties"])
            definition["additionalProperties"] = False
    if of is Plan:
        # `hlu plan --json` says of which format it is; on the wire there is no need for it.
        found["$defs"]["Plan"]["properties"]["format"] = {"const": FORMAT}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | found


def text(of: type[Any]) -> str:
    """The same as the file that is shipped."""
    return json.dumps(schema(of), indent=2) + "\n"


def main() -> None:
    """Write them."""
    FOLDER.mkdir(exist_ok=True)
    for name, of in MADE.items():
        (FOLDER / f"{name}.json").write_text(text(of))


if __name__ == "__main__":
    main()
