"""A zinit 0.3.9 in memory, with its hazards: what our client must never do to it, and what it does by itself.

It owns no processes: what it starts is a row with the pid of some process that lives. The real one behaves like this
(measured):

- a second `service.set` of a name stops the service, and from then on nothing but `system.ping` is answered;
- deleting one that has a process holds up every change for seconds and kills it, and any deletion makes it lose sight
  of another service;
- `start` while stopping says ok and does nothing; a second `stop` sends no second signal;
- its next life starts everything that it has a file of, and adopts nothing.
"""

from __future__ import annotations

import itertools
import json
import socketserver
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from types import TracebackType


class FakeZinit:
    """Serves on a Unix socket while it is entered.

    asked: every request that changes something, as `method name`. hazards: what would have harmed a real one. slow: the
    services that do not end when they are asked. hang: whether it answers nothing but a ping. raw: what it answers to
    whatever it is asked, before it hangs up.
    """

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self.asked: list[str] = []
        self.hazards: list[str] = []
        self.slow: set[str] = set()
        self.hang = False
        self.raw: bytes | None = None
        self.states: dict[str, dict[str, Any]] = {}
        self.configs: dict[str, dict[str, Any]] = {}
        self.signals: list[str] = []
        self._lock = threading.Lock()
        self._pids = itertools.cycle(sorted(int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()))
        self._over = threading.Event()
        self._server = _Server(self.path, _Handler)
        self._server.fake = self

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._over.set()
        self._server.shutdown()
        self._server.server_close()

    def crash(self) -> None:
        """Its next life: a new process for all that it has a file of, whatever was stopped."""
        with self._lock:
            for name in self.configs:
                self._spawn(name)

    def end(self, name: str, state: str = "exited", **more: Any) -> None:
        """A process ends by itself, or at last."""
        with self._lock:
            self.states[name] = {"name": name, "pid": 0, "state": state, **more}

    def answer(self, request: dict[str, Any]) -> dict[str, Any] | None:
        """The answer to a request; None when there will be none."""
        method, name = request["method"], _name(request)
        with self._lock:
            if self.hang and method != "system.ping":
                return None
            if method not in {"system.ping", "service.status", "service.get"}:
                self.asked.append(f"{method} {name}")
            done = self._do(method, name, request["params"])
        if done is None:
            return None
        return {"jsonrpc": "2.0", "id": request["id"], **done}

    def wait_over(self) -> None:
        """Hold a connection that is never answered."""
        self._over.wait(30.0)

    def _do(self, method: str, name: str, params: dict[str, Any]) -> dict[str, Any] | None:
        read = method in {"service.status", "service.get"}
        if method == "system.ping":
            return {"result": {"version": "0.3.9"}}
        if method == "service.set":
            return self._set(name, params["config"])
        if name not in self.configs:
            return _error(-32000 if read else -32603, f"service not found: {name}")
        if method == "service.kill" and not self.states[name]["pid"]:
            return _error(-32603, f"service not running: {name}")
        if read:
            return {"result": dict((self.states if method == "service.status" else self.configs)[name])}
        self._change(method, name, params)
        return {"result": {"ok": True}}

    def _change(self, method: str, name: str, params: dict[str, Any]) -> None:
        status = self.states[name]
        match method:
            case "service.stop" if status["pid"] and status["state"] != "stopping":
                self.signals.append(f"SIGTERM {name}")
                slow = name in self.slow
                self.states[name] = status | ({"state": "stopping"} if slow else {"pid": 0, "state": "exited"})
            case "service.kill":
                self.signals.append(f"{params['signal']} {name}")
                self.states[name] = {"name": name, "pid": 0, "state": "failed", "error": "killed by signal 9"}
            case "service.start" if not status["pid"]:
                self._spawn(name)
            case "service.delete":
                self.hazards.append(f"deleted {name}")
                del self.configs[name], self.states[name]

    def _set(self, name: str, config: dict[str, Any]) -> dict[str, Any] | None:
        if name in self.configs:
            self.hazards.append(f"set {name} twice")
            self.hang = True
            return None
        self.configs[name] = config
        self._spawn(name)
        return {"result": {"name": name, "path": f"/cfg/{name}.toml", "warnings": []}}

    def _spawn(self, name: str) -> None:
        self.states[name] = {"name": name, "pid": next(self._pids), "state": "running"}


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    fake: FakeZinit


class _Handler(socketserver.StreamRequestHandler):
    server: _Server

    def handle(self) -> None:
        for line in self.rfile:
            if self.server.fake.raw is not None:
                self.wfile.write(self.server.fake.raw)
                return
            answer = self.server.fake.answer(json.loads(line))
            if answer is None:
                self.server.fake.wait_over()
                return
            self.wfile.write(json.dumps(answer).encode() + b"\n")


def _name(request: dict[str, Any]) -> str:
    params = request["params"]
    return str(params["config"]["service"]["name"] if "config" in params else params.get("name", ""))


def _error(code: int, message: str) -> dict[str, Any]:
    return {"error": {"code": code, "message": message}}
