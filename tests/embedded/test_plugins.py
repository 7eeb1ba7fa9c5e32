"""Plugins on the wire: what is installed is listed, what is broken is named, and targets are there to be started."""

from __future__ import annotations

import asyncio
import json
import sys
import urllib.request
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from hero_livekit_units.definitions.files import shipped_catalog
from hero_livekit_units.embedded.daemon import openrpc
from hero_livekit_units.embedded.health import Health
from hero_livekit_units.embedded.plugins import Plugins
from hero_livekit_units.embedded.store import Store
from hero_livekit_units.embedded.supervisor import Supervisor
from hero_livekit_units.model.launch import Port, Probe
from hero_livekit_units.model.unit import ProbeKind, ProbeLevel, Protocol
from hero_livekit_units.plugin import ask
from tests.embedded.running import ROOT, lives, until
from tests.fakes.plugins import BROKEN, environment_with_example, search_path, write_broken_plugins, write_plugin

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hero_livekit_units.embedded.specs import Specs
    from tests.embedded.running import Daemon


def loaded(daemon: Daemon) -> dict[str, Any]:
    """What `unit.plugins` says once the load has ended."""
    found: dict[str, Any] = until(lambda: _ended(daemon.call("unit.plugins")), "the plugins are loaded")
    return found


def _ended(found: dict[str, Any]) -> dict[str, Any] | None:
    return None if found["state"] == "loading" else found


# -- on the wire


KNOWN = f"known units: {', '.join(shipped_catalog().units)}"


@pytest.mark.servers
def test_our_own_units(daemon: Daemon) -> None:
    """With the keys that the document promises."""
    schemas = openrpc("1")["components"]["schemas"]
    found = loaded(daemon)
    rows = daemon.call("unit.list")
    assert [(row["name"], row["plugin"]) for row in rows] == [
        (unit, "hero_livekit") for unit in shipped_catalog().units
    ]
    whole = daemon.call("unit.get", name="livekit-server")
    assert set(whole) == set(schemas["UnitDefinition"]["properties"])
    assert (whole["release"], whole["definition"]["unit"]["name"]) == (rows[2]["release"], "livekit-server")
    assert daemon.call("unit.get", name="livekit-server", release=whole["release"]) == whole
    history = daemon.call("unit.history", name="livekit-server")
    assert len(history) == rows[2]["releases"]
    assert all(set(row) == set(schemas["UnitRelease"]["properties"]) for row in history)
    assert (found["state"], found["error"], found["loaded_ms"] > 0) == ("loaded", None, True)
    assert all(set(plugin) == set(schemas["Plugin"]["properties"]) for plugin in found["plugins"])
    assert daemon.call("service.status", name="hero_livekit_media")["state"] == "inactive"


@pytest.mark.servers
@pytest.mark.parametrize(
    ("method", "params", "message", "hint"),
    [
        ("unit.get", {"name": "x"}, "unit not found: x", KNOWN),
        ("unit.history", {"name": "x"}, "unit not found: x", KNOWN),
        (
            "unit.get",
            {"name": "lk-backend", "release": "7-r7"},
            "release not found: lk-backend 7-r7",
            "known releases: ",
        ),
        ("unit.get", {"name": 5}, "name must be a string without NUL", ""),
        ("unit.get", {"name": "lk-backend", "release": 5}, "release must be a string without NUL", ""),
    ],
    ids=["get", "history", "release", "name", "release type"],
)
def test_what_is_not_there(daemon: Daemon, method: str, params: dict[str, Any], message: str, hint: str) -> None:
    """The refusal says what there is."""
    refused = daemon.refusal(method, **params)
    assert refused.cause == message
    assert refused.data["hint"].startswith(hint)


