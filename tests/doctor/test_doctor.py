"""`hlu doctor` on real supervisors: the embedded hero_proc with and without faults, a real zinit, and others."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from hero_livekit_units.doctor import run as doctor_run
from hero_livekit_units.doctor.report import FILE, kept
from hero_livekit_units.doctor.run import doctor
from hero_livekit_units.doctor.twin import NoTwin, Twin
from hero_livekit_units.doctor.ward import NAMES, UNIT
from hero_livekit_units.embedded.quirks import Quirk
from hero_livekit_units.errors import ExaminationFailed, RegistryLacks, RegistryRefused, RegistryUnavailable
from hero_livekit_units.media import Media
from hero_livekit_units.model.ability import Ability, lack
from hero_livekit_units.model.observed import ProcessId
from hero_livekit_units.places import find_places
from hero_livekit_units.registry.choice import registry_at
from tests.embedded.running import ROOT, Daemon, until
from tests.fakes.other_heroes import FlatHero
from tests.strategies import ANSWERING
from tests.zinit_daemon import ZinitDaemon

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hero_livekit_units.doctor.report import Report

pytestmark = pytest.mark.servers

LONGEST_S = 20.0


@pytest.fixture
def daemon(short_folder: Path, request: pytest.FixtureRequest) -> Iterator[Daemon]:
    """An embedded hero_proc, with faults where a test names some."""
    found = Daemon(short_folder)
    found.arguments = ("--quirks", ",".join(request.param)) if hasattr(request, "param") else ()
    found.process = found.launch()
    until(lambda: os.path.exists(found.socket), "it listens")  # noqa: PTH110
    yield found
    found.clean_up()


def examined(socket: str, home: Path, *, again: bool = False) -> Report:
    """What the doctor finds."""
    began = time.monotonic()
    report = doctor(registry_at(socket, home), home, again=again)
    assert time.monotonic() - began < LONGEST_S
    assert of_ours() == []
    return report


def of_ours() -> list[str]:
    """What an examination has left on this host: processes of its units and supervisors, folders of its own."""
    left = [str(path) for path in Path("/tmp").glob("hlu-doctor-*")]  # noqa: S108  it is looked at, not made
    for entry in Path("/proc").iterdir():
        try:
            command = entry.joinpath("cmdline").read_bytes() if entry.name.isdecimal() else b""
        except OSError:
            continue
        left += [f"{entry.name}: {command!r}"] if b"/hlu-doctor-" in command else []
    return left


def state(daemon: Daemon) -> tuple[Any, ...]:
    """All that a hero_proc has, and all its files but those that it writes by itself."""
    until(lambda: daemon.call("unit.plugins")["state"] == "loaded", "what its plugins give is there")
    own = ("hero_proc.db", "plugins.json")
    files = sorted(str(path) for path in daemon.state.rglob("*") if not path.name.startswith(own))
    actions = daemon.call("action.list", context="hero_livekit")
    return daemon.call("service.list"), actions, daemon.call("logs.get", src_prefix="", lines=100), files


def test_the_embedded_hero_proc_can_do_it_all(daemon: Daemon, tmp_path: Path) -> None:
    """In a few seconds, with nothing left behind; once, for as long as it lives."""
    daemon.keep("s", "sleep 1000")
    pid = daemon.job("s")["pid"]
    before = state(daemon)
    report = examined(daemon.socket, tmp_path)
    assert [(one.ability, one.says) for one in report.findings if one.holds is not True] == []
    assert [one.ability for one in report.findings] == list(Ability)
    assert state(daemon) == before
    assert daemon.job("s")["pid"] == pid
    assert examined(daemon.socket, tmp_path) == report
    assert examined(daemon.socket, tmp_path, again=True).at_s > report.at_s
    daemon.restart()
    supervisor = registry_at(daemon.socket, tmp_path).survey([]).supervisor
    assert kept(tmp_path, supervisor) is None, "what was seen of one process is not said of another"


FAULTY = [Quirk.GREEN_WHILE_DEAD, Quirk.RED_WHILE_ALIVE, Quirk.SET_RESTARTS, Quirk.STOP_WINDOW]
MISSED = {Ability.NOTICES_DEATH, Ability.ADOPTS, Ability.SET_LEAVES_ALONE, Ability.KEEPS_WINDOW}


@pytest.mark.parametrize("daemon", [FAULTY], indirect=True)
def test_the_faults_of_real_supervisors_are_found(daemon: Daemon, short_folder: Path) -> None:
    """Each by its name, and plans reckon with them from then on."""
    root = {"PATH_ROOT": str(short_folder)}
    media = Media.connect(socket=daemon.socket, places=find_places(root))
    assert media.status().supervisor.lacks is None
    report = media.doctor()
    assert report.lacks == MISSED
    assert media.status().supervisor.lacks == frozenset(MISSED)
    assert of_ours() == []
    until(lambda: UNIT not in json.dumps(daemon.call("service.list")), "its units are gone")


@pytest.mark.parametrize("daemon", [[Quirk.ERRORS]], indirect=True)
@pytest.mark.usefixtures("daemon")
def test_one_that_answers_with_errors_is_not_examined(daemon: Daemon, tmp_path: Path) -> None:
    """Its own word is told."""
    with pytest.raises(RegistryUnavailable, match="database is locked"):
        doctor(registry_at(daemon.socket, tmp_path), tmp_path)
    assert not (tmp_path / FILE).exists()


def test_what_another_examination_left_is_taken_out(daemon: Daemon, short_folder: Path, tmp_path: Path) -> None:
    """It was killed in the midst of it."""
    code = (
        "from tests.doctor.test_doctor import *; doctor(registry_at(sys.argv[1], Path(sys.argv[2])), Path(sys.argv[2]))"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", code, daemon.socket, str(tmp_path)],
        env=os.environ | {"TMPDIR": str(short_folder), "PYTHONPATH": str(ROOT)},
    )
    until(lambda: {row["name"] for row in daemon.call("service.list")} >= {"hero_livekit_hlu_doctor_short"}, "it is on")
    until(lambda: daemon.state_of("hero_livekit_hlu_doctor_short") == "running", "its units run")
    other.kill()
    other.wait()
    before = {row["name"] for row in daemon.call("service.list") if UNIT.replace("-", "_") not in row["name"]}
    report = examined(daemon.socket, tmp_path)
    assert report.lacks == frozenset()
    assert {row["name"] for row in daemon.call("service.list")} == before


@pytest.mark.skipif(os.geteuid() != 0, reason="a /run of its own takes root")
def test_a_real_zinit(short_folder: Path) -> None:
    """It does all but find again what it had, and plans say so; the one at hand has nothing to do with it."""
    socket = short_folder / "var" / "zinit.sock"
    zinit = ZinitDaemon(short_folder, socket, {"PATH": os.environ["PATH"], "HOME": str(short_folder)})
    zinit.start()
    media = Media.connect(socket=str(socket), places=find_places({"PATH_ROOT": str(short_folder)}))
    try:
        report = examined(str(socket), media.places.home)
        assert zinit.call("service.list") == []
        assert (report.kind, report.version, report.pid) == ("zinit", "0.3.9", zinit.pid)
        assert lack(Ability.ADOPTS) in [note.text for note in media.plan().notes]
    finally:
        zinit.end()
    assert report.lacks == {Ability.ADOPTS}
    assert [one.ability for one in report.findings] == list(Ability)
    assert all(one.says.startswith("at a second one: ") for one in report.findings)


def test_one_that_cannot_delete_is_not_begun_with(short_folder: Path, tmp_path: Path) -> None:
    """A unit would be left behind."""
    with FlatHero(short_folder / "s") as hero:
        with pytest.raises(RegistryLacks, match="delete"):
            doctor(registry_at(hero.path, tmp_path), tmp_path)
        assert (hero.services, hero.actions) == ({}, {})


@pytest.mark.parametrize(
    ("kind", "process", "because"),
    [
        ("hero_proc", ProcessId(os.getpid(), 1), "how another hero_proc is started is not known"),
        ("embedded", None, "its process cannot be seen"),
        ("embedded", ProcessId(os.getpid(), 1), "its command line has no --socket"),
        ("embedded", ProcessId(2**22 + 1, 1), "how pid 4194305 was started cannot be read"),
    ],
)
def test_why_there_can_be_no_second_one(kind: str, process: ProcessId | None, because: str, short_folder: Path) -> None:
    """It is said, and nothing is concluded."""
    with pytest.raises(NoTwin, match=because):
        Twin(attrs.evolve(ANSWERING, kind=kind, process=process), short_folder)


def test_a_second_one_that_does_not_come_up_is_told(daemon: Daemon, short_folder: Path) -> None:
    """With its last word."""
    twin = Twin(registry_at(daemon.socket, short_folder).survey([]).supervisor, short_folder / "twin")
    (short_folder / "twin").mkdir()
    (short_folder / "twin" / "state").write_text("no folder")
    with pytest.raises(NoTwin, match=r"a second one does not answer \(.*state"):
        twin.start()
    twin.close()


def test_without_a_second_one_adoption_is_not_looked_at(
    daemon: Daemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That is no lack, and no proof either."""

    def none(*_: object) -> None:
        raise NoTwin("this is a test")

    monkeypatch.setattr(doctor_run, "Twin", none)
    report = examined(daemon.socket, tmp_path)
    last = report.findings[-1]
    assert (last.ability, last.holds, last.says) == (Ability.ADOPTS, None, "not looked at: this is a test")
    assert report.lacks == frozenset()


def test_a_supervisor_that_changes_meanwhile_is_not_concluded_of(
    daemon: Daemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who was examined is not who answers now."""
    monkeypatch.setattr(doctor_run, "_findings", lambda *_: daemon.restart())
    with pytest.raises(ExaminationFailed, match="another supervisor answers"):
        doctor(registry_at(daemon.socket, tmp_path), tmp_path)
    assert not (tmp_path / FILE).exists()


def test_a_refusal_leaves_nothing(daemon: Daemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever was begun is taken out."""
    before = state(daemon)

    def refused(*_: object) -> None:
        raise RegistryRefused("service.start", "not today", code=0)

    monkeypatch.setattr(doctor_run, "OtherProcess", refused)
    with pytest.raises(RegistryRefused, match="not today"):
        doctor(registry_at(daemon.socket, tmp_path), tmp_path)
    assert state(daemon) == before
    assert of_ours() == []


def test_the_names_are_its_own() -> None:
    """No unit of anybody else is taken for one of an examination."""
    assert all(name.startswith(f"{UNIT}-") for name in NAMES)
