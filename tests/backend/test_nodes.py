"""Slots as nodes of a real Redis: rooms that two make at once, slots that do not use it, and rooms of ended nodes."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import attrs
import pytest
import redis

from hero_livekit_units.backend.ended import EndedNodes
from hero_livekit_units.backend.nodes import Cluster, RedisAddress, nodes_of
from hero_livekit_units.backend.rooms import Rooms
from hero_livekit_units.backend.routes import Routes
from hero_livekit_units.backend.service import NoAnswer, RoomService
from hero_livekit_units.errors import DaemonError
from tests.backend.running import API_KEY, API_SECRET
from tests.calls.media import free_ports

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.servers

DECIDING_S = 0.01  # how long a node thinks about where a room goes, so that two who ask at once get in each other's way


@pytest.fixture(scope="module")
def where(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisAddress]:
    """A Redis that asks for a password."""
    (number,) = free_ports(1)
    folder = tmp_path_factory.mktemp("redis")
    command = ["redis-server", "--port", str(number), "--bind", "127.0.0.1", "--save", "", "--requirepass", "pw"]
    server = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        assert any("Ready to accept connections" in line for line in server.stdout)
        yield RedisAddress("127.0.0.1", number, password="pw")
    finally:
        server.terminate()
        server.communicate()


@pytest.fixture
def store(where: RedisAddress) -> Iterator[redis.Redis]:
    """The same Redis, empty, for what livekit-server writes there."""
    with redis.Redis(port=where.port, password=where.password, decode_responses=True) as client:
        client.flushdb()
        yield client


class Node:
    """A livekit-server so far as nodes and rooms go: it puts rooms where it is told, with no lock, and tells who it is.

    made: rooms that it was asked to make. put: those that it decided about. both: two decide at once, who wait for each
    other there. says: its gauges, where those are others than a livekit-server's.
    """

    def __init__(self, name: str, store: redis.Redis, *, joined: bool = True) -> None:
        self.name = name
        self.made: list[tuple[str, str]] = []
        self.put: list[str] = []
        self.both: threading.Barrier | None = None
        self.rooms: set[str] = set()
        self.says: bytes | None = None
        if joined:
            store.hset("nodes", name, "alive")
        node = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                gauge = f'livekit_room_total{{node_id="{node.name}",node_type="SERVER"}} 0\n'.encode()
                self.answer(node.says if node.says is not None else b"# HELP livekit_room_total\ngo_info 1\n" + gauge)

            def do_POST(self) -> None:
                wanted = json.loads(self.rfile.read(int(self.headers["content-length"])))
                if self.path.endswith("/ListRooms"):
                    listed = [{"name": name} for name in wanted["names"] if name in node.rooms]
                    self.answer(json.dumps({"rooms": listed}).encode())
                    return
                room = wanted["name"]
                node.made.append((room, wanted.get("node_id", "")))
                if joined:
                    on = store.hget("room_node_map", room)
                    if on is None or not store.hexists("nodes", str(on)):
                        time.sleep(DECIDING_S)
                        if node.both is not None:
                            node.both.wait(5.0)
                        node.put.append(room)
                        store.hset("room_node_map", room, wanted["node_id"])
                self.answer(b"{}")

            def answer(self, body: bytes) -> None:
                self.send_response(200)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Keep quiet."""

        ThreadingHTTPServer.request_queue_size = 512
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self.url = f"ws://127.0.0.1:{self.port}"
        self.gauges = f"http://127.0.0.1:{self.port}/metrics"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        """Nothing listens on its port any more."""
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def nodes(store: redis.Redis) -> Iterator[tuple[Node, Node]]:
    """Slots a and b, both nodes."""
    both = Node("ND_a", store), Node("ND_b", store)
    yield both
    for node in both:
        node.close()


def routes_to(new: Node, nodes: tuple[Node, Node], where: RedisAddress) -> Routes:
    """Where people join while new rooms go to one of the slots."""
    a, b = nodes
    return Routes(new.url, {"a": a.url, "b": b.url}, {"a": a.gauges, "b": b.gauges}, where)


def asker(routes: Routes) -> Rooms:
    """An lk-backend, so far as rooms go."""
    return Rooms(lambda: routes, key=API_KEY, secret=API_SECRET)


def address(routes: Routes, room: str = "x", hold_s: float = 0.3) -> str:
    """What an lk-backend says."""
    return asyncio.run(asker(routes).address(room, time.monotonic() + hold_s))


