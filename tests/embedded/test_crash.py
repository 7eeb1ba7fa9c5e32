"""`kill -9` of the daemon at any moment: what lives is found again, and nothing ever runs twice."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
import uuid
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hero_livekit_units.embedded.children import MARK, adopt, age_s, find_marked
from hero_livekit_units.procfs import start_time_of
from tests.embedded.running import child, lives, until

if TYPE_CHECKING:
    from tests.embedded.running import Daemon

pytestmark = pytest.mark.servers


def change_job(daemon: Daemon, job_id: int, **values: object) -> None:
    """Change the record of a job in the database of a daemon that does not run."""
    columns = ", ".join(f"{name} = :{name}" for name in values)
    with closing(sqlite3.connect(daemon.state / "hero_proc.db")) as db, db:
        db.execute(f"UPDATE jobs SET {columns} WHERE id = :id", {**values, "id": job_id})  # noqa: S608


def test_children_are_adopted_again_and_again(daemon: Daemon) -> None:
    """Three crashes in a row: the same process, one copy, and it says that it is adopted."""
    daemon.keep("s", "sleep 1000")
    before = daemon.job("s")
    for _ in range(3):
        daemon.restart()
        job = daemon.job("s")
        assert (before["pid"], before["pid_start"], True) == (job["pid"], job["pid_start"], job["adopted"])
        assert (before["job_id"], 1, 0) == (job["job_id"], job["attempt"], job["restart_count"])
        assert daemon.state_of("s") == "running"
        assert [before["pid"]] == daemon.copies()


def test_the_output_goes_on_without_a_daemon(daemon: Daemon) -> None:
    """A child that writes all the time does not notice the death of the daemon."""
    daemon.keep("s", child("print"))
    job = daemon.job("s")
    log = Path(job["log_file"])
    until(lambda: log.stat().st_size, "the child writes")
    daemon.crash()
    size = log.stat().st_size
    until(lambda: log.stat().st_size > size + 100, "the child goes on writing")
    assert lives(job["pid"])
    assert log.stat().st_mode & 0o777 == 0o600
    daemon.start()
    lines = daemon.call("job.logs", job_id=job["job_id"], lines=3)
    assert len(lines) == 3
    assert {"line", "stream", "epoch_ms"} == set(lines[0])


def test_an_adopted_child_is_stopped_and_its_exit_code_is_unknown(daemon: Daemon) -> None:
    """An adopted child can be stopped; how it ended only its parent was told, and the status says so."""
    daemon.keep("s", "sleep 1000")
    daemon.restart()
    daemon.call("service.stop", name="s", timeout_ms=10_000)
    job = daemon.job("s")
    assert (job["state"], job["exit_code"], job["signal"]) == ("cancelled", None, None)


def test_an_adopted_child_that_dies_is_started_again(daemon: Daemon) -> None:
    """The pidfd of an adopted child tells of its end; the policy decides as ever."""
    daemon.keep("s", "sleep 1000")
    daemon.restart()
    pid = daemon.job("s")["pid"]
    os.kill(pid, signal.SIGKILL)
    job = until(lambda: daemon.job("s") if daemon.job("s")["restart_count"] == 1 else None, "it runs again")
    assert (job["state"], job["adopted"], job["last_error"]) == ("running", False, "exit code unknown (adopted)")
    assert [job["pid"]] == daemon.copies()


def test_what_died_without_a_daemon_is_started_again_once(daemon: Daemon) -> None:
    """A wanted child that died while no daemon ran gets one new life."""
    daemon.keep("s", "sleep 1000")
    pid = daemon.job("s")["pid"]
    daemon.crash()
    os.kill(pid, signal.SIGKILL)
    until(lambda: not lives(pid), "the child is dead")
    daemon.start()
    daemon.until_state("s", "running")
    job = daemon.job("s")
    assert (job["restart_count"], job["last_error"]) == (1, "it ended while no supervisor ran, exit code unknown")
    assert [job["pid"]] == daemon.copies()


def test_what_was_stopped_stays_stopped(daemon: Daemon) -> None:
    """A new daemon starts what is wanted, and nothing else."""
    daemon.keep("wanted", "sleep 1000")
    daemon.keep("stopped", "sleep 1000")
    daemon.call("service.stop", name="stopped", timeout_ms=10_000)
    daemon.restart()
    assert (daemon.state_of("wanted"), daemon.state_of("stopped")) == ("running", "inactive")


def test_a_crash_between_fork_and_record_makes_no_second_copy(daemon: Daemon) -> None:
    """When the daemon dies after the fork and before it knows the pid, the next one finds the process by its mark."""
    daemon.keep("s", "sleep 1000")
    job = daemon.job("s")
    daemon.crash()
    change_job(daemon, job["job_id"], state="pending", spawning=1, pid=None, pid_start=None, attempt=0)
    daemon.start()
    found = daemon.job("s")
    assert (job["pid"], job["pid_start"], True) == (found["pid"], found["pid_start"], found["adopted"])
    assert [job["pid"]] == daemon.copies()


def test_a_crash_before_the_fork_starts_it(daemon: Daemon) -> None:
    """When the daemon dies after announcing a start and before the fork, the next one starts it."""
    daemon.keep("s", "sleep 1000")
    job = daemon.job("s")
    daemon.crash()
    os.kill(job["pid"], signal.SIGKILL)
    until(lambda: not lives(job["pid"]), "the child is dead")
    change_job(daemon, job["job_id"], state="pending", spawning=1, pid=None, pid_start=None, attempt=0)
    daemon.start()
    daemon.until_state("s", "running")
    assert [daemon.job("s")["pid"]] == daemon.copies()


def test_crashes_in_the_middle_of_starts_never_lead_to_two(resting: Daemon) -> None:
    """Daemons that are killed at arbitrary moments of a start leave at most one process behind, each time."""
    resting.start()
    resting.call("action.set", action={"name": "s", "script": "sleep 1000", "is_process": True})
    resting.call("service.set", service={"name": "s", "actions": ["s"], "status": "start"})
    for round_ in range(8):
        request = b'{"jsonrpc":"2.0","id":1,"method":"service.restart","params":{"name":"s"}}'
        command = [sys.executable, "-c", _SEND, resting.socket, request.decode(), str(resting.pid), str(round_)]
        subprocess.run(command, check=True)
        assert resting.process is not None
        resting.process.wait()
        assert len(resting.copies()) <= 1
        resting.start()
        resting.until_state("s", "running")
        assert [resting.job("s")["pid"]] == resting.copies()


_SEND = """
import os, socket, sys, time
path, body, pid, round_ = sys.argv[1:]
peer = socket.socket(socket.AF_UNIX)
peer.connect(path)
peer.sendall(f"POST /rpc HTTP/1.1\\r\\nhost: x\\r\\ncontent-length: {len(body)}\\r\\n\\r\\n{body}".encode())
until = time.perf_counter() + int(round_) * 0.0007
while time.perf_counter() < until:
    pass