@pytest.mark.servers
@pytest.mark.timeout(180)
def test_a_plugin_of_a_third_party(resting: Daemon, tmp_path: Path, free_port: Callable[[], int]) -> None:
    """The example, installed beside plugins that are broken in every way: its unit is listed, starts and answers."""
    broken = tmp_path / "broken"
    broken.mkdir()
    write_broken_plugins(broken)
    port = free_port()
    resting.python = str(environment_with_example(tmp_path / "env"))
    resting.environment = search_path(broken, ROOT) | {"STATUS_PAGE_PORT": str(port)}
    resting.start()

    found = loaded(resting)
    assert found["state"] == "loaded"
    errors = {plugin["name"]: plugin["error"] for plugin in found["plugins"]}
    assert {name for name, error in errors.items() if error} == set(BROKEN) | {"absent"}
    (ours,) = [plugin for plugin in found["plugins"] if plugin["name"] == "status_page"]
    assert (ours["distribution"], ours["version"], ours["units"]) == ("status-page", "1.0.0", ["status-page"])
    assert ours["targets"] == [{"name": "status_page", "error": None}]
    assert "RuntimeError" in resting.log.read_text()

    rows = {row["name"]: row for row in resting.call("unit.list")}
    assert set(rows) == {*shipped_catalog().units, "status-page"}
    assert (rows["status-page"]["release"], rows["status-page"]["releases"]) == ("1.0.0-r2", 2)
    history = resting.call("unit.history", name="status-page")
    assert [(row["release"], list(row["upgrades_from"])) for row in history] == [
        ("1.0.0-r1", []),
        ("1.0.0-r2", ["1.0.0-r1"]),
    ]
    whole = resting.call("unit.get", name="status-page")
    assert whole["file"].startswith(str(tmp_path / "env"))
    section = whole["definition"]["probes"]["ready"]

    answer = resting.call("service.start", name="status_page", timeout_ms=15_000)
    assert answer["ok"], resting.call("service.status", name="status_page")
    at = Port("http", port, Protocol.TCP, "127.0.0.1")
    probe = Probe(
        "ready", ProbeKind(section["kind"]), ProbeLevel(section["level"]), at, section["path"], 200, 5.0, 2.0, 3
    )
    until(lambda: ask(probe).ok, "the page answers its probe")
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/") as page:
        assert f"all is well on port {port}" in page.read().decode()
    pid = resting.job("status_page", "status-page")["pid"]
    environment = environment_of(pid)
    assert environment["HERO_PROC_SOCKET"] == resting.socket
    assert environment["HLU_RELEASE"] == "1.0.0-r2"

    resting.restart()
    loaded(resting)
    assert resting.job("status_page", "status-page")["pid"] == pid


def environment_of(pid: int) -> dict[str, str]:
    """The environment of a process."""
    text = Path(f"/proc/{pid}/environ").read_text(encoding="utf-8")
    return dict(line.split("=", 1) for line in text.split("\0") if "=" in line)


@pytest.mark.servers
def test_nobody_waits_for_a_plugin_that_hangs(resting: Daemon, tmp_path: Path) -> None:
    """The daemon answers at once, with the units of the last load while this one goes on; its end ends the load."""
    resting.start()
    before = loaded(resting)
    units = resting.call("unit.list")
    resting.crash()

    mark = tmp_path / "pid"
    body = f"import os, pathlib, time; pathlib.Path({str(mark)!r}).write_text(str(os.getpid())); time.sleep(1000)"
    write_plugin(tmp_path, "hangs", body)
    resting.environment = search_path(tmp_path, ROOT)
    resting.start()
    pid = until(lambda: mark.exists() and mark.read_text(), "the plugin hangs")
    assert resting.call("system.ping")["pid"] == resting.pid
    assert resting.call("unit.list") == units
    found = resting.call("unit.plugins")
    assert (found["state"], found["loaded_ms"], found["plugins"]) == (
        "loading",
        before["loaded_ms"],
        before["plugins"],
    )
    resting.end()
    until(lambda: not lives(int(pid)), "the plugin is gone with the daemon")


@pytest.mark.servers
def test_a_start_waits_for_the_target(resting: Daemon) -> None:
    """Whoever starts a target right after the first start of the daemon is not told that there is none."""
    resting.start()
    resting.call("service.start", name="hero_livekit_media")
    assert resting.call("service.get", name="hero_livekit_media")["actions"] == ["configure"]
    assert resting.refusal("service.start", name="nobody").cause == "service not found: nobody"


# -- the keeper of it, with loaders of a line


class Kept:
    """Plugins over a real store, with a loader that prints what it is told to."""

    def __init__(self, folder: Path, store: Store) -> None:
        self.folder = folder
        self.specs: Specs = Supervisor(store, str(folder), Health()).specs

    def load(self, code: str, *, within_s: float = 20.0) -> tuple[dict[str, Any], dict[str, Any]]:
        """Load with a loader that runs this code: the state and what is contributed."""
        return self.load_by([sys.executable, "-S", "-E", "-c", code], within_s=within_s)

    def load_by(self, loader: list[str], *, within_s: float = 20.0) -> tuple[dict[str, Any], dict[str, Any]]:
        """Load with this loader."""

        async def go() -> tuple[dict[str, Any], dict[str, Any]]:
            plugins = Plugins(loader, str(self.folder), self.specs, within_s=within_s)
            plugins.start()
            contributed = await plugins.contributed()
            plugins.close()
            return plugins.state(), contributed

        return asyncio.run(go())

    def offer(self, *targets: dict[str, Any], plugin: str = "p") -> list[str | None]:
        """Load a plugin with these targets; what is said about each."""
        found = {"plugins": [{"name": plugin, "error": None, "targets": list(targets)}], "units": []}
        state, contributed = self.load(f"print({json.dumps(json.dumps(found))})")
        assert state["state"] == "loaded", state
        return [target["error"] for target in contributed["plugins"][0]["targets"]]


