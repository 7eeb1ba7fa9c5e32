"""What `hlu verify` does not begin, with as little of a host as that needs."""

from __future__ import annotations

import os
import socket
import sys
from typing import TYPE_CHECKING

import attrs
import pytest

from hero_livekit_units.cli import main as composition_root
from hero_livekit_units.errors import VerifyRefused
from hero_livekit_units.media import Media
from hero_livekit_units.model.observed import CallsSeen, Observed, ProcessId, ProcessSeen
from hero_livekit_units.places import Places, find_places
from hero_livekit_units.procfs import start_time_of
from hero_livekit_units.verify.daemons import OwnPlane, RunningPlane, Supervisor, plane_for, server_of
from hero_livekit_units.verify.host import people, require_no_calls
from tests.fakes.hero import FakeHero

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def places(short_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Places:
    """A host of its own, for `hlu` in this process too."""
    for name in ("PATH_VAR", "PATH_SOCKET", "HERO_SOCKET_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH_ROOT", str(short_folder))
    found = find_places()
    found.socket("hero_proc").parent.mkdir(parents=True)
    return found


@pytest.fixture
def hero(places: Places) -> Iterator[FakeHero]:
    """A hero_proc that runs nothing."""
    with FakeHero(places.socket("hero_proc")) as serving:
        yield serving


def seen(places: Places, calls: CallsSeen | None) -> Observed:
    """The media with a count of their own making."""
    observed = Media.connect(places=places).status()
    process = ProcessSeen(ProcessId(7, 70), suspended=False, age_s=9.0, command="livekit-server")
    unit = attrs.evolve(observed.instances[0], process=process, calls=calls)
    return attrs.evolve(observed, instances=(unit, *observed.instances[1:]))


@pytest.mark.parametrize("library", ["numpy", "livekit"])
def test_without_the_extra(library: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Said at once, and how to have it."""
    monkeypatch.setitem(sys.modules, library, None)
    monkeypatch.delitem(sys.modules, f"{library}.rtc", raising=False)
    assert composition_root.main(["verify"]) == 1
    told = capsys.readouterr().err
    assert told.startswith(f"cannot measure calls: {library}")
    assert "hint: pip install 'hero-livekit-units[calls]'" in told


@pytest.mark.usefixtures("places")
def test_without_a_supervisor(capsys: pytest.CaptureFixture[str]) -> None:
    """As every command that needs one."""
    assert composition_root.main(["verify"]) == 5
    assert "`hlu hero-proc start`, then `hlu ensure`" in capsys.readouterr().err


@pytest.mark.usefixtures("hero")
def test_without_units(capsys: pytest.CaptureFixture[str]) -> None:
    """It starts none by itself."""
    assert composition_root.main(["verify", "--crash-control-plane", "1"]) == 6
    told = capsys.readouterr().err
    assert told.startswith("cannot verify calls: livekit-server@a is stopped (")
    assert "hint: `hlu ensure` first" in told


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["--participants", "1"], 2, "1 is not in the range"),
        (["--rooms", "0"], 2, "0 is not in the range"),
        (["--baseline", "1"], 2, "1.0 is not in the range"),
        (["--crash-supervisor", "-1"], 2, "-1 is not in the range"),
        (["--svg", "/"], 2, "is a directory"),
        (["--upgrade", "0.0.1"], 4, "cannot find release '0.0.1' of livekit-server"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
@pytest.mark.usefixtures("places")
def test_what_makes_no_sense(arguments: list[str], code: int, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Before anything is looked at."""
    assert composition_root.main(["verify", *arguments]) == code
    assert told in capsys.readouterr().err


def test_beside_calls(places: Places) -> None:
    """Somebody is in a call, or nobody can tell."""
    busy = seen(places, CallsSeen(1, 3, "debug_rooms on port 6790"))
    with pytest.raises(VerifyRefused, match=r"^cannot verify beside calls: on livekit-server@a: 3 people in 1 room$"):
        require_no_calls(busy)
    assert people(busy) == 3
    unknown = seen(places, CallsSeen(None, None, "nothing to ask"))
    with pytest.raises(VerifyRefused, match=r"who is on livekit-server@a is unknown \(nothing to ask\)") as caught:
        require_no_calls(unknown)
    assert "--beside-calls" in caught.value.hint
    assert people(unknown) is None
    idle = seen(places, CallsSeen(1, 0, "debug_rooms on port 6790"))
    require_no_calls(idle)
    assert people(idle) == 0


def test_a_control_plane_that_runs_already(places: Places) -> None:
    """It is named by its pid, and killed only where the user says that it comes back."""
    assert server_of(str(places.socket("hero_livekit"))) is None
    assert isinstance(plane_for(places, None, running=False), OwnPlane)
    assert isinstance(plane_for(places, None, running=True), OwnPlane)
    path = places.socket("hero_livekit")
    path.parent.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
        listener.listen()
        with pytest.raises(VerifyRefused, match=f"pid {os.getpid()} runs") as caught:
            plane_for(places, None, running=False)
        assert "--kill-running-plane" in caught.value.hint
        assert isinstance(plane_for(places, None, running=True), RunningPlane)


def test_a_supervisor_that_cannot_be_started_again(places: Places, hero: FakeHero) -> None:
    """Another kind, one that is elsewhere, one that keeps its state elsewhere: none is killed."""
    supervisor = Supervisor(Media.connect(places=places))
    with pytest.raises(VerifyRefused, match="it is a hero_proc and not the embedded one"):
        supervisor.require_embedded()
    own = ProcessId(os.getpid(), start_time_of(os.getpid()) or 0)
    hero.methods["system.ping"] = lambda _: {
        "version": "1",
        "kind": "embedded",
        "pid": own.pid,
        "pid_start": own.start_time,
    }
    with pytest.raises(VerifyRefused, match="it keeps its state elsewhere"):
        supervisor.require_embedded()
    hero.methods["system.ping"] = lambda _: {"version": "1", "kind": "embedded", "pid": own.pid, "pid_start": 1}
    with pytest.raises(VerifyRefused, match=f"pid {own.pid} cannot be seen"):
        supervisor.require_embedded()
    supervisor.bring_back()  # nothing was killed, so nothing is started


def test_a_supervisor_elsewhere(places: Places, short_folder: Path) -> None:
    """By --socket."""
    with FakeHero(short_folder / "other") as other:
        media = Media.connect(places=places, socket=other.path)
        with pytest.raises(VerifyRefused, match="is not where `hlu hero-proc start` would start one"):
            Supervisor(media).require_embedded()
