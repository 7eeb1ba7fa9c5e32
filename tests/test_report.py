"""The status report: plain data of a fixed shape."""

from __future__ import annotations

import json

import attrs
from hypothesis import given

from hero_livekit_units.model.drain import Drain, DrainSeen, Then
from hero_livekit_units.model.observed import Evidence, InstanceSeen, Observed, ProcessId, SupervisorSeen, Verdict
from hero_livekit_units.report import status_report
from tests.strategies import ANSWERING, BACKEND, MEDIA, OLD_MEDIA, SILENT, entry, healthy, stopped, world, worlds

UNIT_KEYS = {
    "instance",
    "release",
    "wanted_release",
    "verdict",
    "because",
    "pid",
    "start_time",
    "age_s",
    "restarts",
    "ports",
    "calls",
    "drain",
    "log_file",
    "evidence",
    "foreign",
}


def shown(*instances: InstanceSeen, supervisor: SupervisorSeen = ANSWERING) -> Observed:
    """A world of these instances alone."""
    return Observed(supervisor, instances, 1.0)


def test_a_healthy_unit() -> None:
    """Every key, in full."""
    seen = healthy(
        MEDIA,
        people=3,
        entry=entry(MEDIA, restarts=2, log_file="/logs/a.log"),
        evidence=(Evidence("kernel", "pid 4242", True, 0.5),),  # noqa: FBT003
    )
    report = status_report(shown(seen), "ws://127.0.0.1:7880", "this command, pid 7")
    assert report["units"] == [
        {
            "instance": "livekit-server@a",
            "release": "1.13.5-r1",
            "wanted_release": "1.13.5-r1",
            "verdict": "healthy",
            "because": "pid 4242 answers",
            "pid": 4242,
            "start_time": 1_000_000,
            "age_s": 3600.0,
            "restarts": 2,
            "ports": {"debug": 6800, "http": 7880, "prometheus": 6789, "rtc_tcp": 7881, "rtc_udp": 7882},
            "calls": {"rooms": 1, "people": 3, "source": "debug-rooms", "longest_s": None, "lonely": None},
            "log_file": "/logs/a.log",
            "evidence": [{"witness": "kernel", "says": "pid 4242", "speaks_for": True, "took_ms": 0.5}],
            "drain": None,
            "foreign": None,
        }
    ]
    assert report["supervisor"] == {
        "kind": "embedded",
        "version": "0.1.0",
        "pid": 77,
        "start_time": 5,
        "verdict": "healthy",
        "says": "answered in 0.3 ms",
        "socket": "/s/rpc.sock",
        "lacks": None,
    }
    assert (report["join_url"], report["looked_by"]) == ("ws://127.0.0.1:7880", "this command, pid 7")
    assert report["took_ms"] == 1.0


def test_a_drain() -> None:
    """On whose word, since when, until when and what then."""
    drain = Drain(ProcessId(4242, 1_000_000), "ada", 1000.0, asked=True, until_s=1060.0, then=Then.MOVE)
    (unit,) = status_report(shown(healthy(MEDIA, drain=DrainSeen(drain, 1010.0))), "", "")["units"]
    assert unit["drain"] == {
        "by": "ada",
        "since_s": 1000.0,
        "for_s": 10.0,
        "left_s": 50.0,
        "then": "move",
        "idle_room_s": None,
        "asked": True,
        "announced": False,
        "signal": "none",
    }


def test_what_was_not_seen_is_null() -> None:
    """No process, no supervisor: null, never 0; the release is empty, as nothing runs."""
    report = status_report(shown(stopped(BACKEND), supervisor=SILENT), "", "")
    (unit,) = report["units"]
    assert (unit["pid"], unit["start_time"], unit["age_s"], unit["restarts"], unit["calls"]) == (None,) * 5
    assert (unit["release"], unit["wanted_release"], unit["log_file"]) == ("", "0.1.0-r1", "")
    assert (report["supervisor"]["pid"], report["supervisor"]["start_time"]) == (None, None)
    assert report["supervisor"]["verdict"] == "unknown"


def test_unknown_people_are_null() -> None:
    """A count that could not be had is null, and says why."""
    (unit,) = status_report(shown(healthy(MEDIA, people=None)), "", "")["units"]
    assert unit["calls"]["people"] is None


def test_a_stranger() -> None:
    """Who holds a port of ours, whose child it is, what would end it, and who is in its calls."""
    unit, *_ = status_report(world(attrs.evolve(stopped(MEDIA), foreign=OLD_MEDIA)), "", "")["units"]
    assert unit["foreign"] == {
        "process": {"pid": 4200, "start_time": 99},
        "command": "livekit-server --dev",
        "user": "ada",
        "group": 4100,
        "session": 4100,
        "parents": [{"pid": 4100, "command": "old_plane"}, {"pid": 1, "command": ""}],
        "dies_with": "whoever stops its group ends it",
        "calls": {"rooms": 1, "people": 3, "source": "prometheus on port 6789", "longest_s": None, "lonely": None},
        "age_s": 3600.0,
    }


@given(worlds())
def test_any_world_has_a_report(observed: Observed) -> None:
    """The shape is the same for each, survives JSON, keeps the order and repeats no verdict wrongly."""
    report = status_report(observed, "ws://x", "y")
    assert json.loads(json.dumps(report)) == report
    assert [set(unit) for unit in report["units"]] == [UNIT_KEYS] * 3
    assert [Verdict(unit["verdict"]) for unit in report["units"]] == [seen.verdict for seen in observed.instances]


def test_the_time_is_rounded() -> None:
    """A reader needs no nanoseconds."""
    assert status_report(attrs.evolve(world(), took_ms=1.23456789), "", "")["took_ms"] == 1.235
