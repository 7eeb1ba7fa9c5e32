"""The JSON Schemas that the package ships are those of its values, and real ones fit."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from hypothesis import given

from hero_livekit_units.ensure import ensure
from hero_livekit_units.livekit.desired import desired_state
from hero_livekit_units.look import Wish, World
from hero_livekit_units.model.plain import plain
from hero_livekit_units.model.settings import Settings
from hero_livekit_units.plan.planner import plan
from hero_livekit_units.plan.serial import plan_text
from tests.fakes.registry import MemoryRegistry, ReflectingObserver
from tests.schemas import FOLDER, MADE, text
from tests.strategies import DESIRED, worlds

if TYPE_CHECKING:
    from pathlib import Path

    from hero_livekit_units.definitions.catalog import Catalog
    from hero_livekit_units.model.observed import Observed


def shipped(name: str) -> jsonschema.Draft202012Validator:
    """A shipped schema."""
    return jsonschema.Draft202012Validator(json.loads((FOLDER / f"{name}.json").read_text()))


@pytest.mark.parametrize("name", MADE)
def test_what_is_shipped_is_what_is_made(name: str) -> None:
    """Or `python -m tests.schemas` has to be run."""
    assert (FOLDER / f"{name}.json").read_text() == text(MADE[name])
    jsonschema.Draft202012Validator.check_schema(shipped(name).schema)
    assert {path.stem for path in FOLDER.iterdir()} == set(MADE)


def test_a_receipt_fits(catalog: Catalog, tmp_path: Path) -> None:
    """One of something that was done; with a key too many or too few it does not."""
    registry = MemoryRegistry()
    wish = Wish(lambda secrets: desired_state(catalog, Settings(), home=str(tmp_path), python="py", secrets=secrets))
    receipt: dict[str, Any] = plain(ensure(wish, World(registry, ReflectingObserver(registry), tmp_path)))
    assert receipt["done"]
    schema = shipped("receipt")
    schema.validate(receipt)
    assert list(schema.iter_errors(receipt | {"more": 1}))
    assert list(schema.iter_errors({key: value for key, value in receipt.items() if key != "waits"}))


@given(worlds())
def test_any_plan_fits(observed: Observed) -> None:
    """Whatever it was made from."""
    found = plan(observed, DESIRED)
    shipped("plan").validate(plain(found))
    shipped("plan").validate(json.loads(plan_text(found)))
