"""Redis and HAProxy, the companions of livekit-server: real programs of the system, with the files of the package."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from hero_livekit_units.calls.call import SETTLE_S, Call
from hero_livekit_units.calls.verdict import judge
from hero_livekit_units.definitions.files import shipped_catalog
from hero_livekit_units.definitions.render import file_text
from hero_livekit_units.definitions.resolve import binary_of
from hero_livekit_units.errors import ProvisionFailed
from hero_livekit_units.livekit.desired import desired_specs
from hero_livekit_units.livekit.provision import provision
from hero_livekit_units.livekit.roads import Host
from hero_livekit_units.livekit.settings import read_settings
from tests.calls.media import free_ports
from tests.calls.stack import Stack

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hero_livekit_units.model.launch import LaunchSpec

pytestmark = pytest.mark.servers

BASELINE_S = 2.5
PASSWORD = "a-long-password-for-redis-0123"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of its own with its key in one file, as HAProxy wants it."""
    folder = tmp_path_factory.mktemp("tls")
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    command += ["-days", "2", "-subj", "/CN=localhost", "-keyout", "key.pem", "-out", "cert.pem"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    both = folder / "live.pem"
    both.write_text((folder / "cert.pem").read_text() + (folder / "key.pem").read_text())
    return both


def written(home: Path, text: str, unit: str, secrets: dict[str, Any] | None = None) -> LaunchSpec:
    """The spec of a unit with its files on the disk."""
    catalog = shipped_catalog()
    settings = read_settings(text, "media.toml", catalog)
    specs = desired_specs(catalog, settings, home=str(home), python="python3")
    (spec,) = [spec for spec in specs if spec.unit == unit]
    for file in spec.files:
        Path(file.path).parent.mkdir(parents=True, exist_ok=True)
        Path(file.path).write_text(file_text(file, secrets or {}))
    return spec


@pytest.mark.parametrize("name", ["home", "a home with blanks"])
@pytest.mark.parametrize("extra", ["", 'bind = "::1"\n', 'certificate = "CERT"\n'], ids=["plain", "ipv6", "tls"])
@pytest.mark.parametrize("slot", ["a", "b"])
def test_haproxy_takes_its_configuration(name: str, extra: str, slot: str, tmp_path: Path, certificate: Path) -> None:
    """The program itself checks it, from the folder that it runs in."""
    text = f'[livekit]\nslot = "{slot}"\n[front]\nenabled = true\n{extra.replace("CERT", str(certificate))}'
    spec = written(tmp_path / name, text, "livekit-front")
    run = subprocess.run(
        ["haproxy", "-c", *spec.argv[spec.argv.index("-f") :]],
        cwd=spec.folder,
        check=False,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    assert "warning" not in run.stderr.lower()


@pytest.mark.parametrize("secrets", [{}, {"redis_password": PASSWORD}], ids=["open", "password"])
def test_redis_takes_its_configuration(secrets: dict[str, str], tmp_path: Path) -> None:
    """It starts with it in a folder with blanks, asks for the password if there is one, and keeps its data there."""
    (number,) = free_ports(1)
    text = f"[redis]\nenabled = true\nown = true\nport = {number}\n"
    spec = written(tmp_path / "a home", text, "livekit-redis", secrets)
    server = subprocess.Popen(["redis-server", *spec.argv[1:]], cwd=spec.folder, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        assert any("Ready to accept connections" in line for line in server.stdout)
        with socket.create_connection(("127.0.0.1", number), timeout=5.0) as client:
            client.sendall(b"PING\r\n")
            assert client.recv(100).startswith(b"-NOAUTH" if secrets else b"+PONG")
        assert Path(spec.folder, "appendonlydir").is_dir()
    finally:
        server.terminate()
        server.communicate()


@pytest.fixture
def stack(livekit_server: Path) -> Iterator[Stack]:
    """A host with hero_proc, whose media.toml asks for a Redis and a front of its own."""
    running = Stack(livekit_server)
    try:
        redis, front, status = free_ports(3)
        with running.places.settings_file.open("a") as file:
            file.write(f"[redis]\nenabled = true\nown = true\nport = {redis}\n")
            file.write(f"[front]\nenabled = true\n[front.ports]\nhttp = {front}\nstatus = {status}\n")
        running.start_hero_proc()
        yield running
    finally:
        running.close()


def redis_says(port: int, *commands: str) -> str:
    """What Redis answers, in its own protocol."""
    with socket.create_connection(("127.0.0.1", port), timeout=5.0) as client:
        client.sendall("".join(f"{command}\r\n" for command in commands).encode())
        client.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: client.recv(65536), b"")).decode()


@pytest.mark.calls
def test_the_whole_group(stack: Stack) -> None:
    """Four units in their order, people join at the front, and livekit-server is on that Redis with its password."""
    stored = stack.hlu("secret", "set", "redis_password", feed=f"{PASSWORD}\n")
    assert stored.returncode == 0, stored.stderr
    assert stack.hlu("install").returncode == 0
    ensured = stack.hlu("ensure", "--json")
    assert ensured.returncode == 0, f"{ensured.stdout}{ensured.stderr}"
    started = [
        did["step"]["instance"] for did in json.loads(ensured.stdout)["done"] if did["step"]["action"] == "start"
    ]
    assert started == ["livekit-redis", "livekit-front", "livekit-server@a", "lk-backend"]
    settings = stack.media.settings()
    assert redis_says(settings.redis.port, "PING").startswith("-NOAUTH")
    assert "\r\nnodes\r\n" in redis_says(settings.redis.port, f"AUTH {PASSWORD}", "KEYS *")
    with Call() as call:
        seats = [stack.seat(name, "front") for name in ("alice", "bob")]
        assert {seat.url for seat in seats} == {f"ws://127.0.0.1:{settings.front.ports['http']}"}
        call.start(seats)
        call.listen(BASELINE_S)
        call.mark("listened")
        call.listen(SETTLE_S)
        assert judge(call.report()).calls_dropped == 0
    again = json.loads(stack.hlu("ensure", "--json").stdout)
    assert (again["converged"], again["changed"]) == (True, False)
    service = stack.hero_proc_client.call("service.get", {"name": "hero_livekit_media_a"})
    assert service["after"] == ["hero_livekit_redis", "hero_livekit_front"]


@pytest.mark.calls
def test_a_front_with_tls(stack: Stack, certificate: Path) -> None:
    """The address is wss://, and what listens there shows the user's certificate."""
    assert stack.hlu("set", "front.certificate", str(certificate)).returncode == 0
    assert stack.hlu("install").returncode == 0
    assert stack.hlu("ensure").returncode == 0
    number = stack.media.settings().front.ports["http"]
    assert stack.media.join_url() == f"wss://127.0.0.1:{number}"
    shown = ssl.get_server_certificate(("127.0.0.1", number))
    assert shown.strip() in certificate.read_text()
    trusting = ssl.create_default_context(cafile=str(certificate))
    with urllib.request.urlopen(f"https://localhost:{number}/", context=trusting, timeout=5.0) as answer:
        assert answer.read() == b"OK"


def test_the_programs_of_the_system_are_linked(tmp_path: Path) -> None:
    """They are found where only an administrator's PATH leads, and an older one is refused with what to install."""
    host = attrs.evolve(Host.current(), search_path="/usr/bin:/bin")
    front = binary_of(shipped_catalog().find("livekit-front"))
    assert provision(front, "2.6", tmp_path / "bin", host=host).path == Path("/usr/sbin/haproxy")
    with pytest.raises(ProvisionFailed, match=r"/usr/sbin/haproxy is 2\.\d+\.\d+, older than 99\.0") as caught:
        provision(attrs.evolve(front, version_at_least="99.0"), "99.0", tmp_path / "bin", host=host)
    assert caught.value.hint == "install haproxy 99.0 or newer, the package of your system"