def test_a_new_room_is_made_on_the_node_of_the_wanted_slot(nodes: tuple[Node, Node], where: RedisAddress) -> None:
    """Who asks after the routes have changed is sent to the slot that has it."""
    a, b = nodes
    assert address(routes_to(a, nodes, where)) == a.url
    assert address(routes_to(b, nodes, where)) == a.url
    assert address(routes_to(b, nodes, where), "y") == b.url
    assert (a.made, b.made) == ([("x", "ND_a")], [("x", "ND_b"), ("y", "ND_b")])


def test_a_room_on_a_node_of_another_host(nodes: tuple[Node, Node], where: RedisAddress, store: redis.Redis) -> None:
    """It stays there, and any slot of ours leads to it: the one that stays."""
    store.hset("nodes", "ND_elsewhere", "alive")
    store.hset("room_node_map", "x", "ND_elsewhere")
    assert address(routes_to(nodes[1], nodes, where)) == nodes[1].url
    assert store.hget("room_node_map", "x") == "ND_elsewhere"


def test_two_backends_that_make_a_room_at_once(
    nodes: tuple[Node, Node], where: RedisAddress, store: redis.Redis
) -> None:
    """One makes it, the other finds it, although each wants it elsewhere; without turns the nodes would quarrel."""
    first, second = (asker(routes_to(node, nodes, where)) for node in nodes)

    async def meet(name: str) -> tuple[str, str]:
        until_s = time.monotonic() + 5.0
        return await asyncio.gather(first.address(name, until_s), second.address(name, until_s))

    async def all_meet() -> list[tuple[str, str]]:
        return await asyncio.gather(*(meet(f"r{at}") for at in range(30)))

    found = asyncio.run(all_meet())
    assert [urls for urls in found if len(set(urls)) != 1] == []
    urls = {"ND_a": nodes[0].url, "ND_b": nodes[1].url}
    assert [urls[str(store.hget("room_node_map", f"r{at}"))] for at in range(30)] == [url for url, _ in found]
    assert list(store.scan_iter("hlu:*")) == []

    a, b = nodes
    assert sorted(a.put + b.put) == sorted(f"r{at}" for at in range(30))

    service = RoomService(key=API_KEY, secret=API_SECRET)
    a.both = b.both = threading.Barrier(2)
    quarrel = [threading.Thread(target=service.make, args=(n.url, "quarrel"), kwargs={"node": n.name}) for n in nodes]
    for thread in quarrel:
        thread.start()
    for thread in quarrel:
        thread.join()
    assert "quarrel" in a.put
    assert "quarrel" in b.put


def test_a_slot_that_does_not_use_redis_yet(where: RedisAddress, store: redis.Redis) -> None:
    """While Redis is being introduced, rooms of the old slot are found there, and new ones made on the new one."""
    nodes = old, new = Node("ND_old", store, joined=False), Node("ND_new", store)
    try:
        old.rooms.add("x")
        assert address(routes_to(new, nodes, where)) == old.url
        assert address(routes_to(new, nodes, where), "y") == new.url
        # And before the new one runs, all is as without Redis.
        assert address(routes_to(old, nodes, where), "z") == old.url
        assert old.made == [("z", "")]
    finally:
        old.close()
        new.close()


def test_redis_is_away(nodes: tuple[Node, Node]) -> None:
    """Nobody is sent anywhere on a guess; no password is told."""
    (number,) = free_ports(1)
    with pytest.raises(DaemonError, match=f"Redis at 127.0.0.1:{number} does not answer") as caught:
        address(routes_to(nodes[0], nodes, RedisAddress("127.0.0.1", number, password="hidden")))
    assert "hidden" not in str(caught.value)
    assert nodes[0].made == []


@pytest.mark.parametrize(("username", "password"), [("", "wrong"), ("", ""), ("eve", "x")])
def test_redis_does_not_let_us_in(
    username: str, password: str, nodes: tuple[Node, Node], where: RedisAddress, store: redis.Redis
) -> None:
    """As while it has its old password: rooms are made on the wanted node all the same, and any slot leads there."""
    a, b = nodes
    store.hset("room_node_map", "old", a.name)
    stranger = attrs.evolve(where, username=username, password=password)
    routes = routes_to(b, nodes, stranger)
    assert address(routes, "new") == b.url
    assert address(routes, "old") == b.url
    assert store.hgetall("room_node_map") == {"old": a.name, "new": b.name}
    with pytest.raises(NoAnswer, match="refuses us"):
        Cluster(stranger).node_of("x")


