"""The wire: document and dispatcher agree, wrong parameters are named, the smaller methods do what they say."""

from __future__ import annotations

import asyncio
import http.server
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from hero_livekit_units.embedded import document
from hero_livekit_units.embedded.daemon import openrpc
from hero_livekit_units.embedded.health import Health
from hero_livekit_units.embedded.spec import parse_action, parse_service
from tests.embedded.running import child, until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.embedded.running import Daemon

_MAKES_THE_DOCUMENT = ("shapes", "unit_shapes", "document")
PUBLIC_METHODS = {
    *("rpc.discover", "system.ping", "system.shutdown", "system.upgrade"),
    *("action.set", "action.get", "action.list", "action.delete"),
    *("service.set", "service.get", "service.list", "service.delete"),
    *("service.status", "service.watch", "service.start", "service.stop", "service.restart"),
    *("unit.list", "unit.get", "unit.history", "unit.plugins"),
    *("run.submit", "run.status", "job.create", "job.status", "job.kill", "job.logs"),
    *("logs.insert", "logs.get", "secret.set", "secret.get", "secret.list", "secret.delete"),
    *("note.get", "note.set", "note.list", "note.delete"),
}


def test_the_document_lists_the_methods() -> None:
    """openrpc.json names the methods that are public, and no other."""
    assert {method["name"] for method in openrpc("1")["methods"]} == PUBLIC_METHODS


def test_the_document_is_made_of_the_methods() -> None:
    """openrpc.json says what the methods say now: `python -m hero_livekit_units.embedded.document` makes it anew."""
    assert document.FILE.read_text(encoding="utf-8") == document.text()


def test_the_daemon_does_without_what_makes_the_document() -> None:
    """What it imports has neither msgspec nor the types of the wire, nor, before a log is full, ctypes."""
    code = "import hero_livekit_units.embedded.__main__, hero_livekit_units.embedded.command, sys; print(*sys.modules)"
    loaded = set(
        subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout.split()
    )
    assert "hero_livekit_units.embedded.methods" in loaded
    unwanted = {"msgspec", "ctypes"} | {f"hero_livekit_units.embedded.{name}" for name in _MAKES_THE_DOCUMENT}
    assert loaded & unwanted == set()


def test_the_document_is_described() -> None:
    """Every method has a summary and its errors; every error its code and its words."""
    made = openrpc("1.2.3")
    assert made["info"]["version"] == "1.2.3"
    assert all(method["summary"] and method["errors"] for method in made["methods"])
    codes = [error["code"] for error in made["components"]["errors"].values()]
    assert len(codes) == len(set(codes))
    assert all(error["message"] for error in made["components"]["errors"].values())


@pytest.mark.parametrize(
    ("kind", "parse", "least"),
    [("ActionSpec", parse_action, {"name": "x", "script": "x"}), ("ServiceSpec", parse_service, {"name": "x"})],
    ids=["action", "service"],
)
def test_the_document_has_the_keys_of_specs(kind: str, parse: Callable[[Any], Any], least: dict[str, Any]) -> None:
    """The schema of a spec has exactly the keys that are parsed, with the defaults that they have."""
    schema = openrpc("1")["components"]["schemas"][kind]
    parsed = parse(least).as_json()
    defaults = {key: item["default"] for key, item in schema["properties"].items() if "default" in item}
    assert (set(schema["properties"]), set(schema["required"])) == (set(parsed), set(least))
    assert {key: parsed[key] for key in defaults} == defaults


@pytest.mark.servers
def test_the_answers_have_the_keys_of_the_document(daemon: Daemon) -> None:
    """A status and a job have exactly the keys that the document promises."""
    daemon.keep("s", "sleep 1000")
    schemas = openrpc("1")["components"]["schemas"]
    status = daemon.call("service.status", name="s")
    assert set(status) == set(schemas["ServiceStatus"]["properties"])
    assert set(status["actions"][0]) == set(schemas["Job"]["properties"])
    assert daemon.call("job.status", job_id=status["actions"][0]["job_id"]).keys() == status["actions"][0].keys()


@pytest.mark.servers
def test_ping(daemon: Daemon) -> None:
    """The daemon says who it is."""
    answer = daemon.call("system.ping")
    assert (answer["pid"], answer["kind"]) == (daemon.pid, "embedded")
    assert {"version", "pid", "pid_start", "uptime_ms", "kind", "generation", "upgrade_failed"} == set(answer)


