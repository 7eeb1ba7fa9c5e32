"""The OpenRPC document of the embedded hero_proc, held against the meta-schema that OpenRPC's authors publish."""

from __future__ import annotations

import json
from typing import Any

import pytest
from jsonschema import Draft7Validator
from referencing import Registry
from referencing.jsonschema import DRAFT7

from hero_livekit_units.embedded.daemon import openrpc
from tests.servers import openrpc_meta_schema

pytestmark = pytest.mark.servers

_SCHEMAS_OF_SCHEMAS = ("https://meta.json-schema.tools", "https://meta.json-schema.tools/")


def faults_of(document: dict[str, Any]) -> list[str]:
    """What is wrong with a document, each with its place."""
    # What it names by this address is draft 7, in another arrangement of which it uses one piece by name.
    own: dict[str, Any] = {"JSONSchemaObject": {"properties": {"$ref": {"type": "string"}}}}
    schema = {key: value for key, value in Draft7Validator.META_SCHEMA.items() if key != "$id"}
    draft = DRAFT7.create_resource(schema | {"definitions": schema["definitions"] | own})
    drafts: Registry[Any] = Registry().with_resources([(at, draft) for at in _SCHEMAS_OF_SCHEMAS])
    errors = Draft7Validator(json.loads(openrpc_meta_schema().read_text()), registry=drafts).iter_errors(document)
    found = [f"{'.'.join(map(str, error.absolute_path))}: {error.message}" for error in errors]
    names = [method["name"] for method in document["methods"] if "name" in method]
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


def test_it_is_valid() -> None:
    """Each method has a name of its own, and every reference leads somewhere."""
    assert faults_of(openrpc("1.2.3")) == []


@pytest.mark.parametrize(
    ("path", "value", "fault"),
    [
        (["openrpc"], "2", "openrpc: '2' is not one of"),
        (["methods", 1, "nam"], "x", "methods.1: "),
        (["methods", 1, "params"], {}, "methods.1: "),
        (
            ["methods", 3, "params", 0, "schema"],
            {"type": "text"},
            "methods.3: ",
        ),
        (["methods", 1, "errors", 0], {"code": "5", "message": ""}, "methods.1: "),
        (["methods", 1, "name"], "rpc.discover", "methods: two are called rpc.discover"),
        (["methods", 1, "errors", 0], {"$ref": "#/components/errors/X"}, "#/components/errors/X leads nowhere"),
        (["components", "schemas", "Job"], {"$ref": "#/x"}, "#/x leads nowhere"),
    ],
    ids=["version", "key", "params", "schema", "error", "twice", "reference", "reference-in-schema"],
)
def test_a_document_against_the_rules_is_found(path: list[Any], value: Any, fault: str) -> None:
    """The check of the document sees what is wrong in it."""
    broken = place = openrpc("1")
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    assert any(fault in found for found in faults_of(broken))
