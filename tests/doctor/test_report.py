"""A report is kept for the supervisor that it is about, and for no other."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import attrs
import pytest

from hero_livekit_units.cli.doctor import doctor_text
from hero_livekit_units.doctor.report import FILE, Finding, Report, as_data, keep, kept, lacks_of
from hero_livekit_units.model.ability import MEANINGS, Ability
from hero_livekit_units.model.observed import ProcessId
from tests.strategies import ANSWERING

if TYPE_CHECKING:
    from pathlib import Path

SUPERVISOR = attrs.evolve(ANSWERING, kind="embedded", version="1.2", process=ProcessId(71, 9000))
REPORT = Report(
    kind="embedded",
    version="1.2",
    pid=71,
    start_time=9000,
    at_s=1_700_000_000.0,
    took_s=5.25,
    findings=(
        Finding(Ability.OWN_GROUP, holds=True, says="4 units have 4 groups"),
        Finding(Ability.STOPS_ONCE, holds=False, says="two stops sent SIGTERM and SIGTERM"),
        Finding(Ability.ADOPTS, holds=None, says="not looked at: because"),
    ),
)


def test_it_is_found_again(tmp_path: Path) -> None:
    """As it was, for its owner alone."""
    keep(REPORT, tmp_path)
    assert kept(tmp_path, SUPERVISOR) == REPORT
    assert lacks_of(tmp_path, SUPERVISOR) == frozenset({Ability.STOPS_ONCE})
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "other",
    [
        attrs.evolve(SUPERVISOR, version="1.3"),
        attrs.evolve(SUPERVISOR, kind="hero_proc"),
        attrs.evolve(SUPERVISOR, process=ProcessId(72, 9000)),
        attrs.evolve(SUPERVISOR, process=ProcessId(71, 9001)),
        attrs.evolve(SUPERVISOR, process=None),
    ],
)
def test_it_is_about_nobody_else(other: object, tmp_path: Path) -> None:
    """Version, pid and start time say who it is."""
    keep(REPORT, tmp_path)
    assert kept(tmp_path, other) is None  # type: ignore[arg-type]
    assert lacks_of(tmp_path, other) is None  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 2}', '{"format": 1}', "[" * 100_000])
def test_what_cannot_be_read_is_none(text: str, tmp_path: Path) -> None:
    """It is made anew then."""
    (tmp_path / FILE).write_text(text)
    assert kept(tmp_path, SUPERVISOR) is None
    assert kept(tmp_path / "nowhere", SUPERVISOR) is None


def test_an_unknown_ability_is_of_another_release(tmp_path: Path) -> None:
    """So it counts for nothing."""
    data = as_data(REPORT)
    data["checks"][0]["ability"] = "sings"
    (tmp_path / FILE).write_text(json.dumps(data))
    assert kept(tmp_path, SUPERVISOR) is None


def test_each_ability_has_a_meaning() -> None:
    """What is looked at, what is wrong without, what is off then."""
    assert list(MEANINGS) == list(Ability)


def test_as_text() -> None:
    """What was seen of each, and what is off."""
    assert doctor_text(as_data(REPORT)).splitlines() == [
        "   LOOKED AT                                                                      SEEN",
        "●  a unit has a process group of its own                                          4 units have 4 groups",
        (
            "✗  a stop that is repeated sends no second signal                                 "
            "two stops sent SIGTERM and SIGTERM"
        ),
        "?  after its own kill -9 it finds the units that live, and starts no second copy  not looked at: because",
        "",
        "without stops-once: drain in place",
        "supervisor  embedded 1.2, pid 71",
        "looked at   2023-11-14 22:13:20 UTC, in 5.2 s",
    ]
