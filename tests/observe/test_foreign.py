"""What is told of a stranger, and what would end it."""

from __future__ import annotations

import attrs
import pytest

from hero_livekit_units.model.observed import CallsSeen, Parent, PortSeen, ProcessId
from hero_livekit_units.observe.foreign import Kin, described, dies_with, hidden, says, undescribed
from tests.strategies import MEDIA, OLD_MEDIA, process

PLANE = Parent(4100, "old_control_plane")
SHELL = Parent(4150, "sh -c media")
HERO_PROC = Parent(77, "hero_proc")
INIT = Parent(1, "init")


@pytest.mark.parametrize(
    ("kin", "words"),
    [
        pytest.param(
            Kin("ada", 4100, 4100, (PLANE, INIT), PLANE),
            "it is in process group 4100, led by pid 4100 (old_control_plane): whoever stops that group ends it"
            "; that its parent, pid 4100, ends does not by itself end it",
            id="child-in-the-group-of-a-plane",
        ),
        pytest.param(
            Kin("ada", 4100, 4100, (SHELL, PLANE, HERO_PROC, INIT), PLANE),
            "it is in process group 4100, led by pid 4100 (old_control_plane): whoever stops that group ends it"
            ", as restarting this service of the supervisor (pid 77) does"
            "; that its parent, pid 4150, ends does not by itself end it",
            id="grandchild-in-the-group-of-a-service",
        ),
        pytest.param(
            Kin("ada", 4200, 4200, (HERO_PROC, INIT), Parent(4200, "media")),
            "it leads process group 4200 itself: whoever stops that group ends it"
            ", as restarting this service of the supervisor (pid 77) does",
            id="a-service",
        ),
        pytest.param(
            Kin("ada", 4200, 4200, (PLANE, HERO_PROC, INIT), Parent(4200, "media")),
            "it leads process group 4200 itself: whoever stops that group ends it"
            ", as restarting this service of the supervisor (pid 77) does"
            "; that its parent, pid 4100, ends does not by itself end it",
            id="child-of-a-service-in-its-own-group",
        ),
        pytest.param(
            Kin("ada", 77, 77, (HERO_PROC, INIT), HERO_PROC),
            "it is in process group 77, led by pid 77 (hero_proc): whoever stops that group ends it",
            id="in-the-group-of-the-supervisor",
        ),
        pytest.param(
            Kin("ada", 4100, 4100, (INIT,), None),
            "it is in process group 4100, whose leader has ended or is hidden: whoever stops that group ends it",
            id="orphan-of-a-plane",
        ),
        pytest.param(
            Kin("ada", 4200, 4200, (), Parent(4200, "media")),
            "it leads process group 4200 itself: whoever stops that group ends it",
            id="first-in-its-container",
        ),
        pytest.param(
            Kin("ada", 4300, 4300, (INIT,), Parent(4300, "")),
            "it is in process group 4300, led by pid 4300: whoever stops that group ends it",
            id="led-by-a-process-that-is-no-ancestor",
        ),
    ],
)
def test_what_would_end_it(kin: Kin, words: str) -> None:
    """Told from its place among other processes, and no more than follows from it."""
    assert dies_with(4200, kin, 77) == words


def test_a_long_command_is_cut() -> None:
    """A stranger chose it, and it is shown in a line."""
    kin = Kin("ada", 4100, 4100, (Parent(4100, "y" * 200),), None)
    found = described(process(MEDIA, command="x" * 200), kin, None, supervisor_pid=0)
    assert (found.command, found.parents[0].command) == ("x" * 120 + "...", "y" * 120 + "...")
    assert (found.process, found.age_s, found.user) == (ProcessId(4242, 1_000_000), 3600.0, "ada")


def test_all_in_one_line() -> None:
    """The evidence: who, where it stands, what would end it, who is in its calls."""
    assert says(OLD_MEDIA) == (
        "pid 4200 (livekit-server --dev) started at tick 99, user ada, process group 4100, session 4100, "
        "child of pid 4100 (old_plane), child of pid 1; whoever stops its group ends it; "
        "people in its calls: 3 in 1 rooms (prometheus on port 6789)"
    )


def test_unknown_people_and_user() -> None:
    """Not counted is not nobody; and a unit without calls has no count."""
    text = says(attrs.evolve(OLD_MEDIA, user="", calls=CallsSeen(None, None, "HTTP 401")))
    assert "user unknown" in text
    assert text.endswith("people in its calls: unknown (HTTP 401)")
    assert "people" not in says(attrs.evolve(OLD_MEDIA, calls=None))


def test_a_process_that_cannot_be_seen() -> None:
    """It is told by its user alone."""
    seen = PortSeen(MEDIA.ports[0], True, True, 0, "a process of user backup", "backup")  # noqa: FBT003
    found = undescribed(seen, hidden(seen.owner_user), None)
    assert (found.process, found.user, found.parents, found.group) == (None, "backup", (), 0)
    assert says(found) == (
        "a process of user backup; its process cannot be seen from here: user backup can see and end it"
    )
