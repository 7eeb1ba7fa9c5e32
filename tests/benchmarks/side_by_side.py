"""What our parts cost, beside supervisord in the same run, on a real livekit-server and lk-backend.

    python -m tests.benchmarks.side_by_side [--json FILE]

Both supervise two programs. Medians and ratios count: machines are shared and noisy, so the two take turns.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import time
import xmlrpc.client
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from supervisor.xmlrpc import SupervisorTransport

from tests.calls.stack import HLU, Stack
from tests.servers import built_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parent.parent.parent
BIN = Path(sys.executable).parent

SUPERVISORD = """
[unix_http_server]
file={root}/s.sock
[supervisord]
logfile={root}/s.log
pidfile={root}/s.pid
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl=unix://{root}/s.sock
[program:one]
command=sleep 100000
startsecs=0
[program:two]
command=sleep 100000
startsecs=0
"""


class Peer:
    """A supervisord with two programs."""

    def __init__(self, root: Path) -> None:
        self._configuration = root / "s.conf"
        self._configuration.write_text(SUPERVISORD.format(root=root))
        command = [str(BIN / "supervisord"), "--nodaemon", "-c", str(self._configuration)]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            until((root / "s.sock").exists)
            transport: Any = SupervisorTransport(None, None, serverurl=f"unix://{root}/s.sock")
            self.rpc: Any = xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport)
            until(lambda: self.pid("one") and self.pid("two"))
        except BaseException:
            self.close()
            raise

    def pid(self, name: str) -> int:
        """The pid of a program, 0 while it has none."""
        try:
            return int(self.rpc.supervisor.getProcessInfo(name)["pid"])
        except (OSError, xmlrpc.client.Error):
            return 0

    def status(self) -> object:
        """All programs, by its own RPC."""
        return self.rpc.supervisor.getAllProcessInfo()

    def command(self) -> list[str]:
        """Its `status` command."""
        return [str(BIN / "supervisorctl"), "-c", str(self._configuration), "status"]

    def close(self) -> None:
        """End it and its programs."""
        self.process.terminate()
        self.process.wait()


def main() -> int:
    """Measure everything and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE")
    target = parser.parse_args().json
    with running(built_server()) as (stack, peer):
        figures = measure(stack, peer)
    for name, figure in figures.items():
        print(f"{name:<58} {figure['ours']:>10}  {figure['peer']:>10}  {figure['ratio']:>6}  {figure['goal']}")
    if target:
        target.write_text(json.dumps(figures, indent=2) + "\n")
    return 0


@contextmanager
def running(livekit_server: Path) -> Iterator[tuple[Stack, Peer]]:
    """Our stack and the peer, side by side."""
    stack = Stack(livekit_server)
    try:
        stack.start_hero_proc()
        assert stack.media.ensure().converged
        peer = Peer(stack.root)
        try:
            yield stack, peer
        finally:
            peer.close()
    finally:
        stack.close()


def measure(stack: Stack, peer: Peer) -> dict[str, dict[str, str]]:
    """Each figure beside the peer's."""
    found: dict[str, dict[str, str]] = {"": row("ours", "supervisord", "ratio", "goal")}
    ours, theirs = turns(stack.media.status, peer.status, 300)
    found["warm status of all units, library call, p50"] = ms(median(ours), median(theirs), "")
    found["warm status of all units, library call, p99"] = ms(centile(ours), centile(theirs), "")
    asked, theirs = turns(lambda: stack.hero_proc_client.call("service.list"), peer.status, 300)
    found["one RPC to the supervisor, p50"] = ms(median(asked), median(theirs), "")

    before = restarts(stack)
    ensures = [timed(stack.media.ensure) for _ in range(1000)]
    found["no-op ensure, p50 of 1,000"] = row(f"{median(ensures) * 1000:.2f} ms", "-", "-", "")
    found["restarts caused by them"] = row(str(restarts(stack) - before), "-", "-", "0")

    alone, theirs = turns(lambda: run([HLU, "status"], stack), lambda: run(peer.command(), stack), 20)
    found["status as a whole process, no control plane, p50"] = ms(median(alone), median(theirs), "")
    starts = []
    for _ in range(5):
        began = time.perf_counter()
        plane = stack.start_plane()
        starts.append(time.perf_counter() - began)
        plane.kill()
        plane.wait()
    stack.start_plane()
    quick, theirs = turns(lambda: run([HLU, "status"], stack), lambda: run(peer.command(), stack), 20)
    found["status as a whole process, by the control plane, p50"] = ms(median(quick), median(theirs), "<= 0.6")
    found["control plane start to first right status, p50 of 5"] = row(
        f"{median(starts) * 1000:.0f} ms", "-", "-", "<= 300 ms"
    )

    pid = stack.hero_proc_client.call("system.ping")["pid"]
    own, other = pss_mb(pid), pss_mb(peer.process.pid)
    found["memory of the supervisor (PSS)"] = row(f"{own:.1f} MB", f"{other:.1f} MB", f"{own / other:.2f}", "<= 1.2")

    noticed = [notice_ours(stack) for _ in range(10)]
    theirs = [notice_peer(peer) for _ in range(5)]
    found["a killed child is noticed, p50"] = ms(median(noticed), median(theirs), "<= 20 ms")
    found["a killed child is noticed, worst"] = ms(max(noticed), max(theirs), "<= 20 ms")
    return found


