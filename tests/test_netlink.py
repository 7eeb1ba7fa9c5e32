"""Lists of the kernel: every message once, and whatever is not a whole list is an error and not a short list."""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING

import pytest

from hero_livekit_units.netlink import dump

if TYPE_CHECKING:
    from collections.abc import Iterator

ERROR, DONE, ITEM = 2, 3, 36


def message(kind: int, body: bytes) -> bytes:
    """A message as the kernel sends it, filled up to four bytes."""
    return struct.pack("=IHHII", 16 + len(body), kind, 2, 1, 0) + body + bytes(-len(body) % 4)


def status(kind: int, number: int) -> bytes:
    """The end of a list, or an error, with its status."""
    return message(kind, struct.pack("=i", number))


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Our end and the kernel's, which keeps the borders of what is sent."""
    ours, kernels = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    ours.settimeout(0.2)
    with ours, kernels:
        yield ours, kernels


def ask(ends: tuple[socket.socket, socket.socket], *answers: bytes) -> list[bytes]:
    """What comes out of these answers."""
    ours, kernels = ends
    for answer in answers:
        kernels.send(answer)
    return list(dump(ours, 38, b"request"))


def test_a_list_in_pieces(ends: tuple[socket.socket, socket.socket]) -> None:
    """Several messages in one answer, several answers, bodies of every length; the end is not an item."""
    first = message(ITEM, b"a") + message(ITEM, b"bc345") + message(ITEM, b"")
    assert ask(ends, first, message(ITEM, b"d" * 5000) + status(DONE, 0)) == [b"a", b"bc345", b"", b"d" * 5000]
    length, kind, flags, *_ = struct.unpack_from("=IHHII", sent := ends[1].recv(1000))
    assert (length, kind, flags, sent[16:]) == (23, 38, 0x301, b"request")


def test_an_empty_list(ends: tuple[socket.socket, socket.socket]) -> None:
    """There is nothing, and it was looked for."""
    assert ask(ends, status(DONE, 0)) == []


@pytest.mark.parametrize("answer", [status(ERROR, -1), status(DONE, -1), status(ERROR, 0)], ids=["no", "end", "ack"])
@pytest.mark.parametrize("before", [b"", message(ITEM, b"a")], ids=["at-once", "in-the-middle"])
def test_the_kernel_refuses(before: bytes, answer: bytes, ends: tuple[socket.socket, socket.socket]) -> None:
    """Nothing, or only a part, is no list."""
    with pytest.raises(OSError, match="the kernel refuses to list it") as caught:
        ask(ends, before + answer)
    assert caught.value.errno in {0, 1}


def test_no_answer_in_time(ends: tuple[socket.socket, socket.socket]) -> None:
    """A list without an end is waited for, but not for ever."""
    with pytest.raises(TimeoutError):
        ask(ends, message(ITEM, b"a"))


@pytest.mark.parametrize(
    "answer", [b"x", bytes(16), struct.pack("=IHHII", 15, ITEM, 0, 1, 0), message(DONE, b"")], ids=repr
)
def test_no_answer_at_all(answer: bytes, ends: tuple[socket.socket, socket.socket]) -> None:
    """What is cut off, or has no length, ends in an error and not in a loop."""
    with pytest.raises(struct.error):
        ask(ends, answer)
