"""Reading an OpenRPC document that somebody else wrote: which methods there are and what each takes. Pure.

The document is material of a stranger: references may lead in circles, and anything may be of another type.
"""

from __future__ import annotations

from typing import Any

from attrs import frozen

_MOST_METHODS = 2000
_MOST_HOPS = 16  # of references and alternatives, one behind the other


@frozen
class Shape:
    """A schema, as far as it matters for placing a value.

    fields: schemas by name where it is an object that lists them, else None. item: of an array, None where it is not
    said. text: whether a string can stand here.
    """

    fields: dict[str, Any] | None
    item: Any
    text: bool


@frozen
class Document:
    """What a document says. methods: for each name the schemas of its parameters. version: of the service, or ""."""

    methods: dict[str, dict[str, Any]]
    version: str
    root: dict[str, Any]

    def shape(self, schema: Any) -> Shape:
        """What a schema of this document allows; a schema that says nothing allows everything."""
        fields: dict[str, Any] = {}
        kinds: set[str] = set()
        item = None
        for part in self._parts(schema):
            properties = part.get("properties")
            if isinstance(properties, dict):
                fields |= properties
            kind = part.get("type")
            kinds.update(one for one in (kind if isinstance(kind, list) else [kind]) if isinstance(one, str))
            item = part.get("items", item)
        return Shape(fields or None, item, not fields and (not kinds or "string" in kinds))

    def _parts(self, schema: Any) -> list[dict[str, Any]]:
        """A schema with what it refers to and combines, each once."""
        found: list[dict[str, Any]] = []
        left = [(schema, 0)]
        while left and len(found) <= _MOST_HOPS:
            part, hops = left.pop(0)
            if not isinstance(part, dict) or hops > _MOST_HOPS or any(part is one for one in found):
                continue
            found.append(part)
            left += [(self._referred(part["$ref"]), hops + 1)] if "$ref" in part else []
            for word in ("allOf", "anyOf", "oneOf"):
                parts = part.get(word)
                left += [(one, hops + 1) for one in parts] if isinstance(parts, list) else []
        return found

    def _referred(self, reference: Any) -> Any:
        return referred(self.root, reference)


def referred(root: Any, reference: Any) -> Any:
    """What a `#/...` reference within the document points at, None where it points at nothing."""
    if not isinstance(reference, str) or not reference.startswith("#/"):
        return None
    at = root
    for piece in reference[2:].split("/"):
        at = at.get(piece.replace("~1", "/").replace("~0", "~")) if isinstance(at, dict) else None
    return at


def read(value: Any) -> Document:
    """A decoded document.

    Raises:
        ValueError: it is no OpenRPC document, or one without methods.
    """
    if not isinstance(value, dict) or not isinstance(value.get("methods"), list):
        raise ValueError("it is no OpenRPC document: it has no array of methods")  # noqa: TRY004  one error for all faults
    if len(value["methods"]) > _MOST_METHODS:
        raise ValueError(f"it lists more than {_MOST_METHODS} methods")
    methods = {}
    for listed in value["methods"]:
        method = _followed(value, listed)
        if isinstance(method.get("name"), str):
            methods[method["name"]] = _params(value, method.get("params"))
    if not methods:
        raise ValueError("it names no method")
    info = value.get("info")
    version = info.get("version") if isinstance(info, dict) else None
    return Document(methods, version if isinstance(version, str) else "", value)


def _params(root: Any, params: Any) -> dict[str, Any]:
    found = [_followed(root, param) for param in params] if isinstance(params, list) else []
    return {param["name"]: param.get("schema") for param in found if isinstance(param.get("name"), str)}


def _followed(root: Any, value: Any) -> dict[str, Any]:
    for _ in range(_MOST_HOPS):
        if not isinstance(value, dict) or "$ref" not in value:
            break
        value = referred(root, value["$ref"])
    return value if isinstance(value, dict) else {}
