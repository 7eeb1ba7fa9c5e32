"""Looks closer at a stranger on a port of ours: who it is, and how many people are in its calls. Never touches it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

from hero_livekit_units.livekit.counting import count_calls
from hero_livekit_units.model.observed import CallsSeen, Evidence
from hero_livekit_units.observe import foreign, kernel

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from concurrent.futures import Executor, Future

    from hero_livekit_units.model.launch import LaunchSpec
    from hero_livekit_units.model.observed import Foreign, PortSeen, ProcessSeen

T = TypeVar("T")


def timed(act: Callable[..., T], *arguments: object) -> tuple[T, float]:
    """What a call returns, and the milliseconds that it took."""
    began = time.monotonic()
    return act(*arguments), (time.monotonic() - began) * 1000


class Stranger:
    """A stranger while it is being looked at; whoever waits has the deadline and asks for the result behind it."""

    def __init__(
        self,
        seen: PortSeen,
        spec: LaunchSpec,
        ports: Sequence[PortSeen],
        *,
        pool: Executor,
        deadline_s: float,
        api_keys: Mapping[str, str] | None,
    ) -> None:
        """Begin.

        Args:
            seen: the port that it holds.
            spec: of the instance whose port that is.
            ports: all ports of the instance, as seen.
            pool: runs the questions.
            deadline_s: how long the whole look may take.
            api_keys: secrets by API key, as `count_calls` has them.
        """
        self._seen = seen
        self._deadline_s = deadline_s
        self._carries_calls = spec.carries_calls
        self._kin: Future[tuple[tuple[ProcessSeen, foreign.Kin] | None, float]] | None = None
        self._calls: Future[tuple[CallsSeen, float]] | None = None
        if not seen.owner_pid:
            return
        self._kin = pool.submit(timed, _kin, seen.owner_pid)
        # Asked of nobody else: what another process counts are not the people of this one.
        held = {port.port for port in ports if port.looked and port.owner_pid == seen.owner_pid}
        sources = [(source, port) for source, port in spec.calls if port in held]
        if sources:
            self._calls = pool.submit(timed, count_calls, sources, deadline_s, api_keys)

    def futures(self) -> list[Future[object]]:
        """Everything that is still being asked."""
        return [future for future in (self._kin, self._calls) if future is not None]  # type: ignore[misc]

    def result(self, supervisor_pid: int) -> tuple[Foreign, float]:
        """Who it is so far as that came in time, and the milliseconds that the longest question took."""
        late = f"no answer within {self._deadline_s:g} s"
        calls, calls_ms = _done(self._calls, CallsSeen(None, None, late), self._deadline_s)
        if self._calls is None:
            calls = CallsSeen(None, None, "it is not seen to hold a port where calls are counted")
        own_calls = calls if self._carries_calls else None
        if self._kin is None:
            return foreign.undescribed(self._seen, foreign.hidden(self._seen.owner_user), own_calls), 0.0
        found, kin_ms = _done(self._kin, None, self._deadline_s)
        took_ms = max(kin_ms, calls_ms)
        if found is None:
            why = "it has ended meanwhile" if self._kin.done() else f"what it belongs to could not be seen: {late}"
            return foreign.undescribed(self._seen, why, own_calls), took_ms
        process, kin = found
        return foreign.described(process, kin, own_calls, supervisor_pid=supervisor_pid), took_ms


def evidence(found: Foreign, took_ms: float) -> Evidence:
    """What is known of it, as what a witness says."""
    return Evidence("foreign", foreign.says(found), speaks_for=False, took_ms=took_ms)


def _kin(pid: int) -> tuple[ProcessSeen, foreign.Kin] | None:
    process, kin = kernel.see_process(pid), kernel.see_kin(pid)
    return (process, kin) if process and kin else None


def _done(future: Future[tuple[T, float]] | None, late: T, deadline_s: float) -> tuple[T, float]:
    if future is None:
        return late, 0.0
    return future.result() if future.done() else (late, deadline_s * 1000)