@contextmanager
def keeping(folder: Path) -> Iterator[Kept]:
    """A store in a folder."""
    with closing(Store.open(str(folder / "db"))) as store:
        yield Kept(folder, store)


def target(name: str = "t", script: str = "true", **service: Any) -> dict[str, Any]:
    """A target with one action `a`."""
    return {"service": {"name": name, "actions": ["a"]} | service, "actions": [{"name": "a", "script": script}]}


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("import sys; sys.exit(3)", "the loader did not succeed: exit status 3"),
        ("import os; os.kill(os.getpid(), 11)", "the loader did not succeed: killed by signal 11 (SIGSEGV)"),
        ("print('what')", "what the loader said cannot be used: JSONDecodeError"),
        ("print('{}')", "what the loader said cannot be used: ValueError: it does not hold plugins and units"),
        ('print(\'{"plugins": [5], "units": []}\')', "what the loader said cannot be used: TypeError"),
        ("import time; time.sleep(1000)", "the loader took longer than 0.5 s"),
    ],
    ids=["exits", "crashes", "garbage", "empty", "no plugin", "hangs"],
)
def test_where_loading_fails_the_last_good_result_stays(tmp_path: Path, code: str, error: str) -> None:
    """It is marked as such, with the reason; and the next good load takes its place."""
    with keeping(tmp_path) as kept:
        assert kept.load(code, within_s=0.5)[1] == {"plugins": [], "units": [], "loaded_ms": None}
        kept.offer(target())
        good = kept.load_by(["/nonexistent"])[1]
        state, contributed = kept.load(code, within_s=0.5)
        assert state["state"] == "failed"
        assert state["error"].startswith(error)
        assert contributed == good
        assert kept.specs.knows("t")
        assert kept.offer() == []


def test_a_loader_that_cannot_be_started(tmp_path: Path) -> None:
    """Is a failed load, not a failed daemon."""
    with keeping(tmp_path) as kept:
        state, _ = kept.load_by(["/nonexistent"])
        assert state == {
            "state": "failed",
            "error": "cannot start the loader: [Errno 2] No such file or directory: '/nonexistent'",
        }


def test_a_damaged_file_is_told(tmp_path: Path) -> None:
    """What cannot be read is not shown as if nothing were installed."""
    with keeping(tmp_path) as kept:
        (tmp_path / "plugins.json").write_text("{")
        state, contributed = kept.load_by(["/nonexistent"])
        assert (state["state"], contributed["units"]) == ("failed", [])


def test_a_target_is_registered_once(tmp_path: Path) -> None:
    """Not wanted at first, whatever the plugin says; then as it was, however often it is loaded or changed."""
    with keeping(tmp_path) as kept:
        assert kept.offer(target(status="start")) == [None]
        assert (kept.specs.service("t").wanted, kept.specs.service("t").context) == (False, "p")
        kept.specs.want("t", wanted=True, held=[])
        assert kept.offer(target(status="start")) == [None]
        assert kept.offer(target("t", "false", description="changed")) == [None]
        assert kept.specs.service("t").wanted
        assert kept.specs.service("t").spec.description == "changed"
        assert kept.specs.action("p", "a").script == "false"
        assert kept.offer() == []
        assert kept.specs.service("t").wanted


def test_plugins_do_not_meet(tmp_path: Path) -> None:
    """A service of somebody else is not taken over; actions of one name are each plugin's own."""
    with keeping(tmp_path) as kept:
        kept.offer(target())
        taken = "service t is there already, and is not of this plugin"
        assert kept.offer(target("t", "false"), target("u", "false"), plugin="q") == [taken, None]
        assert kept.specs.service("t").context == "p"
        assert (kept.specs.action("p", "a").script, kept.specs.action("q", "a").script) == ("true", "false")


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        (target() | {"actions": [{"name": "a"}]}, "action.script is missing"),
        (target(colour=1), "service.colour is an unknown key"),
        (target(actions=["a", "b"]), "service t does not name exactly the actions that come with it"),
        (target(requires=["t"]), "service t would have to wait for itself"),
        (
            {
                "service": {"name": "t", "actions": ["a"]},
                "actions": [{"name": "a", "script": "true", "depends_on": ["b"]}],
            },
            "action a depends on b, which is not part of the same service or run",
        ),
    ],
    ids=["action", "service", "names", "circle", "dependency"],
)
def test_a_target_that_is_none(tmp_path: Path, wrong: dict[str, Any], error: str) -> None:
    """It is told, and the others of the plugin are registered."""
    with keeping(tmp_path) as kept:
        assert kept.offer(wrong, target("good")) == [error, None]
        assert (kept.specs.knows("t"), kept.specs.knows("good")) == (False, True)
