"""`--json` of every command is JSON, and holds what the text says."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from hero_livekit_units.definitions.files import shipped_catalog
from tests.fakes.socket_peer import SocketPeer, encoded
from tests.launches import launch_file

if TYPE_CHECKING:
    from tests.cli.conftest import CommandLine
    from tests.fakes.hero import FakeHero


def data(hlu: CommandLine, *arguments: str, code: int) -> Any:
    """Run a command with `--json`; what it prints, decoded."""
    run = hlu.run(*arguments, "--json")
    assert (run.returncode, run.stderr) == (code, "")
    return json.loads(run.stdout)


def test_units(hlu: CommandLine) -> None:
    """Every definition that ships."""
    rows = data(hlu, "units", code=0)
    assert [(row["name"], row["release"]) for row in rows] == [
        (definition.unit.name, definition.unit.release) for definition in shipped_catalog().definitions
    ]
    assert {key for row in rows for key in row} == {"name", "release", "summary", "blocked", "digest", "file"}


@pytest.mark.parametrize("more", [[], ["--evidence"], ["--socket", "/nowhere/s"]], ids=["plain", "evidence", "socket"])
def test_status(more: list[str], hlu: CommandLine) -> None:
    """The same shape however it is asked; evidence is always in it."""
    report = data(hlu, "status", *more, code=5)
    assert set(report) == {"units", "supervisor", "join_url", "looked_by", "took_ms"}
    assert [unit["verdict"] for unit in report["units"]] == ["unknown", "unknown"]
    assert all(unit["evidence"] for unit in report["units"])
    assert report["looked_by"].startswith("this command, pid ")


def test_plan(hlu: CommandLine, hero: FakeHero) -> None:
    """Refusals with a reason, for either goal."""
    plan = data(hlu, "plan", code=6)
    assert set(plan) == {
        "format",
        "goal",
        "slot",
        "waves",
        "choices",
        "refusals",
        "waits",
        "notes",
        "world",
    }
    assert [refusal["instance"] for refusal in plan["refusals"]] == ["livekit-server@a"]
    assert data(hlu, "plan", "--stop", code=0)["goal"] == "stop"
    assert data(hlu, "plan", "--allow-reconnect", "--allow-drain", code=6) == plan
    assert hero.called


@pytest.mark.parametrize("by", ["file", "stdin"])
def test_a_plan_that_was_made_earlier(by: str, hlu: CommandLine, hero: FakeHero) -> None:
    """What `hlu plan --json` printed can be done later, exactly so: here a stop of nothing."""
    text = hlu.run("plan", "--stop", "--json").stdout
    file = hlu.root / "plan.json"
    file.write_text(text)
    run = hlu.run("ensure", "--plan", str(file) if by == "file" else "-", "--json", stdin=text)
    assert (run.returncode, run.stderr) == (0, "")
    receipt = json.loads(run.stdout)
    assert (receipt["goal"], receipt["converged"], receipt["changed"]) == ("stop", True, False)
    assert "service.stop" not in hero.called


@pytest.mark.usefixtures("hero")
def test_configure(hlu: CommandLine) -> None:
    """The receipt, and no secret in it; the steps are told on the error stream while they happen."""
    run = hlu.run("configure", "--json")
    assert run.returncode == 0
    assert run.stderr.splitlines()[0].startswith("write-files livekit-server@a: ")
    receipt = json.loads(run.stdout)
    assert receipt["converged"] is True
    secrets = launch_file(hlu.places.home / "backend", "backend.env").read_text().splitlines()
    values = [line.partition("=")[2] for line in secrets if line.startswith(("LIVEKIT_API", "BACKEND_SECRET"))]
    assert len(values) == 3
    assert not any(value in run.stdout + run.stderr for value in values)
    again = data(hlu, "configure", code=0)
    assert (again["changed"], again["done"]) == (False, [])


def test_ensure_and_stop_without_a_supervisor(hlu: CommandLine) -> None:
    """A refusal is data too."""
    for arguments in (["ensure"], ["stop"], ["stop", "--allow-drop"]):
        receipt = data(hlu, *arguments, code=5)
        assert (receipt["converged"], receipt["changed"]) == (False, False)
        assert [refusal["instance"] for refusal in receipt["refusals"]] == ["hero_proc"]


def test_history(hlu: CommandLine, hero: FakeHero) -> None:
    """A list of receipts, empty where nothing was done; a line that is none is data too."""
    assert data(hlu, "history", code=0) == []
    hero.lines.append({"src": "hero_livekit.ensure", "content": '{"goal": NaN}'})
    assert data(hlu, "history", code=0) == [{"at_s": 1.0, "unreadable": '{"goal": NaN}'}]


def test_install(hlu: CommandLine) -> None:
    """What was used, and from where."""
    program = hlu.livekit_server()
    run = hlu.run("install", "--livekit-server", str(program), "--json")
    assert run.returncode == 0
    (row,) = json.loads(run.stdout)
    assert (row["path"], row["road"], row["record"]) == (str(program), "named", "livekit-server version 1.13.5")
    assert len(row["sha256"]) == 64


def test_hero_proc_without_one(hlu: CommandLine) -> None:
    """`status` and `stop` of nobody."""
    socket = str(hlu.places.socket("hero_proc"))
    assert data(hlu, "hero-proc", "status", code=5) == {"running": False, "socket": socket}
    assert data(hlu, "hero-proc", "stop", code=0) == {"stopped": False}


@pytest.mark.usefixtures("hero")
def test_hero_proc_of_another_kind(hlu: CommandLine) -> None:
    """A hero_proc that is not the embedded one is left alone by `start`."""
    socket = str(hlu.places.socket("hero_proc"))
    found = data(hlu, "hero-proc", "status", code=0)
    assert (found["running"], found["pid"], found["socket"]) == (True, 77, socket)
    assert data(hlu, "hero-proc", "start", code=0)["started"] is False


@pytest.mark.parametrize(
    "result",
    [None, [], "fine", {}, {"units": []}, {"supervisor": {"verdict": "x"}, "units": [1]}],
    ids=str,
)
def test_a_control_plane_that_is_not_understood(result: Any, hlu: CommandLine) -> None:
    """A plane of another release is no help: `hlu status` looks itself, and prints one report."""
    path = hlu.places.socket("hero_livekit")
    path.parent.mkdir(parents=True)
    with SocketPeer(path, lambda _: iter([encoded({"jsonrpc": "2.0", "id": 0, "result": result})])) as plane:
        run = hlu.run("status", "--json")
        assert [request["method"] for request in plane.requests] == ["livekitservice.status"]
    assert (run.returncode, run.stderr) == (5, "")
    assert json.loads(run.stdout)["looked_by"].startswith("this command, pid ")


def test_a_report_that_only_the_text_cannot_show(hlu: CommandLine) -> None:
    """As above, where half of the report is there: no half a table is printed."""
    path = hlu.places.socket("hero_livekit")
    path.parent.mkdir(parents=True)
    half = {"supervisor": {"verdict": "healthy"}, "units": [{"verdict": "healthy"}]}
    with SocketPeer(path, lambda _: iter([encoded({"jsonrpc": "2.0", "id": 0, "result": half})])):
        run = hlu.run("status")
    assert (run.returncode, run.stderr) == (5, "")
    assert run.stdout.count("VERDICT") == 1
    assert "seen by     this command, pid " in run.stdout
