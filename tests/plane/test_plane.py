"""The control plane as a process: what it answers, and that it may die at any moment."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from hero_livekit_units.execute.lock import acting_lock
from tests.fakes.hero import FakeHero

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.plane.conftest import Plane

pytestmark = pytest.mark.servers

METHODS = [
    *("install", "configure", "start", "stop", "status", "ensure_ready", "plan", "ensure"),
    *("drain", "cancel_drain", "history"),
]
WRONG: dict[str, list[Any]] = {
    "string": [5, 0, None, True, False, [], ["run"], {}, 1.5],
    "integer": ["5", "", 0, -1, 1001, 10**30, True, None, 1.5, [], [5], {}],
    "boolean": ["true", "false", "", 0, 1, None, [], {}],
}


def get(path: str, socket_path: Path) -> tuple[int, bytes]:
    """GET on a Unix socket."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(socket_path))
        client = http.client.HTTPConnection("localhost")
        client.sock = connection
        client.request("GET", path)
        answer = client.getresponse()
        return answer.status, answer.read()


def same(report: dict[str, Any]) -> dict[str, Any]:
    """A status report without what differs from look to look."""
    units = [
        {key: value for key, value in unit.items() if key not in {"evidence", "age_s"}} for unit in report["units"]
    ]
    witnesses = [[seen["witness"] for seen in unit["evidence"]] for unit in report["units"]]
    supervisor = report["supervisor"] | {"says": report["supervisor"]["says"].partition(" in ")[0]}
    return {"units": units, "witnesses": witnesses, "supervisor": supervisor, "join_url": report["join_url"]}


@pytest.fixture
def hero(resting: Plane) -> Iterator[FakeHero]:
    """A hero_proc that stores and runs nothing."""
    path = resting.places.socket("hero_proc")
    path.parent.mkdir(parents=True)
    with FakeHero(path) as serving:
        yield serving


def test_the_routes_of_a_hero_service(plane: Plane) -> None:
    """Health, manifest and OpenRPC document, from which everything else can be known."""
    path = plane.places.socket("hero_livekit")
    status, health = get("/health", path)
    assert (status, json.loads(health)["status"], json.loads(health)["service"]) == (200, "ok", "hero_livekit")
    _, manifest = get("/.well-known/heroservice.json", path)
    assert json.loads(manifest)["protocol"] == "openrpc"
    _, document = get("/openrpc.json", path)
    assert json.loads(document) == plane.client.call("rpc.discover")
    names = [method["name"] for method in json.loads(document)["methods"]]
    assert names == [f"livekitservice.{name}" for name in METHODS]


def _wrong(schema: dict[str, Any]) -> list[Any]:
    """What a parameter must not be. Of times 0 stands for none, and the longest is a year."""
    may = [0, 1001] if schema["default"] == 0 and schema["type"] == "integer" else []
    return [
        wrong
        for wrong in WRONG[schema["type"]]
        if not any(wrong is one or wrong == one for one in may if type(wrong) is int)
    ]


def test_wrong_parameters_are_refused_by_every_method(plane: Plane) -> None:
    """Another type, another name, a position: -32602 and nothing done, above all nobody cut off by `"false"`."""
    document = json.loads(get("/openrpc.json", plane.places.socket("hero_livekit"))[1])
    tried = 0
    for method in document["methods"]:
        name = method["name"].removeprefix("livekitservice.")
        for params in ({"unknown": 1}, [1]):
            assert (plane.refusal(name, params).code, name, params) == (-32602, name, params)
        for param in method["params"]:
            assert param["required"] is False
            for wrong in _wrong(param["schema"]):
                refused = plane.refusal(name, {param["name"]: wrong})
                assert (refused.code, name, param["name"], wrong) == (-32602, name, param["name"], wrong)
                assert param["name"] in str(refused)
                tried += 1
    assert tried == 6 * len(WRONG["string"]) + 11 * len(WRONG["boolean"]) + 3 * len(WRONG["integer"]) - 4
    assert plane.refusal("plan", {"goal": "rnu"}).code == -32602
    assert [path.name for path in plane.places.home.iterdir()] == ["media.toml"]


