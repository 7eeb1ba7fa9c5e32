"""Makes openrpc.json of the methods themselves: `python -m hero_livekit_units.embedded.document` writes it anew.

Name, parameters and defaults come from the signatures, types from the annotations (`shapes`), summary, description and
errors from the docstrings, the defaults within specs from what the parsers make of an empty one. For building and
testing: it needs msgspec, and the daemon reads the file.
"""

from __future__ import annotations

import inspect
import json
import keyword
import typing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from attrs import asdict
from pjrpc.common import UNSET
from pjrpc.server.specs import openrpc
from pjrpc.server.specs.extractors import BaseMethodInfoExtractor

from hero_livekit_units.embedded import answering, faults, shapes, unit_shapes
from hero_livekit_units.embedded.keeping import Keeping
from hero_livekit_units.embedded.methods import Methods
from hero_livekit_units.embedded.restart import RetryPolicy
from hero_livekit_units.embedded.spec import ActionDep, HealthCheck, parse_action, parse_service
from hero_livekit_units.herosocket.rpc import INVALID_PARAMS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pjrpc.common import MaybeSet

FILE = Path(__file__).with_name("openrpc.json")
_SPECS = {
    "ActionSpec": parse_action({"name": "x", "script": "x"}).as_json(),
    "ServiceSpec": parse_service({"name": "x"}).as_json(),
    "RetryPolicy": asdict(RetryPolicy()),
    "ActionDep": asdict(ActionDep("x")),
    "HealthCheck": asdict(HealthCheck("tcp")),
}
_Schemas = tuple[dict[str, Any], dict[str, dict[str, Any]]]


class Extractor(BaseMethodInfoExtractor):  # type: ignore[misc, unused-ignore]
    """Reads a method: types by msgspec, which knows TypedDict, words from the docstring."""

    def extract_params_schema(self, method_name: str, method: Callable[..., Any], ref_template: str) -> _Schemas:  # noqa: ARG002
        """All parameters as the properties of one object."""
        hints, found = _hints(method), inspect.signature(method).parameters
        schemas, components = _schemas([hints[name] for name in found], ref_template)
        properties = {}
        for (name, parameter), schema in zip(found.items(), schemas, strict=True):
            known = isinstance(parameter.default, (str, int))
            properties[_wire(name)] = schema | ({"default": parameter.default} if known else {})
        required = [_wire(name) for name, item in found.items() if item.default is inspect.Parameter.empty]
        return {"properties": properties, "required": required}, components

    def extract_result_schema(self, method_name: str, method: Callable[..., Any], ref_template: str) -> _Schemas:  # noqa: ARG002
        """The result."""
        (schema,), components = _schemas([_hints(method)["return"]], ref_template)
        return schema, components

    def extract_summary(self, method: Callable[..., Any]) -> str:
        """The first line of the docstring."""
        return (inspect.getdoc(method) or "").partition("\n")[0].rstrip(".")

    def extract_description(self, method: Callable[..., Any]) -> MaybeSet[str]:
        """The rest of the docstring, but for its errors."""
        whole = (inspect.getdoc(method) or "").partition("Raises:")[0]
        return " ".join(whole.partition("\n")[2].split()) or UNSET


def document() -> dict[str, Any]:
    """The whole document; its version is for the daemon to fill in."""
    make = openrpc.MethodSpecificationGenerator(Extractor())
    owners = [object.__new__(Methods), object.__new__(Keeping)]  # it is their signatures that count
    methods = list(answering.registry_of(*owners).values())
    kinds = {fault.__name__: fault for fault in faults.Fault.__subclasses__()}
    errors = _errors(kinds.values())
    raised = {method.name: [*_raised(method.func, kinds), "InvalidParams", "Storage"] for method in methods}
    info = openrpc.Info(title="hero_proc (embedded)", version="0", description=_ABOUT)
    made = openrpc.OpenRPC(info).generate("", {"": [make(method) for method in methods]})
    found = [_DISCOVER, *sorted(made["methods"], key=lambda method: str(method["name"]))]
    for method in found:
        names = raised.get(method["name"], ["InvalidParams"])
        method["result"]["required"] = True
        for described in (*method["params"], method["result"]):
            described["schema"].pop("description", None)  # pjrpc repeats it beside the schema
        method |= {"paramStructure": "either", "errors": [{"$ref": f"#/components/errors/{name}"} for name in names]}
    components = {"schemas": _completed(made["components"]["schemas"]), "errors": errors}
    return {"openrpc": made["openrpc"], "info": made["info"], "methods": found, "components": components}


def text() -> str:
    """The file."""
    return json.dumps(document(), indent=1) + "\n"


_ABOUT = "Keeps processes alive. HTTP/1.1 on a Unix socket: POST /rpc."
_DISCOVER = {
    "name": "rpc.discover",
    "summary": "This document",
    "params": [],
    "result": {"name": "result", "schema": {"type": "object"}},
}


def _hints(method: Callable[..., Any]) -> dict[str, Any]:
    plain = inspect.unwrap(method)
    names = plain.__globals__ | {"shapes": shapes, "unit_shapes": unit_shapes}
    return typing.get_type_hints(plain, names, include_extras=True)


def _wire(name: str) -> str:
    """The name on the wire: a method cannot have a parameter called `from`, it has `from_`."""
    return name[:-1] if name.endswith("_") and keyword.iskeyword(name[:-1]) else name


def _schemas(types: Iterable[Any], ref_template: str) -> tuple[list[dict[str, Any]], dict[str, dict[str, Any]]]:
    found, components = msgspec.json.schema_components(types, ref_template=ref_template.replace("{model}", "{name}"))
    return list(found), components


def _completed(schemas: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The components: no further keys, and within specs the defaults that the parsers have."""
    for name, schema in schemas.items():
        if schema.get("type") != "object":
            continue
        schema["additionalProperties"] = False
        for key, default in _SPECS.get(name, {}).items():
            if key not in schema["required"] and isinstance(default, (str, int)):
                schema["properties"][key]["default"] = default
    return dict(sorted(schemas.items()))


def _raised(method: Callable[..., Any], kinds: dict[str, type[faults.Fault]]) -> list[str]:
    """The errors that a docstring names, as they are called on the wire."""
    lines = (inspect.getdoc(method) or "").partition("Raises:")[2].splitlines()
    named = [line.partition(":")[0].strip() for line in lines if line.startswith("    ") and line[4:5] != " "]
    return [kinds[name].code_name for name in named]


def _errors(kinds: Iterable[type[faults.Fault]]) -> dict[str, Any]:
    rows = [(kind.code_name, kind.code, inspect.getdoc(kind) or "", kind.retryable) for kind in kinds]
    rows += [
        ("Storage", answering.STORAGE, "The state cannot be read or written; it may succeed later.", True),
        ("InvalidParams", INVALID_PARAMS, "A parameter is missing, unknown or wrong; the message says which.", False),
    ]
    return {
        name: {
            "code": code,
            "message": message.rstrip("."),
            "data": {"code_name": name, "retryable": retryable, "hint": ""},
        }
        for name, code, message, retryable in sorted(rows)
    }


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
