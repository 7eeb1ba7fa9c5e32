"""The verdict table by golden cases: what the witnesses say, and what follows, in one file each.

A case in `tests/cases/verdict` has a `summary`, the expected `verdict` and `because`, and the words of the witnesses:

    [supervisor]  state, or "not registered", or "cannot be asked"; wanted, pid, restarts, last_error
    [process]     ours, as the kernel sees it: pid, age_s, suspended. Left out where none was found
    [ports]       who holds them, by name or `all`: a pid, { pid, command }, "nobody", or "not told" by the kernel
    [probes]      true, or { ok, says }; without `ok` it could not be asked. Left out where nobody could be asked
"""

from __future__ import annotations

import ast
import inspect
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from hero_livekit_units.model.observed import Entry, EntryState, PortSeen, ProbeSeen, ProcessId, ProcessSeen
from hero_livekit_units.observe import verdict
from tests.strategies import MEDIA, entry, process

if TYPE_CHECKING:
    from types import FrameType

    from hero_livekit_units.model.launch import Port
    from hero_livekit_units.model.observed import Verdict

CASES = {path.stem: path for path in sorted((Path(__file__).parents[1] / "cases" / "verdict").glob("*.toml"))}
START = 1_000_000


@attrs.frozen
class Supervisor:
    """Its word in a case."""

    state: str
    wanted: bool = False
    pid: int = 0
    restarts: int = 0
    last_error: str = ""

    def entry(self) -> Entry | None:
        """What the table is given."""
        if self.state in {"not registered", "cannot be asked"}:
            return None
        held = ProcessId(self.pid, START) if self.pid else None
        return entry(
            MEDIA,
            wanted=self.wanted,
            state=EntryState(self.state),
            process=held,
            restarts=self.restarts,
            last_error=self.last_error,
        )


@attrs.frozen
class Case:
    """A file of the folder; a key that is not known here is a TypeError."""

    summary: str
    verdict: str
    because: str
    supervisor: dict[str, Any]
    ports: dict[str, Any]
    process: dict[str, Any] = attrs.field(factory=dict)
    probes: dict[str, Any] = attrs.field(factory=dict)

    def conclude(self) -> tuple[Verdict, str]:
        """Have the table decide."""
        supervisor = Supervisor(**self.supervisor)
        names = [port.name for port in MEDIA.ports]
        assert set(self.ports) <= {"all", *names}
        return verdict.conclude(
            MEDIA,
            registry_looked=supervisor.state != "cannot be asked",
            entry=supervisor.entry(),
            process=self._process(**self.process) if self.process else None,
            ports=[_port(port, self.ports.get(port.name, self.ports["all"])) for port in MEDIA.ports],
            probes=self._probes(),
        )

    def _process(self, *, pid: int, age_s: float, suspended: bool = False) -> ProcessSeen:
        return process(MEDIA, id=ProcessId(pid, START), age_s=age_s, suspended=suspended)

    def _probes(self) -> list[ProbeSeen]:
        known = {probe.name: probe for probe in MEDIA.probes}
        good = {"ok": True, "says": ""}
        said: dict[str, dict[str, Any]] = {n: good if told is True else told for n, told in self.probes.items()}
        return [ProbeSeen(known[name], told.get("ok"), told["says"], 0.5) for name, told in said.items()]


def _port(port: Port, holder: Any) -> PortSeen:
    match holder:
        case "nobody":
            return PortSeen(port, looked=True, held=False)
        case "not told":
            return PortSeen(port, looked=False, held=True)
        case int(pid):
            return PortSeen(port, looked=True, held=True, owner_pid=pid, owner_command="livekit-server")
        case {"pid": pid, "command": command, **nothing} if not nothing:
            return PortSeen(port, looked=True, held=True, owner_pid=pid, owner_command=command)
    raise AssertionError(holder)


def read(path: Path) -> Case:
    """A case from its file."""
    return Case(**tomllib.loads(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("path", CASES.values(), ids=CASES)
def test_case(path: Path) -> None:
    """What the witnesses of the case say leads to its verdict, for exactly its reason."""
    case = read(path)
    assert (case.verdict, case.because) == case.conclude()


def test_every_row_has_a_case() -> None:
    """Each `return` of the table decides at least one case, so that a new row comes with the case that shows it."""
    tree = ast.parse(inspect.getsource(verdict))
    rows = {node.lineno: ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Return)}
    passed: set[int] = set()

    def trace(frame: FrameType, event: str, _: object) -> Any:
        if frame.f_code.co_filename != verdict.__file__:
            return None
        if event == "line":
            passed.add(frame.f_lineno)
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        for path in CASES.values():
            read(path).conclude()
    finally:
        sys.settrace(before)
    assert {row for line, row in rows.items() if line not in passed} == set()


def test_no_summary_stands_twice() -> None:
    """Each case is about something of its own."""
    assert len({read(path).summary for path in CASES.values()}) == len(CASES)