def test_an_unknown_method(plane: Plane) -> None:
    """It is told by name."""
    refused = plane.refusal("strat", {})
    assert (refused.code, refused.cause) == (-32601, "unknown method: livekitservice.strat")


def test_status_is_what_hlu_sees(plane: Plane) -> None:
    """The same report through the plane and without it; only who looked differs."""
    report = plane.call("status")
    assert report["looked_by"] == f"control plane, pid {plane.process.pid if plane.process else 0}"
    own = plane.status_without_it()
    assert same(own) == same(report)
    assert set(own) == set(report)
    assert [unit["verdict"] for unit in report["units"]] == ["unknown", "unknown"]


def test_hlu_asks_the_plane(plane: Plane) -> None:
    """Where a plane runs, `hlu status` is its answer; when it hangs, `hlu` looks itself."""
    assert plane.process is not None
    run = plane.hlu("status", "--json")
    assert run.returncode == 5
    assert json.loads(run.stdout)["looked_by"] == f"control plane, pid {plane.process.pid}"
    plane.process.send_signal(signal.SIGSTOP)
    try:
        run = plane.hlu("status", "--json")
    finally:
        plane.process.send_signal(signal.SIGCONT)
    assert run.returncode == 5
    assert json.loads(run.stdout)["looked_by"].startswith("this command, pid ")


def test_kill_and_start_again(resting: Plane, hero: FakeHero) -> None:
    """`kill -9` loses nothing: the next one gives the same answers to everything."""
    asked = [("status", {}), ("plan", {}), ("plan", {"goal": "stop"}), ("plan", {"goal": "configure"})]

    def answers() -> list[Any]:
        found = [resting.call(method, **params) for method, params in asked]
        return [same(found[0]), *found[1:]]

    first = resting.start()
    before = answers()
    acted = [name for name in hero.called if name.endswith((".set", ".start", ".stop", ".kill"))]
    for _ in range(3):
        assert resting.end(signal.SIGKILL) == -signal.SIGKILL
        assert resting.start() != first
        assert answers() == before
    assert acted == []


def test_it_leaves_only_its_socket_and_its_lock(resting: Plane) -> None:
    """It keeps no state: beside these two nothing is written, and an orderly end takes the socket away."""
    before = set(resting.root.rglob("*"))
    resting.start()
    resting.call("status")
    resting.call("plan")
    resting.call("ensure")
    folder = resting.places.sockets / "hero_livekit"
    mine = {resting.places.sockets, folder, folder / "rpc.sock", folder / "rpc.sock.lock", resting.log}
    assert set(resting.root.rglob("*")) - before == mine
    assert (folder / "rpc.sock").stat().st_mode & 0o777 == 0o600
    assert resting.end() == 0
    assert set(resting.root.rglob("*")) - before == mine - {folder / "rpc.sock"}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_orderly_end(number: int, plane: Plane) -> None:
    """Both signals end it with status 0 and without a stack trace in its log."""
    assert plane.end(number) == 0
    assert "Traceback" not in plane.log.read_text()


def test_a_second_plane_is_refused(plane: Plane) -> None:
    """It names the first one, which goes on."""
    assert plane.process is not None
    run = plane.hlu("plane")
    assert run.returncode == 6
    assert f"pid {plane.process.pid} already does" in run.stderr
    assert "Traceback" not in run.stderr
    assert plane.call("status")["looked_by"].endswith(f"pid {plane.process.pid}")


def test_faults_of_the_settings(plane: Plane) -> None:
    """They are read at each call: an error while they are wrong, answers again when they are mended."""
    good = plane.places.settings_file.read_text()
    plane.places.settings_file.write_text("[livekit]\nslto = 'a'\n")
    refused = plane.refusal("status", {})
    assert (refused.code, refused.data["code_name"], refused.data["retryable"]) == (-32021, "DefinitionInvalid", False)
    assert f"{plane.places.settings_file}:2:1" in str(refused)
    plane.places.settings_file.write_text(good)
    assert plane.call("status")["units"]


