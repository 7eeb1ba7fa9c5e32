"""What a hero_proc written in Python finds."""

from __future__ import annotations

from importlib.metadata import entry_points

from hero_livekit_units.definitions.files import shipped_catalog
from hero_livekit_units.model.launch import Port, Probe
from hero_livekit_units.model.unit import ProbeKind, ProbeLevel, Protocol
from tests.fakes.http_answers import HttpAnswers, ok


def test_the_entry_point_gives_definitions_and_probes() -> None:
    """The group `hero_proc.units` is all that has to be known; what it gives is ready to use."""
    (point,) = entry_points(group="hero_proc.units", name="hero_livekit")
    units = point.load()()
    assert units.definitions == shipped_catalog().definitions
    assert units.files == shipped_catalog().files
    assert [target.service["name"] for target in units.targets] == ["hero_livekit_media"]
    assert {definition.unit.name for definition in units.definitions} == set(shipped_catalog().units)
    with HttpAnswers({"/": ok("OK")}) as server:
        port = Port("http", server.port, Protocol.TCP, "127.0.0.1")
        probe = Probe("ready", ProbeKind.HTTP, ProbeLevel.READINESS, port, "/", 200, 5.0, 2.0, 3)
        assert units.ask(probe).ok is True
