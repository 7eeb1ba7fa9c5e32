"""What people see of a slot that is restarted, and of a certificate that is replaced: nothing."""

from __future__ import annotations

import ssl
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from hero_livekit_units.errors import FrontRefused
from tests.front.running import RunningFront

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.servers

GAP_S = 1.5


def test_joins_wait_for_a_slot_that_is_restarted(running: RunningFront) -> None:
    """Joins of its rooms and of new ones, begun while nobody listens, all succeed, and none on the other slot."""
    running.join("old")
    running.front.route("b")
    crowd = running.crowd()
    for slot in (running.a, running.b):
        slot.stop()
    stopped_s = time.monotonic()
    for at in range(10):
        crowd.join("old")
        crowd.join(f"new {at}")
        time.sleep(GAP_S / 10)
    running.a.start()
    running.b.start()
    back_s = time.monotonic() - stopped_s
    joins = crowd.all()
    longest_s = max(one.began_s + one.took_s for one in joins) - stopped_s - back_s
    print(f"{len(joins)} joins in a gap of {back_s:.2f} s, the last done {longest_s:.2f} s after it")  # noqa: T201
    assert [one for one in joins if one.fault] == []
    assert {one.slot for one in joins if one.room == "old"} == {"a"}
    assert {one.slot for one in joins if one.room != "old"} == {"b"}
    assert longest_s < 1.0


def test_a_join_that_a_slot_ended_upon_is_tried_again(running: RunningFront) -> None:
    """The slot is killed before it has answered: the same join succeeds once it is back."""
    running.a.answers_after_s = 5.0
    crowd = running.crowd()
    crowd.join("asked")
    until_s = time.monotonic() + 5.0
    while not running.a.joins:
        assert time.monotonic() < until_s
        time.sleep(0.01)
    running.a.stop()
    running.a.answers_after_s = 0.0
    time.sleep(0.3)
    running.a.start()
    (join,) = crowd.all()
    assert (join.slot, join.fault, len(running.a.joins)) == ("a", "", 2)
    assert join.still_open()


def test_a_slot_that_does_not_come_back(running: RunningFront) -> None:
    """A join waits for it for ten seconds, and is then refused; the slot that is there is not to have its rooms."""
    running.join("old")
    running.front.route("b")
    running.a.stop()
    refused = running.join("old")
    print(f"refused after {refused.took_s:.1f} s: {refused.fault}")  # noqa: T201
    assert refused.fault == "HTTP/1.1 503 Service Unavailable"
    assert 9.0 < refused.took_s < 12.0
    assert "old" not in running.b.rooms


def pem(folder: Path, name: str) -> str:
    """A certificate with its key, made for this."""
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    command += ["-days", "2", "-subj", f"/CN={name}", "-keyout", "key.pem", "-out", "cert.pem"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return f"# of {name}\n{(folder / 'cert.pem').read_text()}\n\n{(folder / 'key.pem').read_text()}"


def trusting_all() -> ssl.SSLContext:
    """For people who look at nothing."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


@pytest.fixture
def secure(tmp_path: Path) -> Iterator[tuple[RunningFront, Path]]:
    """A front with TLS, and the file of its certificate."""
    file = tmp_path / "live.pem"
    file.write_text(pem(tmp_path, "first"))
    front = RunningFront(tmp_path / "home", extra=f'certificate = "{file}"\n')
    front.a.start()
    try:
        front.start()
        yield front, file
    finally:
        front.close()


def shown(running: RunningFront) -> str:
    """The common name of the certificate that a new connection is shown."""
    text = ssl.get_server_certificate(("127.0.0.1", running.port))
    run = subprocess.run(
        ["openssl", "x509", "-noout", "-subject"], input=text, check=True, capture_output=True, text=True
    )
    return run.stdout.strip().rpartition("CN = ")[2]


def test_a_certificate_is_replaced(secure: tuple[RunningFront, Path], tmp_path: Path) -> None:
    """Without a reload: who is connected stays, who comes is shown the new one, after the next start too."""
    running, file = secure
    stays = running.join("room", tls=trusting_all())
    assert stays.slot == "a"
    before = running.seen()
    assert (shown(running), running.front.shows(file)) == ("first", True)
    file.write_text(pem(tmp_path, "second"))
    assert (shown(running), running.front.shows(file)) == ("first", False)
    running.front.renew(file)
    assert (shown(running), running.front.shows(file)) == ("second", True)
    assert stays.still_open()
    assert running.join("room", tls=trusting_all()).slot == "a"
    after = running.seen()
    assert (after.pid, after.mark, after.old_workers) == (before.pid, before.mark, ())
    running.front.reload()
    assert shown(running) == "second"
    assert stays.still_open()


def test_a_certificate_that_is_none(secure: tuple[RunningFront, Path], tmp_path: Path) -> None:
    """One without its key, with the key of another, or no text at all: refused, and the old one is still shown."""
    running, file = secure
    other = pem(tmp_path, "second")
    end = "-----END CERTIFICATE-----\n"
    alone = other[: other.index(end) + len(end)]
    file_key = pem(tmp_path, "third").split(end)[1]
    for text in (alone, alone + file_key, "no certificate\n", ""):
        file.write_text(text)
        with pytest.raises(FrontRefused, match="cannot renew") as caught:
            running.front.renew(file)
        print(caught.value, "|", caught.value.hint)  # noqa: T201
        assert shown(running) == "first"
    file.unlink()
    with pytest.raises(FrontRefused, match="it cannot be read"):
        running.front.renew(file)
    assert running.front.shows(file) is None
    file.write_text(other)
    running.front.renew(file)
    assert shown(running) == "second"
