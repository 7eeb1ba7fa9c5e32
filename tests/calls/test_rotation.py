"""A rotation of the API key with people in calls: whoever holds a token of the old key gets in and comes back."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jwt
import pytest

from hero_livekit_units.calls.call import SETTLE_S, Call
from hero_livekit_units.calls.verdict import judge
from hero_livekit_units.registry.wire import CONTEXT
from tests.calls.stack import HLU, Stack

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.servers, pytest.mark.calls]

BASELINE_S = 2.5


class RotatingStack(Stack):
    """A stack whose tokens live for a few seconds."""

    def with_lifetime(self, seconds: int) -> None:
        """Write it into media.toml."""
        text = self.places.settings_file.read_text()
        self.places.settings_file.write_text(text + f"[backend]\ntoken_ttl_s = {seconds}\n")

    def stored(self, name: str) -> str:
        """A secret, as hero_proc keeps it."""
        return str(self.hero_proc_client.call("secret.get", {"key": name, "context": CONTEXT})["value"])

    def stored_names(self) -> list[str]:
        """Names of all secrets."""
        return list(self.hero_proc_client.call("secret.list", {"context": CONTEXT}))

    def rotation(self) -> Any:
        """As `hlu secret status` has it."""
        return self.media.secret_status()["rotation"]

    def wait_until_due(self) -> None:
        """Wait until the overlap is over, by the clock on the wall."""
        record = json.loads(self.stored("rotation"))
        while (left_s := record["until_s"] - time.time()) > 0:
            time.sleep(left_s)

    def files_with(self, text: str) -> list[str]:
        """All files of the host that hold a text."""
        found = (path for path in self.root.rglob("*") if path.is_file() and not path.is_symlink())
        return [str(path) for path in found if text.encode() in path.read_bytes()]

    def lets_in(self, key: str, secret: str) -> int:
        """The status that the livekit-server for new rooms gives a long-lived token of this key."""
        claims = {
            "iss": key,
            "sub": "probe",
            "exp": int(time.time()) + 3600,
            "video": {"room": "probe", "roomJoin": True},
        }
        token = jwt.encode(claims, secret, algorithm="HS256")
        join_url = json.loads((self.places.home / "runtime.json").read_text())["join_url"]
        url = f"{join_url.replace('ws', 'http', 1)}/rtc/validate?access_token={token}"
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code


@pytest.fixture
def stack(livekit_server: Path) -> Iterator[RotatingStack]:
    """A host with hero_proc running and nothing else."""
    running = RotatingStack(livekit_server)
    try:
        running.start_hero_proc()
        yield running
    finally:
        running.close()


def issuer(token: str) -> str:
    """The key that signed it."""
    return str(jwt.decode(token, options={"verify_signature": False})["iss"])


@pytest.mark.night
def test_a_rotation_under_calls(stack: RotatingStack) -> None:
    """Nobody in a call notices, both keys let people in and back in between, and at the end the old one is nowhere."""
    stack.with_lifetime(20)
    assert stack.media.ensure().converged
    old_key, old_secret = stack.stored("api_key"), stack.stored("api_secret")

    # People in a call: another livekit-server starts beside theirs, and all later rooms go there.
    before = stack.identities()
    with Call() as call:
        call.start([stack.seat(name, "first") for name in ("alice", "bob")])
        call.listen(BASELINE_S)
        call.mark("rotate")
        begun = stack.hlu("secret", "rotate")
        joiner = stack.seat("carol", "first")
        call.listen(SETTLE_S)
        reports = call.report()
    assert "waits    livekit-server@a: in its calls: 2 people in 1 room" in begun.stdout, begun.stdout
    assert "phase introduce" in begun.stdout
    assert (stack.slot_of(joiner), issuer(joiner.token)) == ("a", old_key)  # who joins them is let in as before
    assert sorted(stack.servers()) == ["a", "b"]
    assert stack.identities()["livekit-server@a"] == before["livekit-server@a"]
    assert judge(reports).calls_dropped == 0
    assert [(report.disconnects, report.reconnects) for report in reports] == [(0, 0), (0, 0)]
    stack.until_empty()

    # Nobody is there any more: up to the overlap in one go. One token was handed out before.
    old_seat = stack.seat("old", "second")
    assert issuer(old_seat.token) == old_key
    rotated = stack.hlu("secret", "rotate", "--json")
    assert rotated.returncode == 0, rotated.stderr
    assert json.loads(rotated.stdout)["status"]["rotation"]["phase"] == "overlap"
    assert list(stack.servers()) == ["b"]
    new_seat = stack.seat("new", "second")
    assert issuer(new_seat.token) not in {"", old_key}
    assert stack.lets_in(old_key, old_secret) == 200
    with Call() as call:
        call.start([old_seat, new_seat])
        call.listen(BASELINE_S)
        call.mark("crash")
        os.kill(stack.identities()[stack.media_instance()][0], signal.SIGKILL)
        assert call.wait_until(lambda reports: all(report.reconnects for report in reports), timeout_s=20.0)
        call.listen(SETTLE_S)
        verdict = judge(call.report())
        assert verdict.calls_dropped == 0, verdict
        # The lifetime is over, and people are still there: they stay.
        stack.wait_until_due()
        pid = stack.identities()["livekit-server@b"]
        waiting = stack.media.ensure()
        call.listen(SETTLE_S)
        reports = call.report()
    assert [wait.instance for wait in waiting.waits] == ["livekit-server@b"]
    assert stack.identities()["livekit-server@b"] == pid
    assert judge(reports).calls_dropped == 0
    assert [(report.disconnects, report.reconnects) for report in reports] == [(0, 1), (0, 1)]
    stack.until_empty()

    stack.until("the rotation is over", lambda: stack.media.ensure().converged, within_s=60.0)
    assert list(stack.servers()) == ["a"]
    assert stack.rotation() is None
    assert stack.lets_in(old_key, old_secret) == 401
    assert stack.lets_in(stack.stored("api_key"), stack.stored("api_secret")) == 200
    assert stack.stored("api_key") == issuer(new_seat.token)
    assert stack.stored_names() == ["api_key", "api_secret", "backend_secret"]
    assert stack.files_with(old_secret) == []
    assert not [path for path in stack.files_with(old_key) if not path.endswith(".log")]
    status = stack.hlu("secret", "status")
    assert status.returncode == 0, status.stdout

    # The new one is where it must be, and was said nowhere.
    new_secret = stack.stored("api_secret")
    kept = {
        Path(path).name for path in stack.files_with(new_secret) if stack.places.hero_proc not in Path(path).parents
    }
    assert kept == {"livekit.yaml", "backend.env", "runtime.json"}
    outputs = "".join(run.stdout + run.stderr for run in (begun, rotated, status))
    outputs += "".join(
        Path("/proc", str(pid), name).read_bytes().decode(errors="replace")
        for pid, _ in stack.identities().values()
        for name in ("cmdline", "environ")
    )
    assert not [value for value in (old_secret, new_secret, old_key) if value in outputs]


@pytest.mark.parametrize("what", [pytest.param("api-key", marks=pytest.mark.night), "backend-secret"])
def test_killed_at_several_points(what: str, stack: RotatingStack) -> None:
    """`kill -9` of the command, at its start and after each line that it says; the next one goes on with it."""
    stack.with_lifetime(1)
    assert stack.media.ensure().converged
    names = ["backend_secret"] if what == "backend-secret" else ["api_key", "api_secret"]
    old = {name: stack.stored(name) for name in names}
    news: set[str] = set()
    for lines in (0, 1, 2, 3, 1, 2, 3):
        if news and "rotation" not in stack.stored_names():
            break  # it is over, and another call would begin a second one
        command = subprocess.Popen(
            [HLU, "secret", "rotate", what],
            env=stack.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        assert command.stderr is not None
        with command, command.stderr:
            for _ in range(lines):
                command.stderr.readline()
            if lines == 0:
                stack.until("the rotation is there", lambda: "rotation" in stack.stored_names())
            command.kill()
        if "rotation" in stack.stored_names():
            news.add(json.loads(stack.stored("rotation"))["new"][names[0]])
    stack.until(
        "the rotation is over",
        lambda: stack.media.ensure().converged and stack.rotation() is None,
        within_s=90.0,
    )
    assert len(news) == 1
    assert stack.stored(names[0]) in news
    assert stack.stored_names() == ["api_key", "api_secret", "backend_secret"]
    assert [stack.files_with(value) for name, value in old.items() if name != "api_key"] == [[]]
    assert [path for path in stack.places.home.rglob(".*") if path.name != ".acting.lock"] == []
    assert stack.hlu("secret", "status").returncode == 0
    assert not stack.media.ensure().changed
    assert stack.lets_in(stack.stored("api_key"), stack.stored("api_secret")) == 200
    assert issuer(stack.seat("after", "after").token) == stack.stored("api_key")
