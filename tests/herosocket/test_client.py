"""The client against peers that misbehave: the right error, in time, naming the socket, and nothing left open."""

from __future__ import annotations

import gc
import os
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from hero_livekit_units.errors import (
    EntryNotFound,
    RegistryError,
    RegistryProtocolError,
    RegistryRefused,
    RegistryUnavailable,
)
from hero_livekit_units.herosocket.client import HeroClient
from tests.fakes.socket_peer import BEHAVIOURS, SocketPeer, encoded

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.fakes.socket_peer import Respond

NOT_FOUND = {"code": -32000, "message": "service not found: x", "data": {"code_name": "NotFound", "retryable": False}}


def _answering(value: Any) -> Respond:
    return lambda _: iter([encoded(value)])


def _echo(request: Any) -> Iterator[bytes]:
    calls = request if isinstance(request, list) else [request]
    answers = [{"jsonrpc": "2.0", "id": call["id"], "result": call["params"]} for call in calls]
    yield encoded(answers[::-1] if isinstance(request, list) else answers[0])


def _open_descriptors() -> int:
    gc.collect()
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208


@pytest.mark.parametrize("behaviour", sorted(BEHAVIOURS))
def test_each_misbehaving_peer_is_an_error_of_ours(behaviour: str, short_folder: Path) -> None:
    """Whatever a peer sends, the caller gets a RegistryError within the deadline, and it names the socket."""
    expected = RegistryUnavailable if behaviour in {"silent", "slow"} else RegistryProtocolError
    with SocketPeer(short_folder / "s", BEHAVIOURS[behaviour]) as peer:
        began = time.monotonic()
        with pytest.raises(RegistryError) as caught:
            HeroClient(peer.path).call(
                "service.status", {"name": "x"}, deadline_s=0.4 if expected is RegistryUnavailable else 5.0
            )
    assert expected is type(caught.value)
    assert time.monotonic() - began < (0.8 if expected is RegistryUnavailable else 5.0)
    assert peer.path in str(caught.value)
    assert str(caught.value).startswith("cannot call service.status: ")
    assert caught.value.method == "service.status"


@pytest.mark.parametrize(
    ("behaviour", "cause"),
    [
        ("silent", "did not answer within 0.3 s"),
        ("huge", "the answer is too large"),
        ("eof-in-body", "the answer ends early"),
        ("chunked", "the answer is chunked"),
        ("garbage", "the answer is not HTTP/1.1"),
        ("http-500", "answered HTTP 500"),
        ("not-json", "answered what is not JSON"),
        ("wrong-id", "is not JSON-RPC 2.0"),
    ],
)
def test_the_error_says_what_was_wrong(behaviour: str, cause: str, short_folder: Path) -> None:
    """The cause is told, so that nobody has to guess between a slow service and a broken one."""
    deadline_s = 0.3 if behaviour == "silent" else 5.0
    with SocketPeer(short_folder / "s", BEHAVIOURS[behaviour]) as peer, pytest.raises(RegistryError, match=cause):
        HeroClient(peer.path, deadline_s=deadline_s).call("system.ping")


def test_only_silence_is_worth_a_retry(short_folder: Path) -> None:
    """A service that is away may come back; one that speaks another protocol will not change."""
    with SocketPeer(short_folder / "s", BEHAVIOURS["garbage"]) as peer, pytest.raises(RegistryProtocolError) as broken:
        HeroClient(peer.path).call("x")
    with pytest.raises(RegistryUnavailable) as away:
        HeroClient(peer.path).call("x")
    assert (broken.value.retryable, away.value.retryable) == (False, True)


def test_no_socket_at_all(short_folder: Path) -> None:
    """A service that was never started is away, and the message says where it was looked for."""
    path = str(short_folder / "none.sock")
    with pytest.raises(RegistryUnavailable) as caught:
        HeroClient(path).call("system.ping")
    assert str(caught.value) == f"cannot call system.ping: nobody listens on {path}"


def test_a_socket_whose_owner_died(short_folder: Path) -> None:
    """The file of a dead service is no service."""
    path = str(short_folder / "s")
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(path)
    with pytest.raises(RegistryUnavailable, match=f"nobody listens on {path}"):
        HeroClient(path).call("system.ping")


def test_a_path_that_is_no_socket_or_too_long(short_folder: Path) -> None:
    """What cannot be connected to is unavailable, with the reason of the kernel."""
    plain = short_folder / "file"
    plain.touch()
    with pytest.raises(RegistryUnavailable, match=str(plain)):
        HeroClient(str(plain)).call("system.ping")
    with pytest.raises(RegistryUnavailable, match="path too long"):
        HeroClient(str(short_folder / ("x" * 120))).call("system.ping")


def test_a_service_that_is_stopped_and_has_a_full_queue(short_folder: Path) -> None:
    """A stopped service's queue fills with those who gave up; the next caller is told at once, not hung."""
    path = str(short_folder / "s")
    waiting = []
    with socket.socket(socket.AF_UNIX) as owner:
        owner.bind(path)
        owner.listen(0)
        try:
            for _ in range(4):
                caller = socket.socket(socket.AF_UNIX)
                waiting.append(caller)
                caller.setblocking(False)  # noqa: FBT003
                caller.connect_ex(path)
            began = time.monotonic()
            with pytest.raises(RegistryUnavailable, match=path):
                HeroClient(path, deadline_s=0.5).call("system.ping")
            assert time.monotonic() - began < 1.0
        finally:
            for caller in waiting:
                caller.close()


