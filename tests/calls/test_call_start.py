"""What `Call` refuses before any process is started, and the two things a host must have."""

from __future__ import annotations

import subprocess
import sys

import pytest

from hero_livekit_units.calls.call import Call, Role, Seat
from hero_livekit_units.calls.network import interfaces, is_usable, require_interface
from hero_livekit_units.errors import UnitsError

ANA = Seat("ana", "standup", "ws://127.0.0.1:1", "eyJhbGciOi.eyJzdWIi.c2VjcmV0")


@pytest.mark.parametrize(
    ("up", "addresses", "usable"),
    [
        pytest.param(True, ["192.168.1.20", "fe80::1%eth0"], True, id="ethernet"),
        pytest.param(True, ["192.0.2.1"], True, id="made for this"),
        pytest.param(True, ["2001:db8::1"], True, id="IPv6 only"),
        pytest.param(True, ["127.0.0.1", "::1"], False, id="lo"),
        pytest.param(True, ["fe80::1%hlu0"], False, id="link-local IPv6 only"),
        pytest.param(True, [], False, id="no address"),
        pytest.param(False, ["192.168.1.20"], False, id="down"),
    ],
)
def test_which_interface_participants_can_use(up: bool, addresses: list[str], usable: bool) -> None:  # noqa: FBT001
    """One that is up and has an address which is neither loopback nor link-local IPv6."""
    assert is_usable(up=up, addresses=addresses) == usable


def test_lo_of_this_host_is_seen_and_not_usable() -> None:
    """What the kernel says is read right."""
    assert interfaces()["lo"] is False


def test_one_usable_interface_is_enough() -> None:
    """Whatever the others are."""
    require_interface({"lo": False, "eth0": False, "hlu0": True})


@pytest.mark.parametrize(
    "seen", [pytest.param({"lo": False, "eth0": False}, id="not usable"), pytest.param({}, id="none")]
)
def test_without_an_interface_the_user_is_told_what_to_do(seen: dict[str, bool]) -> None:
    """Not a time-out, but the reason and the commands."""
    with pytest.raises(UnitsError, match=r": no network interface beside lo is up and has an address$") as told:
        require_interface(seen)

    assert told.value.hint.startswith("as root: ip link add hlu0 ")


@pytest.mark.parametrize(
    ("library", "module"),
    [("numpy", "tone_clock"), ("livekit", "participant")],
)
def test_a_missing_extra_is_named(library: str, module: str) -> None:
    """Importing what needs the extra says how to install it."""
    program = f"""
import sys
sys.modules[{library!r}] = None
from hero_livekit_units.errors import UnitsError
try:
    import hero_livekit_units.calls.{module}
except UnitsError as error:
    print(error, "|", error.hint)
"""
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout

    expected = f"cannot measure calls: {library} is not installed | pip install 'hero-livekit-units[calls]'\n"
    assert expected == printed


def test_a_missing_extra_is_found_before_anything_starts() -> None:
    """`Call.start` looks first."""
    program = """
import sys
sys.modules["numpy"] = None
from hero_livekit_units.calls.call import Call, Seat
from hero_livekit_units.errors import UnitsError
try:
    Call().start([Seat("ana", "standup", "ws://127.0.0.1:1", "token")])
except UnitsError as error:
    print(error)
"""
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout

    assert printed == "cannot measure calls: numpy is not installed\n"


def test_a_seat_does_not_show_its_token() -> None:
    """Not in a log, not in a traceback."""
    assert repr(ANA) == ("Seat(identity='ana', room='standup', url='ws://127.0.0.1:1', role=<Role.BOTH: 'both'>)")


def test_an_identity_twice_in_a_room_is_refused() -> None:
    """LiveKit would throw out the older one, and the run would be void."""
    with pytest.raises(UnitsError, match=r"^cannot start call in room 'standup': ana is in it twice$"), Call() as call:
        call.start([ANA, Seat("ana", "standup", "ws://127.0.0.1:2", "token", Role.LISTENER)])


def test_a_call_of_nobody_is_refused() -> None:
    """There would be nothing to measure."""
    with pytest.raises(UnitsError, match=r"^cannot start call: nobody takes part$"), Call() as call:
        call.start([])
