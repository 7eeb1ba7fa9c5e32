"""Programs that are on this host already: one of the system may be newer, never older, than the definition says."""

from __future__ import annotations

import shutil
from pathlib import Path

import attrs
import pytest

from hero_livekit_units.definitions.files import shipped_catalog
from hero_livekit_units.definitions.resolve import binary_of
from hero_livekit_units.errors import ProvisionFailed
from hero_livekit_units.livekit.onhost import check_version
from hero_livekit_units.livekit.provision import provision
from hero_livekit_units.livekit.roads import Host, Limits, RoadClosed

HAPROXY = """HAProxy version 2.6.12-1+deb12u4 2026/10/17 - https://haproxy.org/
Status: long-term supported branch - will stop receiving fixes around Q2 2027.
Running on: Linux 6.1.0-28-amd64 #1 SMP
"""
REDIS = "Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=ae4d7c971a948f0"


def program(folder: Path, prints: str, *, name: str = "tool", status: int = 0) -> Path:
    """A program that prints a text and ends with a status."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "says.txt").write_text(prints)
    path = folder / name
    path.write_text(f'#!/bin/sh\ncat "{folder}/says.txt"\nexit {status}\n')
    path.chmod(0o755)
    return path


def check(path: Path, least: str) -> str:
    """What the program prints, if it is new enough."""
    binary = attrs.evolve(binary_of(shipped_catalog().find("livekit-front")), version_at_least=least)
    return check_version(path, binary, {"PATH": "/usr/bin:/bin"}, limits=Limits())


@pytest.mark.parametrize(
    ("prints", "least"),
    [
        pytest.param(HAPROXY, "2.6", id="haproxy-a-patch-newer"),
        pytest.param(HAPROXY, "2.6.12", id="haproxy-the-same"),
        pytest.param(HAPROXY, "1.9.9", id="haproxy-much-newer"),
        pytest.param(REDIS, "6.0", id="redis-newer"),
        pytest.param("HAProxy version 2.10.0", "2.9", id="as-numbers-not-as-letters"),
        pytest.param("HAProxy version 3.0-dev1-abc", "2.6", id="unfinished"),
        pytest.param("tool 6.0", "6.0.0", id="zeros-at-the-end-mean-nothing"),
    ],
)
def test_new_enough(prints: str, least: str, tmp_path: Path) -> None:
    """The first dotted number counts: dates, builds and libraries come after it."""
    assert check(program(tmp_path, prints), least) == prints.strip()


@pytest.mark.parametrize(
    ("prints", "least", "reason"),
    [
        pytest.param(HAPROXY, "2.8", "is 2.6.12, older than 2.8", id="haproxy"),
        pytest.param(HAPROXY, "2.6.13", "is 2.6.12, older than 2.6.13", id="by-a-patch"),
        pytest.param(REDIS, "7.2", "is 7.0.15, older than 7.2", id="redis"),
        pytest.param("HAProxy version 2.9.1", "2.10", "is 2.9.1, older than 2.10", id="as-numbers-not-as-letters"),
        pytest.param("tool of 2026", "1.0", "prints no version: 'tool of 2026'", id="no-dotted-number"),
        pytest.param("", "1.0", "prints no version: ''", id="nothing"),
    ],
)
def test_too_old(prints: str, least: str, reason: str, tmp_path: Path) -> None:
    """The reason says which program, what it is, and what is needed."""
    path = program(tmp_path, prints)
    with pytest.raises(RoadClosed) as caught:
        check(path, least)
    assert str(caught.value) == f"{path} {reason}"


def test_a_version_and_a_failure(tmp_path: Path) -> None:
    """A program that prints the right thing and fails is not right."""
    path = program(tmp_path, HAPROXY, status=3)
    with pytest.raises(RoadClosed, match="prints its version, but ends with status 3"):
        check(path, "2.6")


@pytest.mark.parametrize(("unit", "name"), [("livekit-front", "haproxy"), ("livekit-redis", "redis-server")])
def test_the_hint_names_the_package(unit: str, name: str, tmp_path: Path) -> None:
    """Too old, or not there at all: the package of the system is what helps, and how new it must be."""
    binary = attrs.evolve(binary_of(shipped_catalog().find(unit)), version_at_least="999.0")
    old = program(tmp_path / "old", f"{name} 1.0.2", name=name)
    host = attrs.evolve(Host.current(), search_path=str(old.parent))
    for wanted, reason in (
        (binary, f"{old} is 1.0.2, older than 999.0"),
        (attrs.evolve(binary, program="no-such"), "no-such is not on"),
    ):
        with pytest.raises(ProvisionFailed) as caught:
            provision(wanted, "999.0", tmp_path / "bin", host=host)
        assert reason in str(caught.value)
        assert caught.value.hint == f"install {name} 999.0 or newer, the package of your system"


def test_an_older_one_first_on_the_search_path_is_passed_over(tmp_path: Path) -> None:
    """The first that is right is taken, and not merely the first."""
    program(tmp_path / "old", "HAProxy version 1.8.1", name="haproxy")
    newer = program(tmp_path / "new", "HAProxy version 2.9.0", name="haproxy")
    host = attrs.evolve(Host.current(), search_path=f"{tmp_path / 'old'}:relative::{tmp_path / 'new'}")
    found = provision(binary_of(shipped_catalog().find("livekit-front")), "2.6", tmp_path / "bin", host=host)
    assert (found.path, found.road, found.record) == (newer, "path", "HAProxy version 2.9.0")


@pytest.mark.parametrize(("unit", "name"), [("livekit-front", "haproxy"), ("livekit-redis", "redis-server")])
def test_the_real_one(unit: str, name: str, tmp_path: Path) -> None:
    """What the system's package really prints is understood."""
    path = shutil.which(name, path="/usr/local/sbin:/usr/sbin:/usr/bin")
    assert path, f"{name} is not installed, see tests/run"
    binary = binary_of(shipped_catalog().find(unit))
    found = provision(binary, binary.version_at_least, tmp_path / "bin", named=Path(path))
    assert found.path == Path(path)
    with pytest.raises(ProvisionFailed, match="older than 999"):
        provision(attrs.evolve(binary, version_at_least="999.0"), "999.0", tmp_path / "bin", named=Path(path))
