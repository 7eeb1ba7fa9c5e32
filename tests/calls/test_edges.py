"""Every edge of the lineage that says it was measured: real calls on both releases, with the files of the package."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hero_livekit_units.calls.call import SETTLE_S, Call
from hero_livekit_units.calls.verdict import judge
from hero_livekit_units.definitions.files import shipped_catalog
from hero_livekit_units.definitions.render import file_text
from hero_livekit_units.livekit.desired import MEDIA, desired_specs
from hero_livekit_units.livekit.rotation import secrets_of
from hero_livekit_units.livekit.settings import read_settings
from hero_livekit_units.livekit.traits import host_traits
from hero_livekit_units.model.unit import Basis
from tests.calls.media import API_KEY, API_SECRET, Server, free_ports
from tests.servers import BUILT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hero_livekit_units.calls.verdict import ParticipantReport
    from hero_livekit_units.definitions.catalog import Catalog
    from hero_livekit_units.model.lineage import Edge

    Place = Callable[..., Server]

pytestmark = [pytest.mark.servers, pytest.mark.calls]

BASELINE_S = 2.5
BACK_S = 20.0
SECRETS = secrets_of({"api_key": API_KEY, "api_secret": API_SECRET, "backend_secret": "b" * 43}).values


def measured(catalog: Catalog) -> list[Edge]:
    """The edges of all units that claim to have been measured."""
    return [
        edge
        for unit in catalog.units
        for release in catalog.releases(unit)
        for edge in catalog.edges_to(catalog.find(unit, release))
        if edge.basis is Basis.MEASURED
    ]


def named(edge: Edge) -> str:
    """Of an edge, for the names of tests and for figures."""
    return f"{edge.start}-to-{edge.end}"


EDGES = [edge for edge in measured(shipped_catalog()) if edge.unit == MEDIA]
NEWEST = max((edge for edge in EDGES), key=lambda edge: [int(part) for part in edge.end.split("-")[0].split(".")])
ALONGSIDE = [edge for edge in EDGES if {edge.start, edge.end} == {NEWEST.start, NEWEST.end}]


@pytest.fixture
def place(livekit_servers: dict[str, Path], catalog: Catalog, tmp_path: Path) -> Iterator[Place]:
    """A release in a slot, with the livekit.yaml that the package renders for it, always on the same ports.

    What is left of it is ended by its pid.
    """
    slots = catalog.find(MEDIA).slots
    numbers = free_ports(5, beside=slots["b"] - slots["a"])
    ports = dict(zip(("http", "rtc_tcp", "rtc_udp", "prometheus", "debug"), numbers, strict=True))
    servers = []

    def prepare(release: str, slot: str = "a") -> Server:
        definition = catalog.find(MEDIA, release)
        if reason := catalog.on(host_traits()).blocked(definition):
            pytest.skip(f"{release} {reason}")
        lines = [f"{name} = {number}" for name, number in ports.items() if name in definition.ports]
        text = f'[livekit]\nversion = "{release}"\nslot = "{slot}"\n[livekit.ports]\n' + "\n".join(lines)
        settings = read_settings(text, "media.toml", catalog)
        home = str(tmp_path / release)
        specs = desired_specs(catalog, settings, home=home, python=sys.executable, secrets=SECRETS)
        (spec,) = [spec for spec in specs if spec.unit == MEDIA]
        (file,) = spec.files
        server = Server(livekit_servers[definition.unit.version], Path(file.path), spec.port("http").number)
        server.config.parent.mkdir(parents=True)
        server.config.write_text(file_text(file, SECRETS))
        servers.append(server)
        return server

    yield prepare
    for server in servers:
        server.kill()


def release_of(server: Server) -> str:
    """The version that a server wrote into its log when it started."""
    lines = [json.loads(line) for line in server.log.read_text().splitlines() if line.startswith("{")]
    (said,) = [line for line in lines if line["msg"] == "starting LiveKit server"]
    return str(said["version"])


def tell(what: str, reports: tuple[ParticipantReport, ...]) -> None:
    """Print the figures of an edge: content gaps in ms, one a participant."""
    gaps = " ".join(f"{report.longest_gap_ms:.0f}" for report in reports)
    undisturbed = max(report.baseline_gap_ms for report in reports)
    print(f"{what}: gaps of {gaps} ms, undisturbed {undisturbed:.0f} ms")  # noqa: T201  the figure is of interest


def test_every_edge_that_says_measured_is_measured_here(catalog: Catalog) -> None:
    """Nobody can write `measured` into a definition without a call on it, and what was measured one way goes back."""
    claimed = {(edge.unit, edge.start, edge.end) for edge in measured(catalog)}
    assert claimed == {(edge.unit, edge.start, edge.end) for edge in EDGES}
    assert claimed == {(unit, end, start) for unit, start, end in claimed}
    assert {catalog.find(MEDIA, release).unit.version for _, *ends in claimed for release in ends} == set(BUILT)
    assert sorted(named(edge) for edge in ALONGSIDE) == sorted({named(NEWEST), f"{NEWEST.end}-to-{NEWEST.start}"})


# By day the newest edge is gone by `ensure`, in test_two_slots and test_move_and_swap.
@pytest.mark.night
@pytest.mark.parametrize("edge", EDGES, ids=named)
def test_swap(edge: Edge, place: Place) -> None:
    """`kill -9` and the next release on the same ports: everybody comes back by themselves and hears the others."""
    old, new = place(edge.start), place(edge.end)
    assert old.port == new.port
    old.start()
    with Call() as call:
        call.start([old.seat(name, "swapped") for name in ("ann", "bob", "cem")])
        call.listen(BASELINE_S)
        call.mark("swap")
        old.kill()
        new.start()
        back = call.wait_until(lambda reports: all(report.reconnects for report in reports), timeout_s=BACK_S)
        call.listen(SETTLE_S)
        reports = call.report()
    tell(f"swap {named(edge)}", reports)
    assert back, reports
    assert f"{release_of(old)}-r1" == edge.start
    assert f"{release_of(new)}-r1" == edge.end
    assert [(report.identity, report.disconnects, report.unheard) for report in reports] == [
        ("ann", 0, ()),
        ("bob", 0, ()),
        ("cem", 0, ()),
    ]
    verdict = judge(reports)
    assert (verdict.calls_dropped, verdict.calls_interrupted) == (0, 1)


@pytest.mark.night
@pytest.mark.parametrize("edge", ALONGSIDE, ids=named)
def test_two_slots(edge: Edge, place: Place) -> None:
    """A new room on the next release in the other slot: in the old room nobody is disconnected or has to come back."""
    old, new = place(edge.start, "a"), place(edge.end, "b")
    assert old.port != new.port
    old.start()
    with Call() as call, Call() as later:
        call.start([old.seat(name, "stays") for name in ("ann", "bob")])
        call.listen(BASELINE_S)
        call.mark("the other slot")
        new.start()
        later.start([new.seat(name, "new") for name in ("cem", "dan")])
        later.listen(BASELINE_S)
        later.mark("both")
        call.listen(SETTLE_S)
        stayed, came = call.report(), later.report()
    tell(f"two slots {named(edge)}, the room that stays", stayed)
    tell(f"two slots {named(edge)}, the new room", came)
    assert (f"{release_of(old)}-r1", f"{release_of(new)}-r1") == (edge.start, edge.end)
    for reports in (stayed, came):
        assert [(report.disconnects, report.reconnects, report.unheard) for report in reports] == [(0, 0, ())] * 2
        assert judge(reports).calls_dropped == 0
