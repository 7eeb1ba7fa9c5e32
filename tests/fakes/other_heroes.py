"""Three hero_procs that nobody has written: each names and shapes the same things in its own way.

Each is strict: a parameter that its document does not list is refused. Each stores what it is given and runs nothing;
a started service has the process 4242.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.fakes.hero import Refusal
from tests.fakes.socket_peer import SocketPeer, answer, encoded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

Params = dict[str, Any]
TEXT = {"type": "string"}
LIST = {"type": "array", "items": TEXT}
WHOLE = {"type": "integer"}
FREE = {"type": "object"}


def method(name: str, /, **params: Any) -> dict[str, Any]:
    """A method of a document."""
    return {"name": name, "params": [{"name": key, "schema": schema} for key, schema in params.items()]}


class OtherHero(SocketPeer):
    """Serves while the context lasts. `called` lists the names of all calls, `read` counts reads of the document.

    `methods` are the calls by name; `document` is what `/openrpc.json` gives, and may be replaced.
    """

    def __init__(self, path: Path | str) -> None:
        super().__init__(path, self._respond)
        self.called: list[str] = []
        self.read = 0
        self.services: dict[str, Params] = {}
        self.actions: dict[str, Params] = {}
        self.stored: dict[str, str] = {}
        self.running: set[str] = set()
        self.lines: list[Params] = []
        self.killed: list[Any] = []
        self.pid = 77
        self.methods: dict[str, Callable[[Params], Any]] = {}
        self.described: list[dict[str, Any]] = []
        self.schemas: dict[str, Any] = {}
        self.document: bytes | None = None
        self.discovered: Any = None

    def _respond(self, request: Any) -> Iterator[bytes]:
        if request is None:
            self.read += 1
            yield answer(self.whole() if self.document is None else self.document)
        elif isinstance(request, list):
            yield encoded([self._answer(call) for call in request])
        else:
            yield encoded(self._answer(request))

    def whole(self) -> bytes:
        """The document that describes it."""
        return json.dumps(
            {
                "openrpc": "1.2.6",
                "info": {"title": "other", "version": "7.1"},
                "methods": self.described,
                "components": {"schemas": self.schemas},
            }
        ).encode()

    def _answer(self, call: Params) -> Params:
        self.called.append(call["method"])
        try:
            if call["method"] == "rpc.discover" and self.discovered is not None:
                return {"jsonrpc": "2.0", "id": call["id"], "result": self.discovered}
            described = next((one for one in self.described if one["name"] == call["method"]), None)
            result = self._run(described, call)
        except Refusal as refusal:
            return {"jsonrpc": "2.0", "id": call["id"], "error": {"code": refusal.code, "message": str(refusal)}}
        return {"jsonrpc": "2.0", "id": call["id"], "result": result}

    def _run(self, described: dict[str, Any] | None, call: Params) -> Any:
        if described is None:
            raise Refusal(-32601, "Method not found")
        self._check({param["name"]: param["schema"] for param in described["params"]}, call["params"])
        return self.methods[call["method"]](call["params"])

    def _check(self, fields: dict[str, Any], given: Params) -> None:
        for key, value in given.items():
            if key not in fields:
                raise Refusal(-32602, f"unknown field {key}")
            schema = fields[key]
            if "$ref" in schema:
                schema = self.schemas[schema["$ref"].rpartition("/")[2]]
            if "properties" in schema:
                self._check(schema["properties"], value)


def found(table: dict[str, Any], key: str) -> Any:
    """A row, or an error that is worded and numbered in another way than ours."""
    if key not in table:
        raise Refusal(-32004, f"No such entry: {key}")
    return table[key]


class FlatHero(OtherHero):
    """All fields side by side, plural nouns, every result in an envelope; a service has no list of jobs."""

    def __init__(self, path: Path | str) -> None:
        super().__init__(path)
        self.described = [
            method("ping"),
            method(
                "actions.put",
                **dict.fromkeys(["name", "command", "working_dir"], TEXT),
                environment=FREE,
                labels=LIST,
                long_running={"type": "boolean"},
                namespace=TEXT,
            ),
            method("actions.show", action_name=TEXT, namespace=TEXT),
            method("services.put", service_name=TEXT, summary=TEXT, action_names=LIST, wanted=TEXT),
            method("services.show", service_name=TEXT),
            *(method(f"services.{verb}", service_name=TEXT) for verb in ("state", "start", "stop", "restart")),
            *(method(f"secrets.{verb}", namespace=TEXT, name=TEXT) for verb in ("read", "remove")),
            method("secrets.put", namespace=TEXT, name=TEXT, content=TEXT),
            method("logs.append", source=TEXT, message=TEXT),
            method("logs.query", source=TEXT, limit=WHOLE),
        ]
        self.methods = {
            "ping": lambda _: {"result": {"version": "3.2", "process_id": self.pid}},
            "actions.put": lambda given: self.actions.__setitem__(given["name"], given),
            "actions.show": lambda given: {"result": {"action": found(self.actions, given["action_name"])}},
            "services.put": lambda given: self.services.__setitem__(given["service_name"], given),
            "services.show": lambda given: {"result": {"service": found(self.services, given["service_name"])}},
            "services.state": lambda given: {"result": self._state(given["service_name"])},
            "services.start": lambda given: self.running.add(given["service_name"]),
            "services.stop": lambda given: self.running.discard(given["service_name"]),
            "services.restart": lambda given: self.running.add(given["service_name"]),
            "secrets.read": lambda given: {"result": {"content": found(self.stored, _key(given))}},
            "secrets.remove": lambda given: self.stored.pop(_key(given)) and None,
            "secrets.put": lambda given: self.stored.__setitem__(_key(given), given["content"]),
            "logs.append": lambda given: self.lines.append(given),  # noqa: PLW0108  mypy wants a value of None
            "logs.query": lambda given: {"result": {"entries": self._lines(given)}},
        }

    def _state(self, name: str) -> Params:
        found(self.services, name)
        pid = {"process_id": 4242} if name in self.running else {}
        return {"name": name, "status": "Running" if pid else "Stopped", "wanted": "Up" if pid else "Down"} | pid

    def _lines(self, given: Params) -> list[Params]:
        rows = [line | {"timestamp": float(at)} for at, line in enumerate(self.lines, 1)]
        return [row for row in rows if row["source"] == given["source"]][-given["limit"] :]


class CamelHero(OtherHero):
    """Specs in objects behind references, in camelCase; two methods tell a status, and one of them tells too little."""

    def __init__(self, path: Path | str) -> None:
        super().__init__(path)
        retry = {"type": "object", "properties": {"maxAttempts": WHOLE, "delayMs": WHOLE, "backoff": {}}}
        texts = dict.fromkeys(["name", "script", "cwd", "stopSignal"], TEXT)
        self.schemas = {
            "Action": {
                "type": "object",
                "properties": texts
                | {"env": FREE, "isProcess": {}, "retryPolicy": retry, "stopTimeoutMs": WHOLE, "tags": LIST},
            },
            "Service": {
                "type": "object",
                "properties": {"name": TEXT, "actions": LIST, "status": TEXT, "after": LIST, "tags": LIST},
            },
        }
        named = {"serviceName": TEXT}
        self.described = [
            method("system.info"),
            method("action.set", spec={"$ref": "#/components/schemas/Action"}),
            method("action.get", name=TEXT),
            method("service.set", config={"$ref": "#/components/schemas/Service"}),
            *(
                method(f"service.{verb}", **named)
                for verb in ("get", "status", "status_full", "start", "stop", "restart")
            ),
            method("job.signal", id=WHOLE, signal=TEXT),
            method("secret.get", key=TEXT, context=TEXT),
            method("secret.set", key=TEXT, value=TEXT, context=TEXT),
            method("secret.delete", key=TEXT, context=TEXT),
            method("log.insert", src=TEXT, text=TEXT, context=TEXT),
            method("log.list", src=TEXT, count=WHOLE),
        ]
        self.methods = {
            "system.info": lambda _: {"version": "0.9", "pid": self.pid, "pidStart": 5},
            "action.set": lambda given: self.actions.__setitem__(given["spec"]["name"], given["spec"]),
            "action.get": lambda given: self.actions.get(given["name"]),
            "service.set": lambda given: self.services.__setitem__(given["config"]["name"], given["config"]),
            "service.get": lambda given: {"config": found(self.services, given["serviceName"]), "etag": 1},
            "service.status": lambda given: {
                "state": "running" if given["serviceName"] in self.running else "inactive"
            },
            "service.status_full": lambda given: {"service": self._status(given["serviceName"])},
            "service.start": lambda given: self.running.add(given["serviceName"]),
            "service.stop": lambda given: self.running.discard(given["serviceName"]),
            "service.restart": lambda given: self.running.add(given["serviceName"]),
            "job.signal": lambda given: self.killed.append((given["id"], given["signal"])),
            "secret.get": lambda given: found(self.stored, _key(given)),
            "secret.set": lambda given: self.stored.__setitem__(_key(given), given["value"]),
            "secret.delete": lambda given: self.stored.pop(_key(given)) and None,
            "log.insert": lambda given: self.lines.append(given),  # noqa: PLW0108  mypy wants a value of None
            "log.list": lambda given: [
                line | {"epochMs": at * 1000} for at, line in enumerate(self.lines, 1) if line["src"] == given["src"]
            ][-given["count"] :],
        }

    def _status(self, name: str) -> Params:
        service = found(self.services, name)
        up = name in self.running
        job = {"name": service["actions"][0], "jobId": 9, "pid": 4242, "pidStart": 5, "restartCount": 2}
        return {"state": "Running" if up else "Exited", "wantedStatus": "Start" if up else "Stop", "jobs": [job][:up]}


class PairHero(OtherHero):
    """One object `request` for everything, create and update apart, no ping, and one space for everybody's secrets."""

    def __init__(self, path: Path | str) -> None:
        super().__init__(path)

        def request(**fields: Any) -> dict[str, Any]:
            return {"type": "object", "properties": fields}

        def asking(name: str, /, **fields: Any) -> dict[str, Any]:
            return method(name, request=request(**fields))

        action = request(name=TEXT, script=TEXT, env=FREE, tags=LIST)
        service = request(name=TEXT, actions=LIST, status=TEXT)
        self.described = [
            *(asking(f"action_{verb}", action=action) for verb in ("create", "update")),
            *(asking(f"service_{verb}", service=service) for verb in ("create", "update")),
            asking("get_action", name=TEXT),
            *(asking(f"{verb}_service", name=TEXT) for verb in ("get", "start", "stop", "restart", "inspect")),
            *(asking(f"{verb}_secret", key=TEXT) for verb in ("read", "delete")),
            asking("store_secret", key=TEXT, value=TEXT),
            asking("write_log", source=TEXT, line=TEXT),
            asking("tail_log", source=TEXT, lines=WHOLE),
        ]
        self.methods = {
            "action_create": lambda given: self._create(self.actions, given["request"]["action"]),
            "action_update": lambda given: self._update(self.actions, given["request"]["action"]),
            "service_create": lambda given: self._create(self.services, given["request"]["service"]),
            "service_update": lambda given: self._update(self.services, given["request"]["service"]),
            "get_action": lambda given: {"data": found(self.actions, given["request"]["name"])},
            "get_service": lambda given: {"data": found(self.services, given["request"]["name"])},
            "inspect_service": lambda given: {"data": self._status(given["request"]["name"])},
            "start_service": lambda given: self.running.add(given["request"]["name"]),
            "stop_service": lambda given: self.running.discard(given["request"]["name"]),
            "restart_service": lambda given: self.running.add(given["request"]["name"]),
            "read_secret": lambda given: {"data": {"value": found(self.stored, given["request"]["key"])}},
            "store_secret": lambda given: self.stored.__setitem__(given["request"]["key"], given["request"]["value"]),
            "delete_secret": lambda given: self.stored.pop(given["request"]["key"]) and None,
            "write_log": lambda given: self.lines.append(given["request"]),
            "tail_log": lambda given: {
                "lines": [
                    line | {"time_ms": at * 1000}
                    for at, line in enumerate(self.lines, 1)
                    if line["source"] == given["request"]["source"]
                ][-given["request"]["lines"] :]
            },
        }

    def _create(self, table: dict[str, Any], row: Params) -> None:
        if row["name"] in table:
            raise Refusal(-32009, "it exists")
        table[row["name"]] = row

    def _update(self, table: dict[str, Any], row: Params) -> None:
        found(table, row["name"])
        table[row["name"]] = row

    def _status(self, name: str) -> Params:
        service = found(self.services, name)
        up = name in self.running
        jobs = {service["actions"][0]: {"pid": 4242 if up else None}}
        return {"current_state": "up" if up else "down", "desired": "start" if up else "stop", "processes": jobs}


def _key(given: Params) -> str:
    where = given.get("namespace") or given["context"]
    return f"{where}/{given.get('name') or given['key']}"
