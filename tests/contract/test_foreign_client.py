"""The wire of the embedded hero_proc, spoken by a client that nobody here wrote, and by its document alone.

`jsonrpcclient` makes the requests and reads the answers, `httpx` carries them; every answer is held against the schema
that openrpc.json has for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest
from jsonrpcclient import Error, Ok, notification, parse, request
from jsonschema import Draft7Validator

from hero_livekit_units.embedded.daemon import openrpc
from tests.embedded.running import Daemon, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.servers

DOCUMENT = openrpc("1")
METHODS = {method["name"]: method for method in DOCUMENT["methods"]}


class Client:
    """Calls methods by name or by position, as the document has them, and notes which."""

    def __init__(self, http: httpx.Client, *, by_position: bool) -> None:
        self._http = http
        self._by_position = by_position
        self.called: set[str] = set()

    def post(self, body: Any) -> Any:
        """Send whatever; the decoded answer, None for none."""
        answer = self._http.post("/rpc", json=body)
        return answer.json() if answer.content else None

    def call(self, method: str, **params: Any) -> Any:
        """The result, after it was held against its schema."""
        self.called.add(method)
        given: Any = params
        if self._by_position:
            names = [param["name"] for param in METHODS[method]["params"]][: len(params)]
            given = tuple(params[name] for name in names)
        parsed = parse(self.post(request(method, params=given)))
        assert isinstance(parsed, Ok), (method, parsed)
        schema = METHODS[method]["result"]["schema"] | {"components": DOCUMENT["components"]}
        Draft7Validator(schema).validate(parsed.result)
        return parsed.result


@pytest.fixture
def http(short_folder: Path) -> Iterator[httpx.Client]:
    """A client of a daemon."""
    daemon = Daemon(short_folder)
    daemon.start()
    try:
        with httpx.Client(transport=httpx.HTTPTransport(uds=daemon.socket), base_url="http://hero", timeout=30.0) as to:
            yield to
    finally:
        daemon.process = daemon.process if _lives(daemon) else None
        daemon.clean_up()


def _lives(daemon: Daemon) -> bool:
    return daemon.process is not None and daemon.process.poll() is None


@pytest.mark.parametrize("by_position", [False, True], ids=["by-name", "by-position"])
def test_every_method(http: httpx.Client, by_position: bool) -> None:  # noqa: FBT001
    """Each is called as the document has it, and answers what the document says."""
    client = Client(http, by_position=by_position)
    _services(client.call)
    _jobs(client.call)
    _kept(client.call)
    _units(client.call)
    assert client.call("rpc.discover")["methods"] == DOCUMENT["methods"]
    before = client.call("system.ping")
    client.call("system.upgrade")
    until(lambda: client.call("system.ping")["generation"] == before["generation"] + 1, "another program answers")
    assert client.call("system.shutdown", force=True, keep_children=False) == {"ok": True}
    assert client.called == set(METHODS)


def _services(call: Callable[..., Any]) -> None:
    action = {"name": "it", "script": "sleep 1000", "is_process": True}
    assert call("action.set", action=action, context="core") == {"name": "it", "changed": True}
    assert call("action.get", name="it", context="core")["script"] == "sleep 1000"
    assert call("action.list", context="core") == ["it"]
    service = {"name": "it", "actions": ["it"], "status": "stop"}
    assert call("service.set", service=service, context="core")["changed"]
    assert call("service.get", name="it")["actions"] == ["it"]
    seen = call("service.watch", names=["it"])
    assert call("service.start", name="it", actions=None, timeout_ms=5000)["state"] == "running"
    assert call("service.watch", names=["it"], since=seen["revision"], timeout_ms=5000)["revision"] > seen["revision"]
    pid = call("service.status", name="it")["actions"][0]["pid"]
    assert call("service.restart", name="it", actions=["it"], timeout_ms=5000)["ok"]
    assert call("service.list")[0]["actions"][0]["pid"] != pid
    assert call("service.stop", name="it", actions=None, timeout_ms=5000)["state"] == "inactive"
    assert call("service.delete", name="it") == {"ok": True}
    assert call("action.delete", name="it", context="core") == {"ok": True}


def _jobs(call: Callable[..., Any]) -> None:
    made = call("job.create", action={"name": "echo", "script": "echo hello"}, inputs=None, context="core")
    until(lambda: call("job.status", job_id=made["job_id"])["state"] == "succeeded", "it has ended")
    assert call("job.logs", job_id=made["job_id"], attempt=None, lines=3)[0]["line"] == "hello"
    sleeps = {"name": "sleep", "script": "sleep 1000"}
    run = call("run.submit", actions=[sleeps], name="a run", context="core")
    (job,) = until(
        lambda: [job for job in call("run.status", run_id=run["run_id"])["jobs"] if job["pid"]], "its job runs"
    )
    assert call("job.kill", job_id=job["job_id"], signal="SIGKILL") == {"ok": True}


def _kept(call: Callable[..., Any]) -> None:
    call("secret.set", key="k", value="v", context="core")
    assert call("secret.get", key="k", context="core")["value"] == "v"
    assert call("secret.list", context="core") == ["k"]
    assert call("secret.delete", key="k", context="core") == {"ok": True}
    revision = call("note.set", key="n", value="1", expected=None, by="me", context="core")["revision"]
    assert call("note.get", key="n", context="core")["value"] == "1"
    assert call("note.list", prefix="n", context="core")[0]["key"] == "n"
    assert call("note.delete", key="n", expected=revision, context="core") == {"ok": True}
    assert call("logs.insert", src="a.b", content="a line") == {"ok": True}
    assert call("logs.get", src_prefix="a", lines=5)[0]["content"] == "a line"


def _units(call: Callable[..., Any]) -> None:
    until(lambda: call("unit.plugins")["plugins"], "the plugins are loaded")
    assert "livekit-server" in {unit["name"] for unit in call("unit.list")}
    release = call("unit.history", name="livekit-server")[-1]["release"]
    assert call("unit.get", name="livekit-server", release=release)["release"] == release


def test_what_is_wrong_has_its_standard_error(http: httpx.Client) -> None:
    """Names and parameters that are not known, and what is no request."""
    client = Client(http, by_position=False)
    for body, code in [
        (request("no.such"), -32601),
        (request("service.status"), -32602),
        (request("service.status", params={"name": "x", "more": 1}), -32602),
        (request("service.status", params=(1, 2, 3)), -32602),
        ({"jsonrpc": "2.0", "id": 1}, -32600),
        ([], -32600),
    ]:
        parsed = parse(client.post(body))
        assert isinstance(parsed, Error), body
        assert parsed.code == code, (body, parsed)
    answer = http.post("/rpc", content=b"{")
    assert answer.json()["error"]["code"] == -32700


def test_many_in_one(http: httpx.Client) -> None:
    """A batch has an answer for each that asked for one; a notification has none, and is done."""
    client = Client(http, by_position=False)
    told = notification("secret.set", params={"key": "k", "value": "v"})
    assert client.post(told) is None
    asked = [request("secret.get", params={"key": "k"}), told, request("no.such")]
    first, second = map(parse, client.post(asked))
    assert isinstance(first, Ok)
    assert isinstance(second, Error)
    assert (first.result["value"], second.code) == ("v", -32601)
