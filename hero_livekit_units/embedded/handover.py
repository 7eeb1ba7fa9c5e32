"""What the daemon leaves to the version of itself that takes its place by exec: same process, same children.

The socket, both locks and the connections on which nobody is in the midst of a request are handed over as open
descriptors. All else is in the database, and whose parent this process is, the kernel knows. The way back is handed
over too: a new version that fails before it serves makes room for the old one.

Imports nothing that a broken installation could lack, as it is what leads back from one.
"""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

VARIABLE = "HERO_PROC_HANDOVER"
PROTOCOL = 2
_SIGNALS = {signal.SIGTERM, signal.SIGINT}


class Handover(NamedTuple):
    """Descriptors of the listening socket, its lock and the lock of the state, and what to know about the exec.

    connections: descriptors of clients that are between two requests, or before their first.
    back: the command of the one before, empty where there is no way back. generation: how many times this process has
    been replaced. failed: why the version that was to be here is not.
    """

    listener: int
    lock: int
    state_lock: int
    connections: tuple[int, ...]
    back: tuple[str, ...]
    generation: int
    failed: str | None = None


def received() -> Handover | None:
    """What was handed over to this program, once; None when it was started anew."""
    text = os.environ.pop(VARIABLE, "")
    if not text:
        return None
    values = json.loads(text)
    return Handover(**(values | {name: tuple(values[name]) for name in ("connections", "back")}))


def hold_signals() -> None:
    """Let what asks for the end wait until `take_signals`, over an exec too."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)


def take_signals() -> None:
    """Let what asks for the end come."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)


def become(command: Sequence[str], handover: Handover) -> None:
    """Become another program with what is handed over. Returns only by an error.

    Raises:
        OSError: the program cannot be executed.
    """
    for descriptor in (*handover[:3], *handover.connections):
        os.set_inheritable(descriptor, True)  # noqa: FBT003
    os.environ[VARIABLE] = json.dumps(handover._asdict())
    hold_signals()
    os.execv(command[0], list(command))  # noqa: S606


def go_back(handover: Handover, failed: str) -> None:
    """Become the program before this one again. Returns where there is no way back."""
    if handover.back:
        become(handover.back, handover._replace(back=(), failed=failed))
