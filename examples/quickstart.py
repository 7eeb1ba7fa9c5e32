"""A real call lives on while the programs around it are killed: the main job of the package, measured.

It provisions livekit-server, starts hero_proc and the control plane, asks the control plane to `ensure` the media, lets
two participants in processes of their own talk, and then kills the control plane ten times and hero_proc three times,
and asks for `ensure` a hundred times. Run it by `examples/quickstart`.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hero_livekit_units.atomic import write_atomically
from hero_livekit_units.calls.call import SETTLE_S, Call
from hero_livekit_units.calls.network import require_interface
from hero_livekit_units.calls.verdict import judge
from hero_livekit_units.cli.progress import shown
from hero_livekit_units.errors import RegistryError, UnitsError
from hero_livekit_units.herosocket.client import HeroClient
from hero_livekit_units.livekit.install import install
from hero_livekit_units.media import Media
from hero_livekit_units.model.observed import ProcessId
from hero_livekit_units.observe.kernel import is_alive, see_process
from hero_livekit_units.places import Places, find_places
from hero_livekit_units.verify.daemons import Supervisor
from hero_livekit_units.verify.host import Door

if TYPE_CHECKING:
    from collections.abc import Callable

ROOM = "quickstart"
HLU = str(Path(sys.executable).parent / "hlu")
WITHIN_S = 30.0


def main() -> int:
    """Run one command line."""
    parser = argparse.ArgumentParser(prog="examples/quickstart", description="A call that survives, measured.")
    parser.add_argument("--json", metavar="FILE", type=Path, help="also write the result as data")
    parser.add_argument("--down", action="store_true", help="stop what the quick start started")
    parser.add_argument("--livekit-server", metavar="PATH", type=Path, help="use this livekit-server")
    arguments = parser.parse_args()
    places = find_places()
    try:
        return down(places) if arguments.down else up(places, arguments.json, arguments.livekit_server)
    except UnitsError as error:
        print(error, file=sys.stderr)
        if error.hint:
            print(f"hint: {error.hint}", file=sys.stderr)
        return 1


def up(places: Places, json_file: Path | None, livekit_server: Path | None) -> int:
    """Start everything, run the call, do the damage, and tell what happened."""
    require_interface()
    media = Media.connect(places=places)
    told("1. livekit-server: find it, download it or build it (up to three minutes the first time)")
    with shown() as reporter:
        (program,) = install(media.catalog, media.settings(), places.home, named=livekit_server, reporter=reporter)
    print(f"   {program.path} ({program.road})")
    told("2. hero_proc and the control plane")
    hlu("hero-proc", "start")
    plane = Plane(places)
    plane.start()
    told("3. ensure: the control plane asks hero_proc to run the media")
    # The media would start in their other slot; what is shown here should be nobody else's calls.
    strangers = [unit["because"] for unit in plane.status()["units"] if unit["verdict"] == "foreign"]
    if strangers:
        raise UnitsError(f"cannot start the media: {'; '.join(strangers)}", hint="end it, or give other ports")
    receipt = plane.client.call("livekitservice.ensure", deadline_s=120.0)
    if not receipt["converged"]:
        reasons = "; ".join(f"{item['instance']}: {item['because']}" for item in receipt["refusals"])
        raise UnitsError(f"cannot start the media: {reasons}", hint=f"the user's settings are {places.settings_file}")
    for state in receipt["after"]:
        print(f"   {state['instance']} is {state['verdict']}, pid {state['process']['pid']}")
    with Call() as call:
        result = disturbed_call(call, places, plane)
    # A participant that did not get to say goodbye is in the call until livekit-server misses it.
    until("both have left the call", lambda: people_in_calls(plane) == [0])
    show(result)
    if json_file:
        json_file.write_text(json.dumps(result, indent=2) + "\n")
    print(f"\nEverything still runs. Its files: {places.home}; logs of the units: {places.hero_proc}/logs")
    print(f"Look at it:  PATH_ROOT={os.environ.get('PATH_ROOT', '')} {HLU} status")
    print("Stop it:     examples/quickstart --down")
    return 0 if survived(result) else 1


def disturbed_call(call: Call, places: Places, plane: Plane) -> dict[str, Any]:
    """A call of two, undisturbed for a while and then with the programs around it killed; the result as data."""
    told("4. a call: two participants in processes of their own")
    before = plane.status()
    door = Door(places.home)
    call.start([door.seat(ROOM, name) for name in ("alice", "bob")])
    print("   both hear each other; ten undisturbed seconds for comparison")
    call.listen(10.0)
    call.mark("disturbed")
    told("5. kill -9 of the control plane, ten times")
    crashes = 10
    for _ in range(crashes):
        plane.kill()
        plane.start()
    told("6. kill -9 of hero_proc, three times")
    supervisors = 3
    hero_proc = Supervisor(Media.connect(places=places))
    for _ in range(supervisors):
        hero_proc.crash()
    told("7. a hundred times ensure")
    ensures = 100
    changed = sum(plane.client.call("livekitservice.ensure", deadline_s=30.0)["changed"] for _ in range(ensures))
    call.listen(SETTLE_S)
    reports = call.report()
    verdict = judge(reports)
    after = plane.status()
    return {
        "calls_dropped": verdict.calls_dropped,
        "calls_interrupted": verdict.calls_interrupted,
        "control_plane_crashes": crashes,
        "supervisor_crashes": supervisors,
        "ensures": ensures,
        "ensures_that_changed_something": changed,
        "units": [
            {
                "instance": one["instance"],
                "pid_before": one["pid"],
                "pid_after": other["pid"],
                "start_before": one["start_time"],
                "start_after": other["start_time"],
                "restarts": (other["restarts"] or 0) - (one["restarts"] or 0),
            }
            for one, other in zip(before["units"], after["units"], strict=True)
        ],
        "participants": [
            {
                "identity": report.identity,
                "room": report.room,
                "longest_gap_ms": round(report.longest_gap_ms, 1),
                "baseline_gap_ms": round(report.baseline_gap_ms, 1),
                "disconnects": report.disconnects,
                "reconnects": report.reconnects,
            }
            for report in reports
        ],
    }


class Plane:
    """The control plane as a process of ours, started and killed at will. It loses nothing by that."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._process: subprocess.Popen[bytes] | None = None
        self.client = HeroClient(str(places.socket("hero_livekit")), deadline_s=5.0)

    def start(self) -> None:
        """Start it and wait for its first right status; a control plane that runs already is replaced."""
        end_noted_plane(self._places)
        log = self._places.home / "plane.log"
        log.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [HLU, "plane"], stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )
        seen = see_process(self._process.pid)
        if seen:
            note = json.dumps({"pid": seen.id.pid, "start_time": seen.id.start_time})
            write_atomically(noted_plane(self._places), note, 0o600)
        until("the control plane answers", self._answers)

    def kill(self) -> None:
        """SIGKILL to the process that `start` started."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def status(self) -> dict[str, Any]:
        """What lives."""
        return dict(self.client.call("livekitservice.status"))

    def _answers(self) -> bool:
        if self._process is None or self._process.poll() is not None:
            raise UnitsError("cannot start the control plane", hint=f"its log: {self._places.home / 'plane.log'}")
        try:
            self.status()
        except RegistryError:
            return False
        return True


def noted_plane(places: Places) -> Path:
    """Where the quick start notes which control plane is its own."""
    return places.home / "quickstart-plane.json"


def end_noted_plane(places: Places) -> None:
    """End the control plane that the quick start noted, if that very process still lives."""
    try:
        noted = json.loads(noted_plane(places).read_text())
    except (FileNotFoundError, ValueError):
        return
    process = ProcessId(noted["pid"], noted["start_time"])
    if is_alive(process):
        os.kill(process.pid, signal.SIGTERM)
        until("the control plane is gone", lambda: not is_alive(process))
    noted_plane(places).unlink(missing_ok=True)


def down(places: Places) -> int:
    """Stop what the quick start started. Refused, by `hlu stop`, while somebody is in a call."""
    running = hlu("hero-proc", "status", check=False) == 0
    if running:
        code = hlu("stop", check=False)
        if code:
            return code
    end_noted_plane(places)
    if running:
        hlu("hero-proc", "stop")
    print(f"nothing of it runs any more; its files stay in {places.home.parent}")
    return 0


def people_in_calls(plane: Plane) -> list[int | None]:
    """How many there are on each unit that carries calls, None where that cannot be told."""
    return [unit["calls"]["people"] for unit in plane.status()["units"] if unit["calls"]]


def survived(result: dict[str, Any]) -> bool:
    """Whether the call lived on in the processes in which it began, and nobody had to come back."""
    same = all(
        unit["pid_before"] == unit["pid_after"] is not None
        and unit["start_before"] == unit["start_after"]
        and unit["restarts"] == 0
        for unit in result["units"]
    )
    stayed = all(not person["disconnects"] and not person["reconnects"] for person in result["participants"])
    return same and stayed and result["calls_dropped"] == 0


def show(result: dict[str, Any]) -> None:
    """The result for a person."""
    print("\nunit              pid before → after     start (tick) before → after   restarts")
    for unit in result["units"]:
        pids = f"{unit['pid_before']} → {unit['pid_after']}"
        starts = f"{unit['start_before']} → {unit['start_after']}"
        print(f"{unit['instance']:<17} {pids:<22} {starts:<29} {unit['restarts']}")
    print("\nparticipant  longest gap  undisturbed  disconnects  reconnects")
    for person in result["participants"]:
        gap, baseline = f"{person['longest_gap_ms']:.0f} ms", f"{person['baseline_gap_ms']:.0f} ms"
        print(f"{person['identity']:<12} {gap:<12} {baseline:<12} {person['disconnects']:<12} {person['reconnects']}")
    print(
        f"\n{result['control_plane_crashes']} crashes of the control plane, "
        f"{result['supervisor_crashes']} of hero_proc, "
        f"{result['ensures']} ensure calls"
    )
    print(f"calls interrupted: {result['calls_interrupted']}")
    print(f"calls dropped: {result['calls_dropped']}")


def hlu(*arguments: str, check: bool = True) -> int:
    """Run `hlu`; its text goes where ours goes."""
    sys.stdout.flush()
    code = subprocess.run([HLU, *arguments], check=False).returncode
    if check and code:
        raise UnitsError(f"cannot go on: hlu {' '.join(arguments)} ended with status {code}")
    return code


def until(what: str, condition: Callable[[], bool]) -> None:
    """Wait for something with a deadline."""
    end = time.monotonic() + WITHIN_S
    while not condition():
        if time.monotonic() >= end:
            raise UnitsError(f"cannot go on: it is not true within {WITHIN_S:g} s that {what}")
        time.sleep(0.02)


def told(text: str) -> None:
    """Say what happens next."""
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