def test_without_a_hero_proc(plane: Plane) -> None:
    """A refusal with its reason is a result; nothing was tried."""
    for method in ("configure", "start", "stop", "ensure", "ensure_ready"):
        receipt = plane.call(method)
        assert (receipt["converged"], receipt["changed"]) == (False, False)
        assert [refusal["instance"] for refusal in receipt["refusals"]] == ["hero_proc"]
    assert plane.call("ensure_ready")["ready"] is False


def test_a_step_that_fails(resting: Plane, hero: FakeHero) -> None:
    """The error of the step with its code; the plane lives on."""
    resting.start()
    (resting.places.home / "slots").touch()
    refused = resting.refusal("configure", {})
    assert (refused.code, refused.data["code_name"]) == (-32023, "StepFailed")
    (resting.places.home / "slots").unlink()
    assert resting.call("configure")["converged"]
    assert hero.called[-1] == "logs.insert"


def test_a_program_that_cannot_be_had(plane: Plane) -> None:
    """The road that was named is told to be closed."""
    refused = plane.refusal("install", {"livekit_server": "/nowhere/livekit-server"})
    assert (refused.code, refused.data["code_name"]) == (-32024, "ProvisionFailed")
    assert "/nowhere/livekit-server does not exist" in str(refused)


def test_configure_through_the_plane(resting: Plane, hero: FakeHero) -> None:
    """The receipt holds no secret, and a second call is a no-op."""
    resting.start()
    receipt = resting.call("configure")
    assert (receipt["converged"], receipt["changed"]) == (True, True)
    told = json.dumps(receipt) + resting.log.read_text()
    assert len(hero.stored) == 3
    assert not any(value in told for value in hero.stored.values())
    allow = {"allow_drop": True, "allow_reconnect": True, "allow_drain": True, "allow_retry": True}
    again = resting.call("ensure", goal="configure", **allow)
    assert again["changed"] is False


def test_the_history_of_all_who_acted(resting: Plane, hero: FakeHero) -> None:
    """It is the supervisor's, so that it outlives the plane; the newest receipt is the last one."""
    resting.start()
    done = resting.call("configure")
    hero.lines.append({"src": "hero_livekit.ensure", "content": "of another program"})
    assert resting.end(signal.SIGKILL) == -signal.SIGKILL
    resting.start()
    first, last = resting.call("history")["receipts"]
    assert first | {"at_s": 0} == done | {"at_s": 0}
    assert last == {"at_s": 2.0, "unreadable": "of another program"}
    assert resting.call("history", lines=1) == {"receipts": [last]}


def test_no_history_without_a_hero_proc(plane: Plane) -> None:
    """An error of its kind, and not an empty history."""
    refused = plane.refusal("history", {})
    assert (refused.code, refused.data["code_name"], refused.data["retryable"]) == (-32022, "RegistryUnavailable", True)


def test_many_callers_at_once(resting: Plane, hero: FakeHero) -> None:
    """A hundred configure calls at once: one of them acts, all get the same end."""
    resting.start()
    receipts: list[Any] = []
    threads = [threading.Thread(target=lambda: receipts.append(resting.call("configure"))) for _ in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [receipt["converged"] for receipt in receipts] == [True] * 100
    assert [receipt["changed"] for receipt in receipts].count(True) == 1
    assert hero.called.count("secret.set") == 3
    assert hero.called.count("service.set") == 2


@pytest.mark.usefixtures("hero")
def test_status_while_others_wait_to_act(resting: Plane) -> None:
    """However many callers wait for their turn to act, looking does not wait with them."""
    resting.start()
    with acting_lock(resting.places.home, timeout_s=0.0):
        threads = [threading.Thread(target=lambda: resting.call("configure")) for _ in range(20)]
        for thread in threads:
            thread.start()
        began = time.monotonic()
        while time.monotonic() - began < 1.0:
            asked = time.monotonic()
            resting.call("status")
            resting.call("history")
            assert time.monotonic() - asked < 2.0
    for thread in threads:
        thread.join()
    assert resting.call("plan", goal="configure")["waves"] == []
