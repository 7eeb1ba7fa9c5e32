"""The rules of OpenRPC 1.3 for a document, as far as our documents have what they speak of.

Source: the OpenRPC specification 1.3.2. Objects may have no other keys than it names, but for `x-...`; schemas are
those of JSON Schema draft 7.
"""

from __future__ import annotations

from typing import Any

from jsonschema import Draft7Validator

_DRAFT_7 = "http://json-schema.org/draft-07/schema#"
_TEXT = {"type": "string", "minLength": 1}


def _object(required: list[str], /, **properties: Any) -> dict[str, Any]:
    rules = {"type": "object", "required": required, "properties": properties}
    return rules | {"patternProperties": {"^x-": {}}, "additionalProperties": False}


_REFERENCE = _object(["$ref"], **{"$ref": _TEXT})
_DESCRIBED = _object(
    ["name", "schema"],
    name=_TEXT,
    summary=_TEXT,
    description=_TEXT,
    required={"type": "boolean"},
    deprecated={"type": "boolean"},
    schema={"$ref": _DRAFT_7},
)
_ERROR = _object(["code", "message"], code={"type": "integer"}, message=_TEXT, data={})
_METHOD = _object(
    ["name", "params"],
    name=_TEXT,
    summary=_TEXT,
    description=_TEXT,
    paramStructure={"enum": ["by-name", "by-position", "either"]},
    params={"type": "array", "items": _DESCRIBED},
    result=_DESCRIBED,
    errors={"type": "array", "items": {"if": {"required": ["$ref"]}, "then": _REFERENCE, "else": _ERROR}},
)
_NAMED = "^[a-zA-Z0-9._-]+$"
_DOCUMENT = _object(
    ["openrpc", "info", "methods"],
    openrpc={"type": "string", "pattern": r"^1\.[0-3]\.\d+$"},
    info=_object(["title", "version"], title=_TEXT, version=_TEXT, description=_TEXT),
    methods={"type": "array", "items": _METHOD},
    components={
        "type": "object",
        "properties": {
            "schemas": {"patternProperties": {_NAMED: {"$ref": _DRAFT_7}}, "additionalProperties": False},
            "errors": {"patternProperties": {_NAMED: _ERROR}, "additionalProperties": False},
        },
        "additionalProperties": False,
    },
)


def faults_of(document: dict[str, Any]) -> list[str]:
    """What is wrong with a document, each with its place."""
    errors = Draft7Validator(_DOCUMENT).iter_errors(document)
    found = [f"{'.'.join(map(str, error.absolute_path))}: {error.message}" for error in errors]
    names = [method["name"] for method in document["methods"] if isinstance(method, dict) and "name" in method]
    found += [f"methods: two are called {name}" for name in sorted(set(names)) if names.count(name) > 1]
    return found + [f"{target} leads nowhere" for target in _references(document) if not _leads(document, target)]


def _references(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return own + [found for item in value.values() for found in _references(item)]
    return [found for item in value for found in _references(item)] if isinstance(value, list) else []


def _leads(document: Any, target: str) -> bool:
    for step in target.removeprefix("#/").split("/"):
        if not isinstance(document, dict) or step not in document:
            return False
        document = document[step]
    return True