def test_another_holds_the_turn(where: RedisAddress, store: redis.Redis) -> None:
    """It is waited for, and whoever was killed in its turn does not keep it for ever."""
    cluster = Cluster(where)
    with cluster.turn("x"):
        assert 0 < int(store.pttl("hlu:room:x")) <= 10_000
        with cluster.turn("y"):
            pass
    store.set("hlu:room:x", "somebody", px=100)
    with cluster.turn("x"):
        assert store.get("hlu:room:x") != "somebody"
    store.set("hlu:room:x", "somebody", px=60_000)
    with pytest.raises(NoAnswer, match="another lk-backend is making the room"), cluster.turn("x"):
        pytest.fail("it was not its turn")


def test_which_node_a_slot_is(nodes: tuple[Node, Node]) -> None:
    """By its gauges; nothing runs where nobody listens, and who stalls may be anything."""
    a, b = nodes
    gauges = {"a": a.gauges, "b": b.gauges}
    assert nodes_of(gauges) == {"a": "ND_a", "b": "ND_b"}
    b.says = b"go_info 1\n"
    assert nodes_of(gauges) == {"a": "ND_a", "b": ""}
    b.close()
    assert nodes_of(gauges) == {"a": "ND_a"}
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/metrics"
        with pytest.raises(NoAnswer, match=f"no answer from {address}"):
            nodes_of({"a": a.gauges, "b": address})


class Looking:
    """Ended nodes are looked after, at a time that the test says."""

    def __init__(self, routes: Routes, file: Path) -> None:
        self.now_s = 0.0
        service = RoomService(key=API_KEY, secret=API_SECRET)
        self._ended = EndedNodes(lambda: routes, service, file, clock=lambda: self.now_s)

    def at(self, now_s: float) -> int:
        """Look then."""
        self.now_s = now_s
        return self._ended.look()


def test_rooms_of_a_node_that_has_ended_are_given_to_one_that_lives(
    nodes: tuple[Node, Node], where: RedisAddress, store: redis.Redis, tmp_path: Path
) -> None:
    """After those who lost it had time to come back; also when lk-backend was restarted since."""
    a, b = nodes
    routes = routes_to(b, nodes, where)
    for room, node in {"left": a.name, "lives": b.name, "elsewhere": "ND_of_another_host"}.items():
        store.hset("room_node_map", room, node)
    assert Looking(routes, tmp_path / "nodes.json").at(0.0) == 0
    a.close()
    store.hdel("nodes", a.name)
    again = Looking(routes, tmp_path / "nodes.json")
    assert [again.at(now_s) for now_s in (0.0, 10.0, 29.9)] == [0, 0, 0]
    assert b.made == []
    assert again.at(30.0) == 1
    assert b.made == [("left", b.name)]
    assert store.hgetall("room_node_map") == {"left": b.name, "lives": b.name, "elsewhere": "ND_of_another_host"}
    assert again.at(35.0) == 0
    assert json.loads((tmp_path / "nodes.json").read_text()) == [b.name]


def test_who_comes_back_is_left_alone(
    nodes: tuple[Node, Node], where: RedisAddress, store: redis.Redis, tmp_path: Path
) -> None:
    """A room that is on another node meanwhile is nobody's business any more."""
    a, b = nodes
    looking = Looking(routes_to(b, nodes, where), tmp_path / "nodes.json")
    store.hset("room_node_map", "back", a.name)
    looking.at(0.0)
    a.close()
    looking.at(1.0)
    store.hset("room_node_map", "back", b.name)
    assert [looking.at(now_s) for now_s in (20.0, 40.0, 80.0)] == [0, 0, 0]
    assert b.made == []


def test_nothing_follows_from_a_slot_that_does_not_say_who_it_is(
    nodes: tuple[Node, Node], where: RedisAddress, store: redis.Redis, tmp_path: Path
) -> None:
    """It may be the node whose rooms these are; nor from a node that livekit-server still holds to live."""
    a, b = nodes
    looking = Looking(routes_to(b, nodes, where), tmp_path / "nodes.json")
    store.hset("room_node_map", "x", a.name)
    looking.at(0.0)
    a.says = b""
    assert [looking.at(now_s) for now_s in (1.0, 40.0)] == [0, 0]
    assert b.made == []
    # Its gauges are to be found elsewhere since: to livekit-server, which is asked, it lives, and the room stays.
    a.close()
    assert [looking.at(now_s) for now_s in (50.0, 80.0, 85.0)] == [0, 0, 0]
    assert b.made == [("x", b.name)]
    assert store.hget("room_node_map", "x") == a.name
