"""Runs participants, each in a process of its own, and collects what they hear.

Owns the processes: they end with `stop`, with the `with` block, and by themselves when this process dies, because their
stdin ends with it. Must not judge: `verdict` does.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Self

from attrs import field, frozen

from hero_livekit_units.calls.extra import require_extra
from hero_livekit_units.calls.member import Member
from hero_livekit_units.calls.network import require_interface
from hero_livekit_units.calls.verdict import NotedGap, ParticipantReport
from hero_livekit_units.errors import UnitsError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    Reports = tuple[ParticipantReport, ...]

SETTLE_S = 2.5  # to listen after the last disturbance: for 2 s after its last sound a speaker still counts as heard
LEAST_BASELINE_S = 2.0

_RAMP_S = 1.0  # between the last "I hear" and the baseline: people still joining make gaps for the others
_POLL_S = 0.25


class Role(StrEnum):
    """What a participant does."""

    SPEAKER = "speaker"
    LISTENER = "listener"
    BOTH = "both"


@frozen
class Seat:
    """A participant to be: who, in which room, by which server, with which token.

    Attributes:
        identity: unique in its room, and the one in the token: LiveKit throws out the older of two.
        room: as in the token.
        url: of the server's signal port, such as ws://127.0.0.1:7880.
        token: that lets it join. It is handed over by a pipe and shown nowhere.
        role: whether it speaks, listens or both.
    """

    identity: str
    room: str
    url: str
    token: str = field(repr=False)
    role: Role = Role.BOTH

    @property
    def speaks(self) -> bool:
        """Whether the others should hear it."""
        return self.role is not Role.LISTENER

    @property
    def listens(self) -> bool:
        """Whether it should hear the others."""
        return self.role is not Role.SPEAKER


class Call:
    """The calls of one run: some participants in one or more rooms.

    `start`, then `listen` for the baseline, `mark` what comes next, let it happen, `listen(SETTLE_S)`, `report`.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._members: list[tuple[Seat, Member]] = []
        self._requests = 0
        self._marks = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pids(self) -> dict[tuple[str, str], int]:
        """The process of each participant, by room and identity."""
        return {(seat.room, seat.identity): member.pid for seat, member in self._members}

    def start(self, seats: Sequence[Seat], *, timeout_s: float = 30.0) -> None:
        """Start all participants and wait until everyone hears everyone in its room; then the baseline begins.

        Args:
            seats: who takes part.
            timeout_s: seconds until everyone must hear everyone.

        Raises:
            UnitsError: the extra is missing, no participant can connect on this host, one could not join, or
                not all hear each other in time. The participants are ended then.
        """
        if self._members:
            raise UnitsError("cannot start call: it is already running", hint="use another Call")
        _check(seats)
        require_extra()
        require_interface()
        until_s = time.monotonic() + timeout_s
        try:
            for seat, hears in _who_hears_whom(seats):
                job = {"url": seat.url, "token": seat.token, "speaks": seat.speaks, "hears": hears}
                self._members.append((seat, Member(seat.identity, job, self._changed)))
            self._await_all(lambda member: member.joined and member.hears_all, until_s)
            self._require(lambda member: member.joined and member.hears_all, f"within {timeout_s:g} s")
            self.listen(_RAMP_S)
            self.mark("baseline")
        except BaseException:
            self.stop()
            raise

    def mark(self, name: str, *, timeout_s: float = 5.0) -> None:
        """Begin a stretch, in every participant, before this returns. The first mark ends the baseline.

        A participant that does not follow within `timeout_s` could count what comes as undisturbed: from now on its
        reports are failures.
        """
        number = self._ask({"mark": name}, timeout_s)
        self._marks += 1
        with self._changed:
            for _, member in self._members:
                if member.answered < number:
                    member.give_up(f"its process did not follow the mark {name!r} within {timeout_s:g} s")

    def listen(self, duration_s: float) -> None:
        """Let the call run for a while."""
        until_s = time.monotonic() + duration_s
        while (left_s := until_s - time.monotonic()) > 0:
            time.sleep(left_s)

    def wait_until(self, condition: Callable[[Reports], bool], *, timeout_s: float) -> bool:
        """Wait until the reports are as the caller wants them; False when they are not in time."""
        until_s = time.monotonic() + timeout_s
        while not condition(self.snapshot()):
            if time.monotonic() >= until_s:
                return False
            self.listen(_POLL_S)
        return True

    def snapshot(self, *, timeout_s: float = 5.0) -> Reports:
        """What each participant went through so far, in the order of `start`: to look at, not to judge.

        A participant that has ended, or does not answer in time, has a report with its `failure`.
        """
        return tuple(_report(seat, answer) for seat, answer in self._collect(timeout_s))

    def report(self, *, timeout_s: float = 5.0) -> Reports:
        """As `snapshot`, for the verdict: only with a baseline that deserves the name.

        Raises:
            UnitsError: nothing was marked after the baseline, or the baseline is too short.
        """
        if self._marks < 2:
            raise UnitsError("cannot report call: only the baseline was heard", hint="mark() what is to be measured")
        answers = self._collect(timeout_s)
        shortest_s = min((answer["baseline_s"] for _, answer in answers if isinstance(answer, dict)), default=None)
        if shortest_s is not None and shortest_s < LEAST_BASELINE_S:
            raise UnitsError(
                f"cannot report call: a baseline of {shortest_s:.1f} s is too short to compare with",
                hint=f"listen() for {LEAST_BASELINE_S:g} s or more before the first mark()",
            )
        return tuple(_report(seat, answer) for seat, answer in answers)

    def stop(self, *, timeout_s: float = 10.0) -> None:
        """Let everyone leave, and end who does not within `timeout_s`. Safe to repeat."""
        until_s = time.monotonic() + timeout_s
        members = [member for _, member in self._members]
        self._members = []
        self._marks = 0
        for member in members:
            member.dismiss()
        for member in members:
            member.end(until_s)

    def _collect(self, timeout_s: float) -> list[tuple[Seat, dict[str, Any] | str]]:
        """The answer of each participant, or why there is none."""
        number = self._ask({"report": True}, timeout_s)
        with self._changed:
            return [
                (seat, member.answer if member.answered == number and not member.failure else member.no_answer)
                for seat, member in self._members
            ]

    def _ask(self, command: dict[str, Any], timeout_s: float) -> int:
        """Send a command to all who live and wait for their answers; its number."""
        self._requests += 1
        number = self._requests
        for _, member in self._members:
            member.send({"id": number, **command})
        self._await_all(lambda member: member.answered >= number, time.monotonic() + timeout_s)
        return number

    def _await_all(self, condition: Callable[[Member], bool], until_s: float) -> None:
        """Wait until it holds for each participant that lives, or the time is over."""
        with self._changed:
            self._changed.wait_for(
                lambda: all(condition(member) or member.failure for _, member in self._members),
                max(0.0, until_s - time.monotonic()),
            )

    def _require(self, condition: Callable[[Member], bool], when: str) -> None:
        with self._changed:
            # A failure first: it is why others do not hear everyone.
            for seat, member in sorted(self._members, key=lambda pair: not pair[1].failure):
                if member.failure:
                    what = f": {member.failure}"
                elif condition(member):
                    continue
                elif member.joined:
                    what = f" does not hear {', '.join(member.unheard)} {when}"
                else:
                    what = f" did not join {when}"
                raise UnitsError(
                    f"cannot start call in room {seat.room!r}: {seat.identity}{what}",
                    hint=f"is {seat.url} the signal port of a server whose media ports can be reached?",
                )


