"""The sentence, the figures and the truth of the exit status."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import attrs
import pytest

from hero_livekit_units.cli.verify import verified_text
from hero_livekit_units.model.observed import ProcessId
from hero_livekit_units.verify.programme import Kind
from hero_livekit_units.verify.report import Report, Restored, UnitLife, as_data
from tests.verify.reports import interrupted, outcome, person, report

if TYPE_CHECKING:
    from hero_livekit_units.verify.report import Outcome

ALL = (outcome(Kind.CONTROL_PLANE, 10), outcome(Kind.SUPERVISOR, 3), outcome(Kind.ENSURE, 100))
REFUSED = outcome(Kind.UPGRADE, release="1.13.3-r1", done=0, because="refused: that would cut off 2 people")


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        pytest.param(
            report(ALL),
            "0 calls dropped, 0 interrupted in 10 control-plane crashes, 3 supervisor crashes and 100 ensures;"
            " longest gap 44 ms beside 42 ms undisturbed",
            id="all is well",
        ),
        pytest.param(
            report([outcome(Kind.SUPERVISOR, 1)], [person(), interrupted()]),
            "0 calls dropped, 1 interrupted in 1 supervisor crash; longest gap 640 ms beside 42 ms undisturbed",
            id="interrupted",
        ),
        pytest.param(
            report([outcome(Kind.ENSURE, 1)], [person(), person("p2", disconnects=1)]),
            "1 call dropped, 0 interrupted in 1 ensure; longest gap 44 ms beside 42 ms undisturbed",
            id="dropped",
        ),
        pytest.param(
            report([outcome(Kind.UNDISTURBED)]),
            "0 calls dropped, 0 interrupted in 7 undisturbed seconds; longest gap 44 ms beside 42 ms undisturbed",
            id="undisturbed",
        ),
        pytest.param(
            report([REFUSED]),
            "0 calls dropped, 0 interrupted in a call that nothing was done to; longest gap 44 ms beside 42 ms"
            " undisturbed; not as asked: upgrade to 1.13.3-r1 (refused: that would cut off 2 people)",
            id="refused",
        ),
        pytest.param(
            report(
                [outcome(Kind.UPGRADE, release="1.13.3-r1"), outcome(Kind.UPGRADE, release="1.13.5-r1")],
                restored=Restored(settings=True, converged=False, because="had to wait: people are on it"),
            ),
            "0 calls dropped, 0 interrupted in 2 upgrades; longest gap 44 ms beside 42 ms undisturbed;"
            " not as asked: what ran before (had to wait: people are on it)",
            id="not put back",
        ),
    ],
)
def test_the_sentence(found: Report, sentence: str) -> None:
    """What was done is told, not what was asked."""
    assert found.sentence == sentence


@pytest.mark.parametrize(
    ("found", "well"),
    [
        pytest.param(report(ALL), True, id="all is well"),
        pytest.param(report([outcome(Kind.UNDISTURBED)]), True, id="undisturbed"),
        pytest.param(report(ALL, [person(), interrupted()]), False, id="interrupted"),
        pytest.param(report(ALL, [person(), person("p2", disconnects=1)]), False, id="disconnected"),
        pytest.param(report(ALL, [person(), person("p2", unheard=("p1",))]), False, id="does not hear one"),
        pytest.param(report(ALL, [person(), person("p2", failure="it ended")]), False, id="not measured"),
        pytest.param(report([*ALL, REFUSED]), False, id="refused"),
        pytest.param(report([outcome(Kind.ENSURE, 9, because="1 of them changed something")]), False, id="changed"),
        pytest.param(report(ALL, restored=Restored(settings=True, converged=True)), True, id="put back"),
        pytest.param(
            report(ALL, restored=Restored(settings=False, converged=False, because="it is full")),
            False,
            id="not put back",
        ),
        pytest.param(report(ALL, notes=("a word",)), True, id="a word"),
        pytest.param(report(ALL, [person(gap_ms=102.0), person("p2")]), True, id="60 ms more"),
        pytest.param(report(ALL, [person(gap_ms=102.1), person("p2")]), False, id="more than 60 ms more"),
    ],
)
def test_the_exit_status_says_the_truth(found: Report, *, well: bool) -> None:
    """Well is: nothing dropped, nothing interrupted, all done that was named, and undone what had to be."""
    assert found.well is well
    assert as_data(found)["well"] is well


def test_the_data_is_json_and_has_every_figure() -> None:
    """Times are seconds since the baseline began, whatever the clock of the host says."""
    unit = UnitLife("lk-backend", "0.1.0-r1", "", ProcessId(8, 80), None, None)
    crashed = outcome(Kind.SUPERVISOR, 2, done=1, because="it did not come back", at_s=(6.001, 7.5))
    found = report([crashed], [person(), interrupted()], notes=("a word",))
    data = json.loads(json.dumps(as_data(attrs.evolve(found, units=(unit,)))))
    assert (data["calls"], data["calls_dropped"], data["calls_interrupted"]) == (1, 0, 1)
    assert (data["longest_gap_ms"], data["baseline_gap_ms"]) == (640.0, 42.0)
    assert (data["baseline_s"], data["measured_s"], data["participants_reconnected"]) == (5.0, 7.0, 1)
    (stage,) = data["stages"]
    assert (stage["kind"], stage["asked"], stage["done"], stage["at_s"]) == ("supervisor-crash", 2, 1, [6.0, 7.5])
    assert data["participants"][0]["gaps"] == []
    assert data["participants"][1]["gaps"] == [{"speaker": "p1", "at_s": 7.0, "length_ms": 640.0}]
    assert data["participants"][1]["interrupted"].startswith("p2 missed 640 ms")
    assert (data["units"][0]["pid_before"], data["units"][0]["pid_after"]) == (8, None)
    assert (data["restored"], data["notes"]) == (None, ["a word"])


def test_the_text_for_a_person() -> None:
    """Who heard what, what was done and what not, and the sentence as the last line."""
    text = verified_text(as_data(report([*ALL, REFUSED], [person(), interrupted()], restored=Restored(True, True))))  # noqa: FBT003
    lines = text.splitlines()
    assert lines[1].split() == ["hlu-verify-0a1b2c3d-1", "p1", "44", "ms", "42", "ms", "0", "0"]
    assert lines[2].split()[-1] == "interrupted"
    assert "control-plane-crash: 10 of 10, longest gap 44 ms" in lines
    assert "upgrade 1.13.3-r1: 0 of 1, longest gap 44 ms" in lines
    assert "  refused: that would cut off 2 people" in lines
    assert "livekit-server@a: pid 7 before and after" in lines
    assert "media.toml is what it was, and what it wants runs" in lines
    assert lines[-1] == report([*ALL, REFUSED], [person(), interrupted()]).sentence


def test_a_moved_unit_shows() -> None:
    """From which process to which, and the releases."""
    moved = UnitLife("livekit-server@b", "", "1.13.3-r1", None, ProcessId(9, 90), None)
    outcomes: tuple[Outcome, ...] = (outcome(Kind.UPGRADE, release="1.13.3-r1", notes=("livekit-server@a: it ends",)),)
    text = verified_text(as_data(Report(outcomes, (person(), person("p2")), (moved,), 0.0, 5.0, 9.0)))
    assert "livekit-server@b: pid - → 9, release - → 1.13.3-r1" in text
    assert "  livekit-server@a: it ends" in text