@pytest.mark.servers
@pytest.mark.parametrize(
    ("method", "params", "message"),
    [
        ("action.set", {}, "wrong parameters for action.set: missing a required argument: 'action'"),
        ("action.set", {"action": {"name": "a"}}, "action.script is missing"),
        ("action.set", {"action": {"name": "a", "script": "x", "colour": 1}}, "action.colour is an unknown key"),
        ("action.set", {"action": {"name": "a", "script": "x"}, "expected": 5}, "action must be an object"),
        ("service.set", {"service": []}, "service must be an object"),
        ("service.status", {"name": 5}, "name must be a string without NUL"),
        ("service.status", {"nam": "x"}, "wrong parameters for service.status: missing a required argument: 'name'"),
        ("service.start", {"name": "s", "timeout_ms": "5"}, "timeout_ms must be a whole number, not negative"),
        ("service.start", {"name": "s", "timeout_ms": True}, "timeout_ms must be a whole number, not negative"),
        ("service.stop", {"name": "s", "actions": "a"}, "actions must be an array or null"),
        ("run.submit", {"actions": []}, "actions must be an array with something in it"),
        ("job.create", {"action": {"name": "a", "script": "x"}, "inputs": {"a": 1}}, "inputs must be empty"),
        ("job.kill", {"job_id": 1, "signal": "TERM"}, "signal 'TERM' is not known"),
        ("job.kill", {"job_id": 1, "signal": 4000}, "signal '4000' is not known"),
        ("job.logs", {"job_id": -1}, "job_id must be a whole number, not negative"),
        ("logs.insert", {"src": "s", "content": "c", "tags": [1]}, "tags[0] must be a string without NUL"),
        ("logs.get", {"from": "yesterday"}, "from must be a whole number, not negative"),
        ("secret.set", {"key": "k", "value": 5}, "value must be a string"),
        ("secret.set", {"key": "k", "value": "v", "if_absent": 1}, "if_absent must be true or false"),
        ("note.set", {"key": "k", "value": "v", "expected": "1"}, "expected must be a whole number, not negative"),
        ("service.watch", {"names": "s"}, "names must be an array or null"),
        ("service.watch", {"since": 5}, "since must be a string without NUL"),
        ("system.shutdown", {"force": "yes"}, "force must be true or false"),
    ],
)
def test_wrong_parameters_are_named(daemon: Daemon, method: str, params: dict[str, Any], message: str) -> None:
    """Each is refused with -32602, and the message says which it is."""
    refused = daemon.refusal(method, **params)
    assert (refused.code, refused.data["code_name"]) == (-32602, "InvalidParams")
    assert str(refused) == f"cannot call {method}: {message}"