def test_a_result(short_folder: Path) -> None:
    """A result comes back as it was sent, whatever its type."""
    with SocketPeer(short_folder / "s", _echo) as peer:
        client = HeroClient(peer.path)
        assert client.call("echo", {"a": [1, None, "ü"]}) == {"a": [1, None, "ü"]}
        assert client.call("echo") == {}
    assert peer.requests[0] == {"jsonrpc": "2.0", "id": 0, "method": "echo", "params": {"a": [1, None, "ü"]}}


def test_a_null_result_is_a_result(short_folder: Path) -> None:
    """Some methods return null, which is not a missing answer."""
    with SocketPeer(short_folder / "s", _answering({"jsonrpc": "2.0", "id": 0, "result": None})) as peer:
        assert HeroClient(peer.path).call("x") is None


def test_an_error_of_the_service(short_folder: Path) -> None:
    """The service's own error keeps its code, data and hint."""
    data = {"hint": "stop it first"}
    error = {"code": -32002, "message": "it is up", "data": data}
    with SocketPeer(short_folder / "s", _answering({"id": 0, "error": error})) as peer:
        with pytest.raises(RegistryRefused) as caught:
            HeroClient(peer.path).call("service.delete")
        assert type(caught.value) is RegistryRefused
    assert (caught.value.code, caught.value.data, caught.value.hint) == (-32002, data, "stop it first")
    assert str(caught.value) == "cannot call service.delete: it is up"


@pytest.mark.parametrize("data", [None, "text", {"hint": None}, {"hint": 5}, []], ids=str)
def test_data_of_an_unknown_shape_does_no_harm(data: Any, short_folder: Path) -> None:
    """`data` is the service's own affair; the hint is always text."""
    error = {"code": -1, "message": "no", "data": data}
    with (
        SocketPeer(short_folder / "s", _answering({"id": 0, "error": error})) as peer,
        pytest.raises(RegistryRefused) as caught,
    ):
        HeroClient(peer.path).call("x")
    assert caught.value.hint == ("5" if data == {"hint": 5} else "")
    assert caught.value.data == data


def test_an_unknown_name_is_its_own_error(short_folder: Path) -> None:
    """That an entry is not there is an answer that callers act on."""
    with (
        SocketPeer(short_folder / "s", _answering({"id": 0, "error": NOT_FOUND})) as peer,
        pytest.raises(EntryNotFound, match="service not found: x"),
    ):
        HeroClient(peer.path).call("service.status")


def test_a_batch_is_one_request_and_keeps_its_order(short_folder: Path) -> None:
    """Answers may come in any order; results come in the order of the calls."""
    with SocketPeer(short_folder / "s", _echo) as peer:
        found = HeroClient(peer.path).batch([("a", {"n": 1}), ("b", None), ("c", {"n": 3})])
    assert found == [{"n": 1}, {}, {"n": 3}]
    assert len(peer.requests) == 1


def test_one_refusal_in_a_batch_leaves_the_others(short_folder: Path) -> None:
    """Each call has its own answer; an error is a value among them."""
    answers = [{"id": 1, "result": "good"}, {"id": 0, "error": NOT_FOUND}]
    with SocketPeer(short_folder / "s", _answering(answers)) as peer:
        refused, good = HeroClient(peer.path).batch([("a", None), ("b", None)])
    assert isinstance(refused, EntryNotFound)
    assert refused.method == "a"
    assert good == "good"


def test_a_batch_with_an_answer_missing(short_folder: Path) -> None:
    """Half an answer is no answer: nothing is made of it."""
    with (
        SocketPeer(short_folder / "s", _answering([{"id": 1, "result": "good"}])) as peer,
        pytest.raises(RegistryProtocolError, match="cannot call a: "),
    ):
        HeroClient(peer.path).batch([("a", None), ("b", None)])


def test_an_error_about_the_whole_batch(short_folder: Path) -> None:
    """A service that refuses a request as a whole does so with an error that has no id; each call gets it."""
    error = {"code": -32600, "message": "too many calls"}
    with SocketPeer(short_folder / "s", _answering({"id": None, "error": error})) as peer:
        found = HeroClient(peer.path).batch([("a", None), ("b", None)])
    assert [(refused.method, refused.code) for refused in found] == [("a", -32600), ("b", -32600)]


def test_no_descriptor_is_left_open(short_folder: Path) -> None:
    """A client that polls for months must not fill its table of descriptors, however the calls end."""
    endings = ("eof-in-body", "garbage", "http-500", "wrong-id", "silent")
    for behaviour in endings:
        with SocketPeer(short_folder / behaviour, BEHAVIOURS[behaviour]) as peer:
            before = _open_descriptors()
            for _ in range(3):
                with pytest.raises(RegistryError):
                    HeroClient(peer.path, deadline_s=0.05).call("x")
            ended = time.monotonic() + 5.0
            # The peer runs in this process too and closes its ends a moment later.
            while _open_descriptors() > before and time.monotonic() < ended:
                time.sleep(0.005)
            assert before == _open_descriptors()


def test_many_threads_share_one_client(short_folder: Path) -> None:
    """A client holds no connection, so callers cannot get each other's answers."""
    wrong: list[dict[str, int]] = []

    def ask(number: int) -> None:
        calls = [{"n": number, "at": at} for at in range(10)]
        wrong.extend(call for call in calls if client.call("echo", call) != call)

    with SocketPeer(short_folder / "s", _echo) as peer:
        client = HeroClient(peer.path)
        threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []
    assert len(peer.requests) == 80