os.kill(int(pid), 9)
"""


def test_a_reused_pid_is_not_taken_for_the_child(daemon: Daemon) -> None:
    """A process with the pid of the child but another start time is a stranger: neither adopted nor touched."""
    daemon.keep("s", "sleep 1000")
    job = daemon.job("s")
    daemon.crash()
    os.kill(job["pid"], signal.SIGKILL)
    # The kernel counts start times in ticks of 10 ms; the stranger has to come in a later one.
    until(lambda: age_s(job["pid_start"]) > 0.05, "the next tick")
    with subprocess.Popen(["sleep", "1000"]) as stranger:
        change_job(daemon, job["job_id"], pid=stranger.pid)
        daemon.start()
        daemon.until_state("s", "running")
        daemon.call("service.stop", name="s", timeout_ms=10_000)
        assert stranger.poll() is None
        stranger.kill()


def test_after_a_reboot_nothing_is_adopted(daemon: Daemon) -> None:
    """With another boot id the recorded process is not ours any more; what is wanted is started."""
    daemon.keep("s", "sleep 1000")
    job = daemon.job("s")
    daemon.crash()
    with subprocess.Popen(["sleep", "1000"]) as stranger:
        start = start_time_of(stranger.pid)
        os.killpg(job["pid"], signal.SIGKILL)
        change_job(daemon, job["job_id"], boot_id="another", pid=stranger.pid, pid_start=start)
        daemon.start()
        daemon.until_state("s", "running")
        assert stranger.pid != daemon.job("s")["pid"]
        daemon.call("service.stop", name="s", timeout_ms=10_000)
        assert stranger.poll() is None
        stranger.kill()


def test_after_a_reboot_a_oneshot_is_done_again(daemon: Daemon) -> None:
    """What had been done in the time before, such as a `configure`, is done again before what depends on it."""
    done = daemon.folder / "done"
    daemon.call("action.set", action={"name": "configure", "script": f"echo x >>{done}", "interpreter": "sh"})
    main = {"name": "main", "script": "sleep 1000", "is_process": True, "depends_on": ["configure"]}
    daemon.call("action.set", action=main)
    daemon.call("service.set", service={"name": "s", "actions": ["configure", "main"], "status": "start"})
    daemon.call("service.start", name="s")
    daemon.until_state("s", "running")
    pid = daemon.job("s", "main")["pid"]
    daemon.restart()
    assert (pid, "x\n") == (daemon.job("s", "main")["pid"], done.read_text())
    daemon.crash()
    os.kill(pid, signal.SIGKILL)
    with closing(sqlite3.connect(daemon.state / "hero_proc.db")) as db, db:
        db.execute("UPDATE jobs SET boot_id = 'another'")
    daemon.start()
    daemon.until_state("s", "running")
    assert done.read_text() == "x\nx\n"


def test_a_restart_goes_on_after_a_crash(daemon: Daemon) -> None:
    """A crash between the stop and the start of a restart does not lose the start."""
    daemon.keep("s", child("end-after", 0.5))
    pid = daemon.job("s")["pid"]
    until(lambda: "ready" in Path(daemon.job("s")["log_file"]).read_text(), "the child is ready")
    daemon.call("service.restart", name="s")
    daemon.restart()
    daemon.until_state("s", "running")
    assert [daemon.job("s")["pid"]] == daemon.copies()
    assert pid != daemon.job("s")["pid"]


def test_a_stop_that_was_half_recorded_goes_on(daemon: Daemon) -> None:
    """A crash between the two records of a stop: what is not wanted does not run on."""
    daemon.keep("s", "sleep 1000")
    pid = daemon.job("s")["pid"]
    daemon.crash()
    with closing(sqlite3.connect(daemon.state / "hero_proc.db")) as db, db:
        db.execute("UPDATE services SET wanted = 0")
    daemon.start()
    daemon.until_state("s", "inactive")
    assert not lives(pid)


def test_the_mark_finds_the_leader_only() -> None:
    """A grandchild that carries the mark too is not taken for the process."""
    mark = f"{uuid.uuid4()}:1"
    environment = {MARK: mark, "PATH": os.environ["PATH"]}
    script = "sleep 1000 & echo $!; wait"
    with subprocess.Popen(
        ["sh", "-c", script], env=environment, start_new_session=True, stdout=subprocess.PIPE, text=True
    ) as leader:
        assert leader.stdout is not None
        grandchild = int(leader.stdout.readline())
        found = find_marked(mark)
        assert found is not None
        assert (leader.pid, False) == (found.pid, found.adopted), "it is a child of this very process"
        found.close()
        leader.kill()
        leader.wait()
        assert lives(grandchild)
        assert find_marked(mark) is None
        os.kill(grandchild, signal.SIGKILL)


def test_the_mark_is_compared_whole() -> None:
    """Job 1 is not found by the mark of job 11."""
    mark = str(uuid.uuid4())
    with subprocess.Popen(["sleep", "1000"], env={MARK: f"{mark}:11"}, start_new_session=True) as process:
        assert find_marked(f"{mark}:1") is None
        process.kill()


def test_a_zombie_is_not_adopted() -> None:
    """A process that has ended is dead, even where its parent has not asked for its status."""
    with subprocess.Popen(["sh", "-c", "true & echo $!; exec sleep 1000"], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        start = start_time_of(pid)
        assert start is not None
        until(lambda: not lives(pid), "it has ended")
        assert start_time_of(pid) == start, "it is a zombie: its parent does not ask"
        assert adopt(pid, start) is None
        parent.kill()


def test_a_zombie_of_our_own_is_asked_how_it_ended() -> None:
    """A child from before an exec that ended meanwhile waits for us: it is not lost, and has its true exit status."""
    process = subprocess.Popen(["sh", "-c", "exit 9"])
    start = start_time_of(process.pid)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert start is not None
    found = adopt(process.pid, start)
    assert found is not None
    assert (found.adopted, found.has_ended(), found.reap(kill_group=False).exit_code) == (False, True, 9)
    found.close()
    process.returncode = 9  # reaped above


def test_another_start_time_is_another_process() -> None:
    """The pid alone is no identity."""
    with subprocess.Popen(["sleep", "1000"]) as process:
        start = start_time_of(process.pid)
        assert start is not None
        found = adopt(process.pid, start)
        assert found is not None
        found.close()
        assert adopt(process.pid, start + 1) is None
        process.kill()


def test_the_second_daemon_is_refused(daemon: Daemon) -> None:
    """A second daemon on the same socket, or on the same state, ends with an error that names the first one's pid."""
    others = [daemon.launch(state=str(daemon.folder / "other")), daemon.launch(socket=f"{daemon.folder}/o/rpc.sock")]
    assert [other.wait(20) for other in others] == [1, 1]
    assert daemon.log.read_text().count(f"pid {daemon.pid} already does") == 2
    assert daemon.call("system.ping")["pid"] == daemon.pid


def test_starting_is_quick(daemon: Daemon) -> None:
    """From the exec of the daemon to its first answer it takes well under 2 s (measured: 0.1 to 0.2 s)."""
    daemon.crash()
    began = time.monotonic()
    daemon.start()
    took_s = time.monotonic() - began
    print(f"first answer after {took_s * 1000:.0f} ms")  # noqa: T201  the figure is of interest
    assert took_s < 2.0


def test_no_secret_reaches_the_log_of_the_daemon(daemon: Daemon) -> None:
    """Neither a secret that is stored nor one in a call that fails is written to the log."""
    daemon.call("secret.set", key="k", value="hunter2-value")
    refused = daemon.refusal("secret.set", key=5, value="hunter2-value")
    assert "hunter2-value" not in json.dumps([str(refused), refused.data])
    assert daemon.refusal("secret.set", key="k", value="hunter2-value", wrong="hunter2-value").code == -32602
    assert "hunter2" not in daemon.log.read_text()
