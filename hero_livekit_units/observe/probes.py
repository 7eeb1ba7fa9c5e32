"""What the program itself says: TCP and HTTP probes. A failed probe is a value, never an exception."""

from __future__ import annotations

import http.client
import socket
import time
from typing import TYPE_CHECKING

from hero_livekit_units.livekit.asking import asked
from hero_livekit_units.model.observed import ProbeSeen
from hero_livekit_units.model.unit import ProbeKind

if TYPE_CHECKING:
    from hero_livekit_units.model.launch import Probe


def ask(probe: Probe) -> ProbeSeen:
    """Put the question once, within the probe's own timeout."""
    began = time.monotonic()
    try:
        ok, says = _http(probe) if probe.kind is ProbeKind.HTTP else _tcp(probe)
    except TimeoutError:
        ok, says = False, f"no answer within {probe.timeout_s:g} s"
    except (OSError, http.client.HTTPException) as error:
        ok, says = False, getattr(error, "strerror", None) or type(error).__name__
    return ProbeSeen(probe, ok, f"{_question(probe)}: {says}", (time.monotonic() - began) * 1000)


def not_asked(probe: Probe, why: str) -> ProbeSeen:
    """The value for a probe that nobody could answer, so that it was not sent."""
    return ProbeSeen(probe, ok=False, says=f"{_question(probe)}: {why}", took_ms=0.0)


def unanswered(probe: Probe, deadline_s: float) -> ProbeSeen:
    """The value for a probe whose answer did not come before the deadline of the whole look."""
    says = f"{_question(probe)}: no answer within {deadline_s:g} s"
    return ProbeSeen(probe, ok=None, says=says, took_ms=deadline_s * 1000)


def _question(probe: Probe) -> str:
    where = f"port {probe.port.number}"
    return f"GET {probe.path} on {where}" if probe.kind is ProbeKind.HTTP else f"connect to {where}"


def _http(probe: Probe) -> tuple[bool, str]:
    with asked(probe.port, probe.path, probe.timeout_s) as answer:
        return answer.status == probe.expect_status, f"{answer.status} {answer.reason}".strip()


def _tcp(probe: Probe) -> tuple[bool, str]:
    with socket.create_connection((probe.port.connect_host, probe.port.number), timeout=probe.timeout_s):
        return True, "accepted"