@pytest.mark.servers
@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("action.get", {"name": "x"}),
        ("action.delete", {"name": "x"}),
        ("service.get", {"name": "x"}),
        ("service.status", {"name": "x"}),
        ("service.start", {"name": "x"}),
        ("service.stop", {"name": "x"}),
        ("service.restart", {"name": "x"}),
        ("service.delete", {"name": "x"}),
        ("run.status", {"run_id": 99}),
        ("run.submit", {"actions": ["x"]}),
        ("job.create", {"action": "x"}),
        ("job.status", {"job_id": 99}),
        ("job.kill", {"job_id": 99}),
        ("job.logs", {"job_id": 99}),
        ("secret.get", {"key": "x"}),
        ("secret.delete", {"key": "x"}),
        ("note.get", {"key": "x"}),
        ("note.delete", {"key": "x"}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_not_there(daemon: Daemon, method: str, params: dict[str, Any]) -> None:
    """An unknown name is -32000, not retryable."""
    refused = daemon.refusal(method, **params)
    assert (refused.code, refused.data) == (-32000, {"code_name": "NotFound", "retryable": False, "hint": ""})


@pytest.mark.servers
def test_secrets(daemon: Daemon) -> None:
    """Secrets are kept by context, listed by key, overwritten unless told otherwise, and survive a crash."""
    assert daemon.call("secret.set", key="k", value="one", context="c") == {"ok": True, "created": True}
    assert daemon.call("secret.set", key="k", value="two", context="c", if_absent=True) == {
        "ok": True,
        "created": False,
    }
    daemon.restart()
    assert daemon.call("secret.get", key="k", context="c") == {"key": "k", "value": "one"}
    assert (daemon.call("secret.list", context="c"), daemon.call("secret.list")) == (["k"], [])
    daemon.call("secret.set", key="k", value="", context="c")
    assert daemon.call("secret.get", key="k", context="c")["value"] == ""
    assert daemon.call("secret.delete", key="k", context="c") == {"ok": True}
    assert daemon.call("secret.list", context="c") == []


@pytest.mark.servers
def test_logs(daemon: Daemon) -> None:
    """Lines come back by the beginning of their source and by time, the newest last."""
    before = round(time.time() * 1000)
    for src, content in (("plane.ensure", "one"), ("plane.stop", "two"), ("other", "three")):
        daemon.call("logs.insert", src=src, content=content, tags=["t"])
    lines = daemon.call("logs.get", src_prefix="plane.", lines=10)
    assert [(line["src"], line["content"], line["tags"]) for line in lines] == [
        ("plane.ensure", "one", ["t"]),
        ("plane.stop", "two", ["t"]),
    ]
    assert [line["content"] for line in daemon.call("logs.get", lines=1)] == ["three"]
    assert daemon.client.call("logs.get", {"from": before - 1000, "to": before - 1}) == []
    assert len(daemon.client.call("logs.get", {"from": before})) == 3


@pytest.mark.servers
def test_a_job_of_its_own(daemon: Daemon) -> None:
    """An action without a service runs once; its end, its output and its run can be asked for."""
    job_id = daemon.call("job.create", action={"name": "task", "script": child("exit", 0)})["job_id"]
    job = until(lambda: (found := daemon.call("job.status", job_id=job_id))["ended_ms"] and found, "it ended")
    assert (job["state"], job["exit_code"], job["last_error"]) == ("succeeded", 0, None)
    lines = daemon.call("job.logs", job_id=job_id, lines=1)
    assert lines == [{"line": "my last word", "stream": "output", "epoch_ms": None}]
    assert daemon.call("run.status", run_id=job["run_id"])["state"] == "succeeded"


@pytest.mark.servers
def test_a_run_of_several(daemon: Daemon) -> None:
    """The actions of a run wait for each other; a stored action can be named."""
    daemon.call("action.set", action={"name": "stored", "script": "true", "depends_on": ["first"]})
    gate = daemon.folder / "gate"
    first = {"name": "first", "script": f"while ! test -e {gate}; do sleep 0.02; done", "interpreter": "sh"}
    submitted = daemon.call("run.submit", actions=[first, "stored"], name="together")
    run = daemon.call("run.status", run_id=submitted["run_id"])
    assert (run["state"], run["name"], [job["state"] for job in run["jobs"]]) == (
        "running",
        "together",
        ["running", "pending"],
    )
    gate.touch()
    until(lambda: daemon.call("run.status", run_id=submitted["run_id"])["state"] == "succeeded", "the run succeeded")


@pytest.mark.servers
def test_a_task_that_takes_too_long(daemon: Daemon) -> None:
    """timeout_ms ends a task, and its failure says so."""
    action = {"name": "task", "script": "sleep 1000", "timeout_ms": 100}
    job_id = daemon.call("job.create", action=action)["job_id"]
    job = until(lambda: (found := daemon.call("job.status", job_id=job_id))["ended_ms"] and found, "it ended")
    assert (job["state"], job["signal"], job["last_error"]) == ("failed", 9, "timed out after 100 ms")


@pytest.mark.servers
def test_killing_a_job_of_its_own(daemon: Daemon) -> None:
    """The first signal is its stop, whatever its policy; afterwards there is nothing to signal."""
    action = {"name": "task", "script": "sleep 1000", "is_process": True}
    job_id = daemon.call("job.create", action=action)["job_id"]
    daemon.call("job.kill", job_id=job_id, signal="SIGINT")
    job = until(lambda: (found := daemon.call("job.status", job_id=job_id))["ended_ms"] and found, "it ended")
    assert (job["state"], job["signal"]) == ("cancelled", 2)
    assert daemon.refusal("job.kill", job_id=job_id).code == -32005


@pytest.mark.servers
def test_killing_the_job_of_a_service(daemon: Daemon) -> None:
    """A service whose process is killed by name gets a new one by its restart policy."""
    daemon.keep("s", "sleep 1000")
    job = daemon.job("s")
    daemon.call("job.kill", job_id=job["job_id"], signal=9)
    until(lambda: daemon.job("s")["restart_count"] == 1, "it runs again")
    assert (daemon.job("s")["job_id"], daemon.state_of("s")) == (job["job_id"], "running")


@pytest.mark.servers
def test_health_is_marked_and_nothing_is_restarted(daemon: Daemon, free_port: Callable[[], int]) -> None:
    """A check that fails marks the service, and its process stays; one that succeeds makes it ready."""
    port = free_port()
    check = {"type": "http", "url": f"http://127.0.0.1:{port}/", "interval_ms": 100, "timeout_ms": 500, "retries": 2}
    tcp = {"type": "tcp", "target": f"127.0.0.1:{port}", "interval_ms": 100}
    daemon.keep("s", "sleep 1000", health_checks=[check, tcp])
    pid = daemon.job("s")["pid"]
    status = until(lambda: (s := daemon.call("service.status", name="s"))["health"] == "unhealthy" and s, "unhealthy")
    assert (status["state"], status["ready"]) == ("running", False)

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Be quiet."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", port), Page) as server:
        threading.Thread(target=server.serve_forever).start()
        status = until(lambda: (s := daemon.call("service.status", name="s"))["health"] == "healthy" and s, "healthy")
        server.shutdown()
    assert (status["ready"], status["actions"][0]["pid"], status["actions"][0]["restart_count"]) == (True, pid, 0)


def test_the_verdict_without_checks_is_unknown() -> None:
    """Nobody asked, so nobody knows."""

    async def verdict() -> str:
        return Health().of(5).value

    assert asyncio.run(verdict()) == "unknown"
