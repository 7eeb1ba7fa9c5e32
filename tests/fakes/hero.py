"""A hero_proc of a few lines on a real Unix socket: stores what it is given, runs nothing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import hero_livekit_units
from tests.fakes.socket_peer import SocketPeer, answer, encoded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DOCUMENT = Path(hero_livekit_units.__file__).parent / "embedded" / "openrpc.json"


class Refusal(Exception):
    """What a method answers instead of a result."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class FakeHero(SocketPeer):
    """Serves while the context lasts. `methods` may be replaced one by one; `called` lists the names of all calls.

    `document` is the body of its `/openrpc.json`, None for a 404; `read` counts how often it was asked for.
    """

    def __init__(self, path: Path | str) -> None:
        super().__init__(path, self._respond)
        self.called: list[str] = []
        self.document: bytes | None = DOCUMENT.read_bytes()
        self.read = 0
        self.services: dict[str, dict[str, Any]] = {}
        self.actions: dict[tuple[str, str], dict[str, Any]] = {}
        self.stored: dict[tuple[str, str], str] = {}
        self.statuses: dict[str, Any] = {}
        self.lines: list[dict[str, Any]] = []
        self.methods: dict[str, Callable[[dict[str, Any]], Any]] = {
            "system.ping": lambda _: {"version": "0.4.0", "pid": 77, "pid_start": 5, "uptime_ms": 1},
            "action.set": self._set_action,
            "action.get": lambda given: _found("action", self.actions, (given["context"], given["name"])),
            "service.set": self._set_service,
            "service.get": lambda given: _found("service", self.services, given["name"]),
            "service.status": self._status,
            "service.start": lambda _: {"ok": True, "run_id": 1},
            "service.stop": lambda _: {"ok": True, "run_id": 1},
            "service.restart": lambda _: {"ok": True, "run_id": 2},
            "job.kill": lambda _: {"ok": True},
            "secret.get": lambda given: {
                "key": given["key"],
                "value": _found("secret", self.stored, (given["context"], given["key"])),
            },
            "secret.set": self._set_secret,
            "secret.delete": self._delete_secret,
            "logs.insert": lambda given: self.lines.append(given),  # noqa: PLW0108  mypy wants a value of None
            "logs.get": self._get_logs,
        }

    def _respond(self, request: Any) -> Iterator[bytes]:
        if request is None:
            self.read += 1
            yield answer(b"", "404 Not Found") if self.document is None else answer(self.document)
        elif isinstance(request, list):
            yield encoded([self._answer(call) for call in request])
        else:
            yield encoded(self._answer(request))

    def _answer(self, call: dict[str, Any]) -> dict[str, Any]:
        self.called.append(call["method"])
        try:
            result = self.methods.get(call["method"], _unknown)(call["params"])
        except Refusal as refusal:
            return {"jsonrpc": "2.0", "id": call["id"], "error": {"code": refusal.code, "message": str(refusal)}}
        return {"jsonrpc": "2.0", "id": call["id"], "result": result}

    def _set_action(self, given: dict[str, Any]) -> dict[str, Any]:
        # It adds fields of its own, as a real one may.
        self.actions[given["context"], given["action"]["name"]] = given["action"] | {
            "ai_config": None,
            "health_checks": [check | {"body": ""} for check in given["action"]["health_checks"]],
        }
        return {"name": given["action"]["name"], "changed": True}

    def _set_service(self, given: dict[str, Any]) -> dict[str, Any]:
        self.services[given["service"]["name"]] = given["service"] | {"class": "user"}
        return {"name": given["service"]["name"], "changed": True, "restarted": False}

    def _set_secret(self, given: dict[str, Any]) -> dict[str, Any]:
        self.stored[given["context"], given["key"]] = given["value"]
        return {"ok": True}

    def _delete_secret(self, given: dict[str, Any]) -> dict[str, Any]:
        _found("secret", self.stored, (given["context"], given["key"]))
        del self.stored[given["context"], given["key"]]
        return {"ok": True}

    def _get_logs(self, given: dict[str, Any]) -> list[dict[str, Any]]:
        # The first line was added 1 s after 1970, and each a second after the one before.
        kept = [line | {"epoch_ms": at_s * 1000} for at_s, line in enumerate(self.lines, 1)]
        return [line for line in kept if line["src"].startswith(given["src_prefix"])][-given["lines"] :]

    def _status(self, given: dict[str, Any]) -> Any:
        if given["name"] in self.statuses:
            return self.statuses[given["name"]]
        service = _found("service", self.services, given["name"])
        return {"name": given["name"], "status": service["status"], "state": "inactive", "actions": []}


def _unknown(_: dict[str, Any]) -> Any:
    raise Refusal(-32601, "unknown method")


def _found(kind: str, table: dict[Any, Any], key: Any) -> Any:
    if key not in table:
        raise Refusal(-32000, f"{kind} not found: {key}")
    return table[key]
