"""Who holds a port: real sockets, by both ways to ask the kernel."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import hero_livekit_units
from hero_livekit_units.model.launch import Port
from hero_livekit_units.model.observed import PortSeen
from hero_livekit_units.model.unit import Protocol
from hero_livekit_units.netlink import dump, open_netlink
from hero_livekit_units.observe import sockets
from hero_livekit_units.observe.kernel import see_process
from hero_livekit_units.observe.ports import see_ports
from hero_livekit_units.observe.sockets import holders
from hero_livekit_units.procfs import DEAD, stat_fields

if TYPE_CHECKING:
    from collections.abc import Callable

    from hero_livekit_units.observe.sockets import Holders

    FreePort = Callable[[], int]
    LaunchUnit = Callable[..., subprocess.Popen[bytes]]

ROOT = str(Path(hero_livekit_units.__file__).parents[1])
WAYS = pytest.mark.parametrize("ask", [holders, sockets._by_netlink, sockets._by_proc], ids=["any", "netlink", "proc"])


def see(number: int, bind: str = "127.0.0.1", protocol: Protocol = Protocol.TCP, pid: int | None = None) -> PortSeen:
    """One port, with a process that is expected to hold it."""
    expected = see_process(pid) if pid else None
    return see_ports([Port("http", number, protocol, bind)], holders(), expected)[0]


@WAYS
@pytest.mark.parametrize(
    ("word", "protocol", "address"),
    [
        ("tcp:127.0.0.1", Protocol.TCP, "127.0.0.1"),
        ("tcp:127.0.0.2", Protocol.TCP, "127.0.0.2"),
        ("tcp:0.0.0.0", Protocol.TCP, "0.0.0.0"),
        ("tcp:::1", Protocol.TCP, "::1"),
        ("tcp:::", Protocol.TCP, "::"),
        ("udp:127.0.0.1", Protocol.UDP, "127.0.0.1"),
        ("udp:0.0.0.0", Protocol.UDP, "0.0.0.0"),
        ("udp:::1", Protocol.UDP, "::1"),
    ],
)
def test_a_listener_is_listed(
    ask: Callable[[], Holders | None],
    word: str,
    protocol: Protocol,
    address: str,
    free_port: FreePort,
    launch_unit: LaunchUnit,
) -> None:
    """Each listening socket is listed with its address, by whichever way the kernel is asked."""
    number = free_port()
    launch_unit(f"{word}:{number}")
    found = ask()
    assert found is not None
    assert [(address, os.geteuid())] == [(holder.address, holder.uid) for holder in found[protocol, number]]


@WAYS
def test_a_connection_is_not_a_listener(ask: Callable[[], Holders | None]) -> None:
    """The many connections of a busy host hold no port, and are left out."""
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as caller,
        server.accept()[0],
    ):
        found = ask()
        assert found is not None
        assert len(found[Protocol.TCP, server.getsockname()[1]]) == 1
        assert found.get((Protocol.TCP, caller.getsockname()[1]), []) == []


def test_both_ways_agree(free_port: FreePort, launch_unit: LaunchUnit) -> None:
    """The two ways give the same address, inode and user for the same socket."""
    one, other = free_port(), free_port()
    launch_unit(f"tcp:127.0.0.1:{one}", f"udp:::1:{other}")
    keys = [(Protocol.TCP, one), (Protocol.UDP, other)]
    by_proc = sockets._by_proc()
    assert by_proc is not None
    by_netlink = sockets._by_netlink()
    assert [by_proc[key] for key in keys] == [by_netlink[key] for key in keys]


def test_a_list_that_the_kernel_does_not_have_is_an_error() -> None:
    """A kernel that cannot list a protocol ends the answer with an error: that is not an empty list."""
    body = sockets._REQUEST.pack(socket.AF_INET, 250, 0, sockets._EVERY_STATE)  # no protocol has this number
    with (
        open_netlink(sockets._NETLINK_SOCK_DIAG) as netlink,
        pytest.raises(OSError, match="the kernel refuses to list it"),
    ):
        list(dump(netlink, sockets._SOCK_DIAG_BY_FAMILY, body))


def test_nobody(free_port: FreePort) -> None:
    """A free port was looked at and is not held."""
    seen = see(free_port())
    assert (seen.looked, seen.held, seen.owner_pid) == (True, False, 0)


def test_the_expected_process(free_port: FreePort, launch_unit: LaunchUnit) -> None:
    """Our own process is found by its sockets."""
    number = free_port()
    pid = launch_unit(f"tcp:127.0.0.1:{number}").pid
    seen = see(number, pid=pid)
    assert (seen.looked, seen.held, seen.owner_pid) == (True, True, pid)
    assert seen.owner_command.endswith(f"tcp:127.0.0.1:{number}")


def test_what_a_child_holds_is_held_by_its_parent(free_port: FreePort, launch_unit: LaunchUnit) -> None:
    """A program may leave listening to its workers, as HAProxy does: they are no strangers."""
    number = free_port()
    launch_unit(f"tcp:127.0.0.1:{number}")
    seen = see(number, pid=os.getpid())
    assert (seen.looked, seen.held, seen.owner_pid) == (True, True, os.getpid())


@pytest.mark.parametrize("word", ["tcp:127.0.0.1", "tcp:0.0.0.0", "udp:127.0.0.1"])
def test_a_stranger_is_named(word: str, free_port: FreePort, launch_unit: LaunchUnit) -> None:
    """Who else holds the port is told by pid and command line."""
    number = free_port()
    pid = launch_unit(f"{word}:{number}").pid
    seen = see(number, protocol=Protocol(word[:3]), pid=launch_unit().pid)
    assert (seen.looked, seen.held, seen.owner_pid) == (True, True, pid)
    assert seen.owner_command.startswith(sys.executable)
    assert seen.owner_command.endswith(f"{word}:{number}")


@pytest.mark.parametrize(
    ("word", "bind", "held"),
    [
        ("tcp:127.0.0.1", "127.0.0.1", True),
        ("tcp:127.0.0.1", "0.0.0.0", True),
        ("tcp:127.0.0.1", "*", True),
        ("tcp:0.0.0.0", "127.0.0.1", True),
        ("tcp:::", "127.0.0.1", True),
        ("tcp:::1", "::1", True),
        ("tcp:::1", "0:0:0:0:0:0:0:1", True),
        ("tcp:::1", "::0", True),
        ("tcp:::ffff:127.0.0.1", "127.0.0.1", True),
        ("tcp:::ffff:0.0.0.0", "127.0.0.1", True),
        ("tcp:127.0.0.2", "127.0.0.1", False),
        ("tcp:::1", "127.0.0.1", False),
        ("tcp:127.0.0.1", "::1", False),
        ("udp:127.0.0.1", "127.0.0.1", False),
    ],
)
def test_which_addresses_conflict(
    word: str,
    bind: str,
    held: bool,  # noqa: FBT001
    free_port: FreePort,
    launch_unit: LaunchUnit,
) -> None:
    """Another address on the same port is not in our way, however it is spelled; nor is the other transport."""
    number = free_port()
    launch_unit(f"{word}:{number}")
    assert held is see(number, bind=bind).held


def test_a_stranger_that_is_not_found_in_time_is_not_told(free_port: FreePort, launch_unit: LaunchUnit) -> None:
    """Looking through the processes of a host has an end: then who holds the port is unknown, and it is not free."""
    port = Port("http", free_port(), Protocol.TCP, "127.0.0.1")
    launch_unit(f"tcp:127.0.0.1:{port.number}")
    (seen,) = see_ports([port], holders(), None, time.monotonic())
    assert (seen.looked, seen.held, seen.owner_pid) == (False, True, 0)


def test_when_the_kernel_does_not_tell(free_port: FreePort) -> None:
    """Without a listing nothing is concluded: not looked is not free."""
    (seen,) = see_ports([Port("http", free_port(), Protocol.TCP, "127.0.0.1")], None, None)
    assert (seen.looked, seen.held) == (False, False)


def test_a_process_whose_sockets_may_not_be_seen(free_port: FreePort, launch_unit: LaunchUnit) -> None:
    """When the expected process hides its sockets, the holder of the port is unknown and not a stranger."""
    number = free_port()
    pid = launch_unit(f"tcp:127.0.0.1:{number}").pid
    if os.getuid():
        pytest.skip("needs root, who can look as another user")
    code = (
        "import os, sys; sys.path.insert(0, sys.argv[1])\n"
        "from hero_livekit_units.model.launch import Port\n"
        "from hero_livekit_units.model.unit import Protocol\n"
        "from hero_livekit_units.observe import kernel, ports, sockets\n"
        "os.setuid(65534)\n"
        "port = Port('http', int(sys.argv[2]), Protocol.TCP, '127.0.0.1')\n"
        "for expected in (kernel.see_process(int(sys.argv[3])), None):\n"
        "    seen, = ports.see_ports([port], sockets.holders(), expected)\n"
        "    print(seen.looked, seen.held, seen.owner_pid, seen.owner_command, seen.owner_user)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, ROOT, str(number), str(pid)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.splitlines() == ["False True 0  ", "True True 0 a process of user root root"]


def test_a_holder_that_has_just_come_or_gone_is_not_a_stranger(free_port: FreePort) -> None:
    """A socket that the kernel lists and that no process of ours has any more, or yet, is looked at again."""
    port = Port("http", free_port(), Protocol.TCP, "127.0.0.1")
    gone = {(Protocol.TCP, port.number): [sockets.Holder("127.0.0.1", 1, os.geteuid())]}
    (seen,) = see_ports([port], gone, None)
    assert (seen.looked, seen.held, seen.owner_pid) == (False, True, 0)


DIES_SLOWLY = """
import socket, time
memory = bytearray(1 << 29)
memory[::4096] = b"x" * (len(memory) // 4096)  # what it has to give back
with socket.create_server(("127.0.0.1", 0)) as held:
    print(held.getsockname()[1], flush=True)
    time.sleep(1000)
"""


def test_who_is_ending_is_no_stranger() -> None:
    """A process that dies loses its memory, and with it its marks, before its ports: nobody is said to hold them."""
    program = subprocess.Popen([sys.executable, "-S", "-E", "-c", DIES_SLOWLY], stdout=subprocess.PIPE, text=True)
    try:
        assert program.stdout is not None
        number = int(program.stdout.readline())
        assert see(number).owner_pid == program.pid
        program.kill()
        ending = 0
        while stat_fields(program.pid)[0] not in DEAD:
            found = see(number)
            if found.owner_pid:
                assert (found.owner_pid, "memory" in found.owner_command) == (program.pid, True)
            ending += found.held and not found.looked
        assert ending
        assert see(number) == PortSeen(Port("http", number, Protocol.TCP, "127.0.0.1"), looked=True, held=False)
    finally:
        program.kill()
        program.communicate()