def _check(seats: Sequence[Seat]) -> None:
    if not seats:
        raise UnitsError("cannot start call: nobody takes part")
    seen: set[tuple[str, str]] = set()
    for seat in seats:
        if (seat.room, seat.identity) in seen:
            raise UnitsError(
                f"cannot start call in room {seat.room!r}: {seat.identity} is in it twice",
                hint="LiveKit throws out the older of two with one identity",
            )
        seen.add((seat.room, seat.identity))


def _who_hears_whom(seats: Sequence[Seat]) -> list[tuple[Seat, list[str]]]:
    speakers: defaultdict[str, list[str]] = defaultdict(list)
    for seat in seats:
        if seat.speaks:
            speakers[seat.room].append(seat.identity)
    return [
        (seat, [speaker for speaker in speakers[seat.room] if speaker != seat.identity] if seat.listens else [])
        for seat in seats
    ]


def _report(seat: Seat, answer: dict[str, Any] | str) -> ParticipantReport:
    if isinstance(answer, str):
        return ParticipantReport(
            seat.identity,
            seat.room,
            longest_gap_ms=0.0,
            baseline_gap_ms=0.0,
            disconnects=0,
            reconnects=0,
            hears_at_end=False,
            failure=answer,
        )
    return ParticipantReport(
        seat.identity,
        seat.room,
        longest_gap_ms=answer["longest_gap_ms"],
        baseline_gap_ms=answer["baseline_gap_ms"],
        disconnects=answer["disconnects"],
        reconnects=answer["reconnects"],
        hears_at_end=answer["hears_at_end"],
        gaps=tuple(NotedGap(**gap) for gap in answer["gaps"]),
        gaps_counted=answer["gaps_counted"],
        unheard=tuple(answer["unheard"]),
        reasons=tuple(answer["reasons"]),
        mark=answer["mark"],
        gap_since_mark_ms=answer["gap_since_mark_ms"],
        stall_ms=answer["stall_ms"],
    )