def notice_ours(stack: Stack) -> float:
    """Seconds from `kill -9` of lk-backend until hero_proc no longer gives its pid."""
    pid = stack.identities()["lk-backend"][0]

    def given() -> int | None:
        status = stack.hero_proc_client.call("service.status", {"name": "hero_livekit_backend"})
        return int(status["actions"][0]["pid"] or 0)

    seconds = kill_and_wait(pid, given)
    assert stack.media.ensure().converged
    return seconds


def notice_peer(peer: Peer) -> float:
    """The same of supervisord."""
    seconds = kill_and_wait(peer.pid("one"), lambda: peer.pid("one"))
    until(lambda: peer.pid("one"))
    return seconds


def kill_and_wait(pid: int, given: Callable[[], int | None]) -> float:
    """Seconds until a supervisor gives another pid, or none."""
    began = time.perf_counter()
    os.kill(pid, signal.SIGKILL)
    until(lambda: given() != pid, pause_s=0.0005)
    return time.perf_counter() - began


def turns(ours: Callable[[], object], theirs: Callable[[], object], count: int) -> tuple[list[float], list[float]]:
    """Seconds of each call, the two in turn, after a warm-up."""
    ours()
    theirs()
    pairs = [(timed(ours), timed(theirs)) for _ in range(count)]
    return [pair[0] for pair in pairs], [pair[1] for pair in pairs]


def timed(call: Callable[[], object]) -> float:
    """Seconds that one call takes."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def run(command: list[str], stack: Stack) -> None:
    """A command as a whole process."""
    subprocess.run(command, env=stack.environment, check=True, stdout=subprocess.DEVNULL)


def restarts(stack: Stack) -> int:
    """How often hero_proc has restarted any unit."""
    return sum(seen.entry.restarts for seen in stack.media.status().instances if seen.entry)


def pss_mb(pid: int) -> float:
    """Proportional set size, in MB of 1,048,576 bytes."""
    (line,) = (line for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines() if line.startswith("Pss:"))
    return int(line.split()[1]) / 1024


def median(values: list[float]) -> float:
    """The middle one."""
    return statistics.median(values)


def centile(values: list[float]) -> float:
    """The 99th of a hundred."""
    return statistics.quantiles(values, n=100)[98]


def ms(ours: float, theirs: float, goal: str) -> dict[str, str]:
    """Two times in seconds as a row in milliseconds."""
    return row(f"{ours * 1000:.2f} ms", f"{theirs * 1000:.2f} ms", f"{ours / theirs:.2f}", goal)


def row(ours: str, peer: str, ratio: str, goal: str) -> dict[str, str]:
    """One figure."""
    return {"ours": ours, "peer": peer, "ratio": ratio, "goal": goal}


def until(condition: Callable[[], object], *, pause_s: float = 0.01) -> None:
    """Wait for something, 30 s at most."""
    end = time.perf_counter() + 30.0
    while not condition():
        if time.perf_counter() > end:
            raise TimeoutError("not within 30 s")
        time.sleep(pause_s)


if __name__ == "__main__":
    sys.exit(main())
