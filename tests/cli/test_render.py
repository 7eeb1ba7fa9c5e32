"""What a person reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hero_livekit_units.cli.render import (
    plan_text,
    plugins_text,
    receipt_text,
    status_text,
    table,
    units_text,
)
from hero_livekit_units.model.observed import CallsSeen, Evidence, Foreign, Observed
from hero_livekit_units.model.plain import plain
from hero_livekit_units.model.plan import Allowed, Goal
from hero_livekit_units.model.words import duration
from hero_livekit_units.plan.explain import explain
from hero_livekit_units.plan.planner import plan
from hero_livekit_units.plan.slots import in_use
from hero_livekit_units.report import status_report
from tests.strategies import BACKEND, DESIRED, MEDIA, OLD_MEDIA, SILENT, STEERED, healthy, stopped, world, worlds

if TYPE_CHECKING:
    from hero_livekit_units.model.desired import Desired


def shown(observed: Observed, *, evidence: bool = False) -> str:
    """The status of a world as text."""
    return status_text(
        status_report(in_use(observed, DESIRED), "ws://127.0.0.1:7880", "this command, pid 7"), evidence=evidence
    )


def test_a_healthy_group() -> None:
    """One line a unit, in columns; then the supervisor, where to join, and who looked."""
    assert shown(world(healthy(MEDIA, people=3), healthy(BACKEND))).splitlines() == [
        "   UNIT              RELEASE    VERDICT  PID   UP         CALLS   WHY",
        "●  livekit-server@a  1.13.5-r1  healthy  4242  1 h 0 min  3 in 1  pid 4242 answers",
        "●  lk-backend        0.1.0-r1   healthy  4242  1 h 0 min  -       pid 4242 answers",
        "",
        "supervisor  healthy: embedded 0.1.0, pid 77 (answered in 0.3 ms)",
        "join        ws://127.0.0.1:7880",
        "seen by     this command, pid 7, in 1.0 ms",
    ]


def test_nothing_runs_and_nobody_answers() -> None:
    """What could not be seen is a dash, and how to get a supervisor is told."""
    text = shown(world(stopped(MEDIA), stopped(BACKEND), supervisor=SILENT))
    assert "○  livekit-server@a  1.13.5-r1  stopped  -    -   -      the supervisor does not know it" in text
    assert "supervisor  unknown: none (nobody listens on /s/rpc.sock)" in text
    assert "start one with `hlu hero-proc start`; running calls do not need it" in text


def test_a_stranger_is_described() -> None:
    """Below the table: who it is, under whom it runs, what would end it, and how many people that would hit."""
    seen = attrs.evolve(stopped(MEDIA), foreign=OLD_MEDIA)
    group = "process group 4100, session 4100"
    assert shown(world(seen)).splitlines()[2:8] == [
        "",
        f"foreign     livekit-server@a: pid 4200 (livekit-server --dev), user ada, up 1 h 0 min, {group}",
        "            child of pid 4100 (old_plane)",
        "            child of pid 1",
        "            whoever stops its group ends it",
        "            people in its calls: 3 in 1 rooms (prometheus on port 6789)",
    ]


def test_a_stranger_of_another_user_is_described_by_its_user() -> None:
    """What cannot be seen is not made up, and who cannot be counted is not nobody."""
    hidden = Foreign(None, "a process of user eve", "eve", 0, 0, (), "eve can see it", CallsSeen(None, None, "hidden"))
    assert shown(world(attrs.evolve(stopped(MEDIA), foreign=hidden))).splitlines()[3:7] == [
        "foreign     livekit-server@a: a process of user eve",
        "            eve can see it",
        "            people in its calls: unknown (hidden)",
        "",
    ]
    assert "its calls" not in shown(world(attrs.evolve(stopped(BACKEND), foreign=attrs.evolve(hidden, calls=None))))


def test_unknown_calls_are_not_none() -> None:
    """A count that could not be had says so."""
    assert "  unknown  pid 4242 answers" in shown(world(healthy(MEDIA, people=None), healthy(BACKEND)))


def test_evidence() -> None:
    """What each witness said: for, against, could not be asked."""
    witnesses = (
        Evidence("supervisor", "not registered", False, 0.25),  # noqa: FBT003
        Evidence("kernel", "pid 4242", True, 0.5),  # noqa: FBT003
        Evidence("calls", "unknown", None, 12.0),
    )
    text = shown(world(healthy(MEDIA, evidence=witnesses), healthy(BACKEND)), evidence=True)
    assert (
        "livekit-server@a\n"
        "  -  supervisor  not registered  0.2 ms\n"
        "  +  kernel      pid 4242        0.5 ms\n"
        "  ?  calls       unknown         12.0 ms\n"
    ) in text


@given(worlds())
def test_any_world_can_be_shown(observed: Observed) -> None:
    """No contradiction between witnesses is too strange to be shown: every unit has its line and its verdict."""
    lines = shown(observed, evidence=True).splitlines()
    for line, seen in zip(lines[1:], in_use(observed, DESIRED).instances, strict=False):
        assert line[1:].split()[0] == seen.spec.instance
        assert seen.verdict in line


@given(worlds(), st.sampled_from([DESIRED, STEERED]), st.sampled_from(Goal), st.frozensets(st.sampled_from(Allowed)))
def test_any_plan_can_be_shown(observed: Observed, desired: Desired, goal: Goal, allowed: frozenset[Allowed]) -> None:
    """Every step with its reason and effect, every way with why not gentler, every refusal and wait, every note."""
    found = plan(observed, desired, goal, allowed=allowed)
    text = plan_text(plain(found), explain(found))
    for number, wave in enumerate(found.waves, 1):
        assert all(
            f"{number}. {step.action} {step.instance}\n   because: {step.because}" in text for step in wave.steps
        )
    assert all(f"calls:   {step.effect.says}" in text for step in found.steps)
    assert all(f"not {passed.way}: {passed.because}" in text for one in found.choices for passed in one.passed_over)
    assert all(refusal.because in text and refusal.possible_when in text for refusal in found.refusals)
    assert all(wait.because in text and wait.until in text for wait in found.waits)
    assert all(f"note     {note.instance}: {note.text}" in text for note in found.notes)
    assert text.startswith("nothing has to change") is found.converged
    assert found.converged is all(f"  {line}" in text for line in explain(found))


def receipt(**changes: Any) -> dict[str, Any]:
    """A receipt of an ensure that had nothing to do."""
    state = {"instance": "lk-backend", "verdict": "healthy", "process": {"pid": 7, "start_time": 1}}
    nothing: dict[str, Any] = {"done": [], "refusals": [], "waits": [], "notes": [], "after": [state]}
    return nothing | {"changed": False, "done_by": "", "took_ms": 12.345} | changes


def test_a_receipt_of_nothing() -> None:
    """That nothing was changed is worth a line."""
    assert receipt_text(receipt()) == "now      lk-backend: healthy, pid 7\nnothing was changed (12.3 ms)"


def test_a_receipt_of_what_another_did() -> None:
    """Whoever waited for its turn hears who did it meanwhile."""
    assert receipt_text(receipt(done_by="1700-7")).splitlines()[1:] == [
        "done     by another caller meanwhile: receipt 1700-7",
        "nothing was changed (12.3 ms)",
    ]


def test_a_receipt() -> None:
    """What was done, what was not and why, what is waited for, what lives now."""
    start = {"action": "start", "instance": "lk-backend"}
    refusal = {"instance": "livekit-server@a", "because": "held by pid 666", "possible_when": "it is gone"}
    text = receipt_text(
        receipt(
            done=[{"step": start, "outcome": "ready as pid 7", "took_ms": 1234.0}],
            refusals=[refusal],
            waits=[{"instance": "livekit-server@b", "because": "3 people are on it", "until": "they have left"}],
            notes=[{"instance": "x", "text": "left alone"}],
            after=[{"instance": "lk-backend", "verdict": "stopped", "process": None}],
            changed=True,
        )
    )
    assert text.splitlines() == [
        "done     start lk-backend: ready as pid 7 (1.23 s)",
        "refused  livekit-server@a: held by pid 666",
        "         possible when it is gone",
        "waits    livekit-server@b: 3 people are on it",
        "         until they have left",
        "note     x: left alone",
        "now      lk-backend: stopped",
    ]


def test_units() -> None:
    """The catalog."""
    row = {"name": "lk-backend", "release": "0.1.0-r1", "digest": "ab", "summary": "makes tokens", "blocked": ""}
    assert units_text([row, row | {"blocked": "it panics"}]).splitlines() == [
        "UNIT        RELEASE   DIGEST",
        "lk-backend  0.1.0-r1  ab      makes tokens",
        "lk-backend  0.1.0-r1  ab      blocked: it panics",
    ]


def test_a_table_ends_without_spaces() -> None:
    """Columns are as wide as their widest cell, and lines end with their text."""
    assert table([("a", "b", ""), ("ccc", "", "d")]) == ["a    b", "ccc     d"]
    assert table([]) == []


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.9, "0 s"),
        (59.9, "59 s"),
        (60.0, "1 min 0 s"),
        (3599.0, "59 min 59 s"),
        (3600.0, "1 h 0 min"),
        (86399.0, "23 h 59 min"),
        (86400.0, "1 d 0 h"),
        (8_640_000.0, "100 d 0 h"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    """The two largest units."""
    assert text == duration(seconds)


def test_plugins() -> None:
    """What each contributes, or what is wrong with it; and whether that is of this start."""
    whole: dict[str, Any] = {"name": "ours", "distribution": "our-units", "version": "0.1.0", "error": None}
    whole |= {"units": ["one", "two"], "targets": [{"name": "both", "error": None}]}
    error = {"type": "TypeError", "text": "it gave None"}
    broken = {"name": "odd", "distribution": "odd", "version": "2", "error": error, "units": [], "targets": []}
    refused = whole | {"name": "p", "targets": [{"name": "t", "error": "it is there already"}]}
    empty = whole | {"name": "q", "units": [], "targets": []}
    found = {"state": "loaded", "error": None, "loaded_ms": 1, "plugins": [whole, broken, refused, empty]}
    assert plugins_text(found).splitlines() == [
        "   PLUGIN  FROM             GIVES",
        "●  ours    our-units 0.1.0  one, two, service both",
        "✗  odd     odd 2            TypeError: it gave None",
        "✗  p       our-units 0.1.0  one, two; t: it is there already",
        "●  q       our-units 0.1.0  nothing",
    ]
    text = plugins_text(found | {"state": "failed", "error": "no loader"})
    assert text.splitlines()[-1] == "failed: no loader; shown is what was loaded before"
