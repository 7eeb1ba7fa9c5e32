"""A walk: one host whose media are changed again and again while people talk, and what manages them dies meanwhile.

A *path* leads from one moment at which all is as wanted to the next: something else is wanted, what happens on the way
is thrown with dice, and in the end the slot that was left has ended. Two rooms live through each path, from the end of
the one before; two others are opened on it, which live through the next.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import count
from typing import TYPE_CHECKING

import requests
from attrs import define

from hero_livekit_units.calls.call import LEAST_BASELINE_S, Call
from hero_livekit_units.calls.verdict import judge
from hero_livekit_units.errors import PlanStale, RegistryError, RegistryUnavailable, UnitsError
from hero_livekit_units.execute.lock import acting_lock
from hero_livekit_units.livekit.desired import MEDIA
from hero_livekit_units.livekit.front import Front
from hero_livekit_units.model.observed import Verdict
from hero_livekit_units.model.unit import Strategy
from hero_livekit_units.registry.wire import CONTEXT
from tests.calls.dying import WHENS
from tests.calls.stack import HLU, FrontedStack, Stack
from tests.calls.upgrading import assert_one_slot, assert_what_runs, kill_at, people_in, wanted

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from hero_livekit_units.calls.verdict import ParticipantReport
    from hero_livekit_units.model.receipt import Receipt

FRONT = "livekit-front"
LIFETIME_S = 15  # of a join token, as a rotation of secrets lasts so long
_LONGEST_ENSURE_S = 0.6  # of the command, from its start to its end, where a slot has to be started
_SETTLE_S = 2.2  # a speaker counts as heard for 2 s after its last sound
_CHANGED_S = 60.0
_OVER_S = 90.0  # who lost the connection as it left is counted for 20 s, and a token's address is good for 10 s
_BACK_S = 30.0
_BUG = 70  # the exit status of a fault of the program
# As wanted, or people are waited for; or a host with much to do did not say in time what runs, and nobody guesses.
_DONE = {0, 3, 6}
_UNHEARD = 5  # that of one that hero_proc did not answer in time


@define
class LongRoom:
    """A room that people talk in for the length of two paths; the slot that it is on, and how often it was cut."""

    name: str
    call: Call
    slot: str
    people: int
    cut: int = 0


class Walk:
    """One host, and what was done to it. `close` ends the calls.

    Args:
        stack: the host, with hero_proc running and nothing else.
        servers: the program of each release that may be run.
        dice: decides everything.
    """

    def __init__(self, stack: Stack, servers: Mapping[str, Path], dice: random.Random) -> None:
        self.stack = stack
        self.servers = dict(servers)
        self.count: Counter[str] = Counter()
        self.reports: list[tuple[ParticipantReport, int]] = []  # with how often the room was cut
        self.told: list[str] = []
        self._dice = dice
        self._rooms: list[LongRoom] = []
        self._calls = contextlib.ExitStack()
        self._numbers = count(1)
        self._fronted = isinstance(stack, FrontedStack)

    def close(self) -> None:
        """Everybody leaves."""
        self._calls.close()

    def begin(self) -> None:
        """A release of those that are there, and the first rooms."""
        assert self.stack.hlu("set", "backend.token_ttl_s", str(LIFETIME_S)).returncode == 0
        self._release = self._dice.choice(sorted(self.servers))
        wanted(self.stack, self._release, self.servers)
        self._ensure_until("the first release runs", converged)
        self._open()

    def path(self) -> None:
        """Something else is wanted, and reached. Raises AssertionError with all that was done on this walk."""
        self.count["paths"] += 1
        before = self.stack.servers()
        old = list(self._rooms)
        try:
            self._say(f"path {self.count['paths']} from {before}")
            self._want()
            self._dice.choice((self._kill_ensures, self._kill_ensures_at_a_step, self._disturb))()
            for _ in range(self._dice.randint(0, 2)):
                self._disturb()
            self._reach(old)
            while self._rotation():  # a rotation of the API key replaces the server twice
                old = list(self._rooms)
                self._wait_until_due()
                self._reach(old)
        except (AssertionError, UnitsError, OSError) as error:
            error.add_note("\n".join(self.told[-40:]))
            raise

    def end(self) -> None:
        """Judge the last rooms."""
        for room in list(self._rooms):
            self._leave(room)

    # -- what is wanted

    def _want(self) -> None:
        kinds = {"upgrade": 6, "configure": 3, "rotate": 1}
        (kind,) = self._dice.choices(list(kinds), list(kinds.values()))
        if kind == "upgrade":
            catalog = self.stack.media.catalog
            ends = [
                version
                for version in sorted(self.servers)
                for edge in catalog.edges_to(catalog.find(MEDIA, version))
                if edge.start == f"{self._release}-r1" and Strategy.TWO_SLOT in edge.strategies
            ]
            new = self._dice.choice(ends)
            self._note("upgrade", f"{self._release} to {new}")
            wanted(self.stack, new, self.servers)
            self._release = new
        elif kind == "configure":
            level = self._dice.choice([level for level in ("debug", "info", "warn") if level != self._level()])
            self._note("configure", f"log_level {level}")
            assert self.stack.hlu("set", "livekit.log_level", level).returncode == 0
        else:
            what = self._dice.choice(("api-key", "backend-secret"))
            self._note("rotate", what)
            done = self.stack.hlu("secret", "rotate", what)
            assert done.returncode in _DONE, done.stderr

    def _level(self) -> str:
        return self.stack.media.settings().livekit.log_level

    def _rotation(self) -> bool:
        return "rotation" in self.stack.hero_proc_client.call("secret.list", {"context": CONTEXT})

    def _wait_until_due(self) -> None:
        record = json.loads(
            self.stack.hero_proc_client.call("secret.get", {"key": "rotation", "context": CONTEXT})["value"]
        )
        self._say(f"rotation: phase {record['phase']}, for {record['until_s'] - time.time():.1f} s more")
        while (left_s := record["until_s"] - time.time()) > 0:
            time.sleep(left_s)

    # -- what happens on the way

    def _disturb(self) -> None:
        kinds: list[Callable[[], None]] = [
            self._kill_ensures,
            self._kill_ensures_at_a_step,
            self._kill_the_plane,
            self._kill_the_supervisor,
            self._kill_the_supervisor_under_an_ensure,
            self._ensure_twice_at_once,
            self._visit,
            self._end_one,
        ]
        if self._fronted:
            kinds += [self._reload_the_front, self._kill_the_front]
        self._dice.choice(kinds)()

    def _start_ensure(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [HLU, "ensure"], env=self.stack.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def _kill_ensures(self) -> None:
        for _ in range(self._dice.randint(1, 4)):
            after_s = self._dice.uniform(0.1, _LONGEST_ENSURE_S)
            ensure = self._start_ensure()
            with contextlib.suppress(subprocess.TimeoutExpired):
                ensure.wait(after_s)
            ensure.kill()
            self._ended("ensure killed from outside", ensure.wait(), f"after {after_s:.2f} s")

    def _kill_ensures_at_a_step(self) -> None:
        for _ in range(self._dice.randint(1, 3)):
            steps = self.stack.media.plan().steps
            if not steps:
                return
            when, number = self._dice.choice(WHENS), self._dice.randint(1, len(steps))
            self._ended("ensure killed at a step", kill_at(self.stack, when, number), f"when step {number} {when}")

    def _ended(self, what: str, status: int, when: str) -> None:
        """Count a kill, where it came before the end."""
        assert status != _BUG
        self._note(what if status == -signal.SIGKILL else "ensure that was faster than its kill", when)

    def _kill_the_plane(self) -> None:
        plane = self.stack.start_plane()
        after_s = self._dice.uniform(0.0, 1.0)
        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(self.stack.plane_client.call, "livekitservice.ensure", deadline_s=30.0)
            time.sleep(after_s)
            os.killpg(plane.pid, signal.SIGKILL)
            plane.wait()
            with contextlib.suppress(RegistryError):
                asked.result()
        self._note("control plane killed", f"{after_s:.2f} s after it was asked to ensure")

    def _kill_the_supervisor(self) -> None:
        self.stack.kill_hero_proc()
        self.stack.start_hero_proc()
        self._note("supervisor killed", "")

    def _kill_the_supervisor_under_an_ensure(self) -> None:
        after_s = self._dice.uniform(0.1, _LONGEST_ENSURE_S)
        ensure = self._start_ensure()
        time.sleep(after_s)
        self.stack.kill_hero_proc()
        self.stack.start_hero_proc()
        status = ensure.wait(90)
        assert status not in {_BUG, -signal.SIGKILL}
        self._note("supervisor killed", f"{after_s:.2f} s after an ensure began, which ended with {status}")

    def _ensure_twice_at_once(self) -> None:
        both = [self._start_ensure() for _ in range(2)]
        found = sorted(ensure.wait(90) for ensure in both)
        assert set(found) <= {*_DONE, _UNHEARD}, found
        self._note("two ensures at once", f"which ended with {found}")

    def _visit(self) -> None:
        """Somebody joins a room that lasts, late, and leaves again."""
        if not self._rooms:
            return
        room = self._dice.choice(self._rooms)
        with Call() as visit:
            visit.start([self.stack.seat(f"late{next(self._numbers)}", room.name)])
            self._wait_for(
                f"{room.name} has {room.people + 1} people on slot {room.slot}",
                partial(self._has, room, room.people + 1),
            )
        self._note("late joiner", f"in {room.name} on slot {room.slot}")

    def _end_one(self) -> None:
        if len(self._rooms) > 1:
            room = self._dice.choice(self._rooms)
            self._leave(room)
            self._note("room ended on the way", room.name)

    def _reload_the_front(self) -> None:
        with acting_lock(self.stack.places.home, timeout_s=30.0):
            done = Front(self.stack.places.home / "front").reload()
        self._note("front reloaded", f"with {done.rooms} rooms")

    def _kill_the_front(self) -> None:
        pid = self.stack.identities()[FRONT][0]
        os.kill(pid, signal.SIGKILL)
        for room in self._rooms:
            room.cut += 1
        self._note("front killed", f"pid {pid}")
        self._wait_for(
            "everybody is back",
            lambda: all(report.reconnects >= room.cut for room in self._rooms for report in room.call.snapshot()),
            within_s=_BACK_S,
        )
        seen = self.stack.media.status().instance(FRONT)
        assert seen.verdict is Verdict.HEALTHY, seen.because

    # -- the way to the end

    def _reach(self, old: Sequence[LongRoom]) -> None:
        """What is wanted serves new rooms; the old ones live until everybody leaves, then their slot ends."""
        self._ensure_until("new rooms go where they should", serves)
        self._open()
        if self._dice.random() < 0.5:
            self._disturb()
        time.sleep(_SETTLE_S)
        self._see_all_well()
        for room in old:
            if room in self._rooms:
                self._leave(room)
        if self._dice.random() < 0.5:
            self._dice.choice((self._kill_ensures, self._kill_ensures_at_a_step))()
        self._ensure_until("all is as wanted", converged, within_s=_OVER_S)
        # A rotation that lasts may become due at any moment, and then there is something to do again.
        check = assert_one_slot if self._rotation() else assert_what_runs
        check(self.stack, f"{self._release}-r1", self.stack.media.status().slot)
        self._see_all_well()
        self._say(f"reached {self.stack.servers()}")

    def _ensure_until(self, what: str, done: Callable[[Receipt], bool], within_s: float = _CHANGED_S) -> None:
        """Ensure again and again; an ensure that finds the world changed under it says so, and comes again."""
        until_s = time.monotonic() + within_s
        while True:
            try:
                receipt = self.stack.media.ensure()
                if done(receipt):
                    return
                why = f"{receipt.refusals} {receipt.waits}"
            except (PlanStale, RegistryUnavailable) as later:
                why = str(later)
            assert time.monotonic() < until_s, f"not within {within_s:g} s: {what}; {why}"
            time.sleep(0.2)

    def _open(self) -> None:
        """Two rooms, on the slot that new rooms go to; their baseline is undisturbed."""

        def start(call: Call, name: str) -> None:
            call.start([self.stack.seat(f"{name}-{who}", name) for who in ("ann", "bob")])
            call.listen(LEAST_BASELINE_S + 0.2)
            call.mark("walk")

        slot = self.stack.media.status().slot
        fresh = [LongRoom(f"room{next(self._numbers)}", self._calls.enter_context(Call()), slot, 2) for _ in range(2)]
        with ThreadPoolExecutor(2) as pool:
            for started in [pool.submit(start, room.call, room.name) for room in fresh]:
                started.result()
        self._rooms += fresh
        self.count["rooms"] += len(fresh)
        self._see_rooms()

    def _see_rooms(self) -> None:
        """Each room is on its slot, and on no other."""
        for room in self._rooms:
            self._wait_for(
                f"{room.name} is on slot {room.slot}",
                partial(self._has, room, room.people),
            )
        on = {slot: people_in(self.stack, slot) for slot in ("a", "b")}
        assert set(on["a"]) & set(on["b"]) == set(), on

    def _has(self, room: LongRoom, people: int) -> bool:
        try:
            return people_in(self.stack, room.slot).get(room.name) == people
        except requests.Timeout:
            return False  # it is asked again

    def _see_all_well(self) -> None:
        self._see_rooms()
        for room in self._rooms:
            self._judge(room, room.call.snapshot())

    def _judge(self, room: LongRoom, reports: Sequence[ParticipantReport]) -> None:
        """Nobody was dropped, and nobody had to come back more often than the front was killed."""
        assert judge(reports).calls_dropped == 0, reports
        assert all(report.disconnects == 0 and not report.unheard for report in reports), reports
        assert room.cut or all(report.reconnects == 0 for report in reports), reports

    def _leave(self, room: LongRoom) -> None:
        reports = room.call.report()
        self._judge(room, reports)
        self.reports += [(report, room.cut) for report in reports]
        room.call.stop()
        self._rooms.remove(room)

    def _wait_for(self, what: str, condition: Callable[[], bool], within_s: float = 20.0) -> None:
        self.stack.until(what, condition, within_s=within_s)

    def _note(self, what: str, how: str) -> None:
        self.count[what] += 1
        self._say(f"{what}: {how}")

    def _say(self, text: str) -> None:
        self.told.append(f"{time.strftime('%H:%M:%S')} {text}")

    def figures(self) -> str:
        """All that was done, and what people heard."""
        done = ", ".join(f"{number} {what}" for what, number in sorted(self.count.items()))
        reports = [report for report, _ in self.reports]
        dropped = judge(reports).calls_dropped
        baseline = max(report.baseline_gap_ms for report in reports)
        quiet = max((report.longest_gap_ms for report, cut in self.reports if not cut), default=0.0)
        cut = max((report.longest_gap_ms for report, cut in self.reports if cut), default=0.0)
        stall = max(report.stall_ms for report in reports)
        said = f"{done}; {dropped} calls dropped, longest gap {quiet:.0f} ms beside {baseline:.0f} undisturbed"
        said += f" (a participant stalled for {stall:.0f} ms)"
        return said + (f", {cut:.0f} ms in rooms whose front was killed" if cut else "")


def serves(receipt: Receipt) -> bool:
    """Whether an ensure has nothing left to do but to wait for people who leave."""
    return not receipt.refusals and all(wait.seconds is None for wait in receipt.waits)


def converged(receipt: Receipt) -> bool:
    """Whether all is as wanted, and was seen to be: on a busy machine a look may come to its time limit."""
    return receipt.converged and not any("state is unknown" in note.text for note in receipt.notes)
