"""What a caller sees of services: start, stop, restart, dependencies, and that nothing runs twice."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.embedded.running import child, lives, until

if TYPE_CHECKING:
    from tests.embedded.running import Daemon

pytestmark = pytest.mark.servers


def test_a_service_runs_and_says_what(daemon: Daemon) -> None:
    """A started service is running, with the identity of its process as the kernel has it."""
    daemon.keep("s", "sleep 1000")
    status = daemon.call("service.status", name="s")
    job = status["actions"][0]
    fields = Path(f"/proc/{job['pid']}/stat").read_text().rpartition(")")[2].split()
    assert (status["status"], status["state"], status["ready"]) == ("start", "running", True)
    assert int(fields[19]) == job["pid_start"]
    assert Path(f"/proc/{job['pid']}/cmdline").read_bytes() == b"sleep\x001000\x00"
    assert str(daemon.state / "logs" / "s.s.log") == job["log_file"]


def test_a_child_has_a_session_of_its_own(daemon: Daemon) -> None:
    """A child leads its session and group, so that no signal to the daemon's group reaches it."""
    daemon.keep("s", "sleep 1000")
    pid = daemon.job("s")["pid"]
    assert (pid, pid) == (os.getsid(pid), os.getpgid(pid))


def test_a_child_gets_its_own_environment_only(daemon: Daemon) -> None:
    """The environment is the action's, a small base and the mark; nothing else of the daemon's leaks into it."""
    seen = daemon.folder / "env.json"
    daemon.keep("s", child("environment", seen), env={"GREETING": "hello", "HERO_PROC_JOB": "forged"})
    until(seen.exists, "the child wrote its environment")
    environment = json.loads(seen.read_text())
    assert environment["GREETING"] == "hello"
    assert str(daemon.folder) == environment["HOME"]
    assert environment["HERO_PROC_JOB"].endswith(f":{daemon.job('s')['job_id']}")
    assert "SECRET" not in environment
    assert "PYTHONPATH" not in environment


def test_a_child_inherits_no_descriptor(daemon: Daemon) -> None:
    """A child holds its three standard descriptors and none of the daemon's socket, lock or database."""
    daemon.keep("s", "sleep 1000")
    pid = daemon.job("s")["pid"]
    assert {"0", "1", "2"} == {entry.name for entry in Path(f"/proc/{pid}/fd").iterdir()}


def test_a_hundred_callers_start_one_process(daemon: Daemon) -> None:
    """A hundred service.start at once lead to one process."""
    action = {"name": "s", "script": "sleep 1000", "is_process": True}
    daemon.call("action.set", action=action)
    daemon.call("service.set", service={"name": "s", "actions": ["s"]})
    gate = threading.Barrier(20)
    answers: list[Any] = []

    def caller() -> None:
        gate.wait()
        answers.extend(daemon.call("service.start", name="s") for _ in range(5))

    threads = [threading.Thread(target=caller) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 100
    assert {1} == {answer["run_id"] for answer in answers}
    assert [daemon.job("s")["pid"]] == daemon.copies()


def test_equal_specs_are_not_written_again(daemon: Daemon) -> None:
    """Setting what is stored already changes nothing, and says so."""
    action = {"name": "s", "script": "sleep 1000", "is_process": True}
    service = {"name": "s", "actions": ["s"], "status": "start"}
    first = [daemon.call("action.set", action=action), daemon.call("service.set", service=service)]
    second = [daemon.call("action.set", action=action), daemon.call("service.set", service=service)]
    assert [answer["changed"] for answer in first] == [True, True]
    assert [answer["changed"] for answer in second] == [False, False]


def test_a_set_starts_and_restarts_nothing(daemon: Daemon) -> None:
    """New specs leave what runs alone; the next start of the service takes them up."""
    daemon.keep("s", "sleep 1000")
    before = daemon.job("s")["pid"]
    daemon.call("action.set", action={"name": "s", "script": "sleep 2000", "is_process": True})
    daemon.call("service.set", service={"name": "s", "actions": ["s"], "description": "new"})
    daemon.call("service.set", service={"name": "other", "actions": ["s"], "status": "start"})
    assert before == daemon.job("s")["pid"]
    assert daemon.state_of("other") == "inactive"
    daemon.call("service.restart", name="s", timeout_ms=10_000)
    assert Path(f"/proc/{daemon.job('s')['pid']}/cmdline").read_bytes() == b"sleep\x002000\x00"


def test_compare_and_set(daemon: Daemon) -> None:
    """A set with `expected` is refused, with what is stored, unless the caller knows the stored spec."""
    one = {"name": "s", "script": "one"}
    two = {"name": "s", "script": "two"}
    daemon.call("action.set", action=one, expected=None)
    refused = daemon.refusal("action.set", action=two, expected=None)
    assert (refused.code, refused.data["current"]["script"]) == (-32009, "one")
    assert daemon.call("action.set", action=two, expected=one)["changed"]
    assert daemon.refusal("action.set", action=one, expected=one).data["current"]["script"] == "two"
    assert daemon.refusal("service.set", service={"name": "x"}, expected={"name": "x"}).data["current"] is None


def test_restart_replaces_the_process_once(daemon: Daemon) -> None:
    """A restart ends the old process, then starts one new one."""
    daemon.keep("s", child("end-after", 0.2))
    before = daemon.job("s")["pid"]
    until(lambda: "ready" in Path(daemon.job("s")["log_file"]).read_text(), "the child is ready")
    answer = daemon.call("service.restart", name="s", timeout_ms=10_000)
    after = daemon.job("s")["pid"]
    assert answer["ok"]
    assert before != after
    assert [after] == daemon.copies()


def test_a_start_while_it_stops_follows_the_end(daemon: Daemon) -> None:
    """service.start during a stop is not lost: the new process comes when the old one has gone."""
    daemon.keep("s", child("end-after", 2))
    before = daemon.job("s")["pid"]
    until(lambda: "ready" in Path(daemon.job("s")["log_file"]).read_text(), "the child is ready")
    daemon.call("service.stop", name="s")
    daemon.call("service.start", name="s")
    assert [before] == daemon.copies()
    daemon.until_state("s", "running")
    assert [daemon.job("s")["pid"]] == daemon.copies()
    assert before != daemon.job("s")["pid"]


def test_a_stop_takes_back_a_restart(daemon: Daemon) -> None:
    """After restart and stop, the service ends stopped."""
    daemon.keep("s", child("end-after", 0.2))
    until(lambda: "ready" in Path(daemon.job("s")["log_file"]).read_text(), "the child is ready")
    daemon.call("service.restart", name="s")
    daemon.call("service.stop", name="s", timeout_ms=10_000)
    assert daemon.state_of("s") == "inactive"
    assert daemon.copies() == []


def test_a_oneshot_comes_before_what_depends_on_it(daemon: Daemon) -> None:
    """An action that depends on a oneshot starts after its success, and not before."""
    gate = daemon.folder / "gate"
    script = f"while ! test -e {gate}; do sleep 0.02; done"
    daemon.call("action.set", action={"name": "configure", "script": script, "interpreter": "sh"})
    main = {"name": "main", "script": "sleep 1000", "is_process": True, "depends_on": [{"action": "configure"}]}
    daemon.call("action.set", action=main)
    daemon.call("service.set", service={"name": "s", "actions": ["configure", "main"]})
    daemon.call("service.start", name="s")
    assert (
        daemon.state_of("s"),
        daemon.job("s", "configure")["state"],
        daemon.job("s", "main")["state"],
    ) == ("starting", "running", "pending")
    gate.touch()
    daemon.until_state("s", "running")
    assert daemon.job("s", "configure")["state"] == "succeeded"


def test_a_oneshot_that_fails_keeps_back_what_depends_on_it(daemon: Daemon) -> None:
    """When the oneshot fails for good, the service has failed and its process was never started."""
    daemon.call("action.set", action={"name": "configure", "script": child("exit", 3)})
    main = {"name": "main", "script": "sleep 1000", "is_process": True, "depends_on": ["configure"]}
    daemon.call("action.set", action=main)
    daemon.call("service.set", service={"name": "s", "actions": ["configure", "main"]})
    daemon.call("service.start", name="s")
    daemon.until_state("s", "failed")
    assert (
        daemon.job("s", "main")["attempt"],
        daemon.job("s", "configure")["last_error"],
    ) == (0, "exit status 3: my last word")


def test_a_required_service_is_started_and_waited_for(daemon: Daemon) -> None:
    """`requires` starts the other service and blocks until that one is up."""
    gate = daemon.folder / "gate"
    script = f"while ! test -e {gate}; do sleep 0.02; done"
    daemon.call("action.set", action={"name": "first", "script": script, "interpreter": "sh"})
    daemon.call("action.set", action={"name": "second", "script": "sleep 1000", "is_process": True})
    daemon.call("service.set", service={"name": "base", "actions": ["first"]})
    daemon.call("service.set", service={"name": "top", "actions": ["second"], "requires": ["base"]})
    daemon.call("service.start", name="top")
    assert daemon.state_of("base") == "starting"
    assert (daemon.state_of("top"), daemon.call("service.status", name="top")["blocked_by"]) == ("blocked", ["base"])
    gate.touch()
    daemon.until_state("top", "running")
    assert daemon.state_of("base") == "exited"


def test_services_cannot_wait_for_each_other(daemon: Daemon) -> None:
    """A circle of requires and after is refused when it would be closed."""
    daemon.call("service.set", service={"name": "a", "requires": ["b"]})
    daemon.call("service.set", service={"name": "b", "after": ["c"]})
    assert daemon.refusal("service.set", service={"name": "c", "requires": ["a"]}).code == -32004


def test_some_actions_of_a_service(daemon: Daemon) -> None:
    """Actions can be stopped and started by name, and one that was stopped by name stays so over a crash."""
    for name in ("a", "b"):
        daemon.call("action.set", action={"name": name, "script": "sleep 1000", "is_process": True})
    daemon.call("service.set", service={"name": "s", "actions": ["a", "b"]})
    daemon.call("service.start", name="s")
    daemon.call("service.stop", name="s", actions=["a"], timeout_ms=10_000)
    assert (daemon.job("s", "a")["state"], daemon.job("s", "b")["state"]) == ("cancelled", "running")
    daemon.restart()
    assert (daemon.job("s", "a")["state"], daemon.job("s", "b")["state"]) == ("cancelled", "running")
    daemon.call("service.start", name="s", actions=["a"])
    daemon.until_state("s", "running")


def test_deleting(daemon: Daemon) -> None:
    """A service that runs, and an action that a service names, cannot be deleted; afterwards both can."""
    daemon.keep("s", "sleep 1000")
    assert daemon.refusal("service.delete", name="s").code == -32002
    assert daemon.refusal("action.delete", name="s").code == -32003
    daemon.call("service.stop", name="s", timeout_ms=10_000)
    daemon.call("service.delete", name="s")
    daemon.call("action.delete", name="s")
    assert (daemon.call("service.list"), daemon.call("action.list")) == ([], [])
    assert daemon.refusal("service.status", name="s").code == -32000


def test_a_deleted_service_leaves_nothing_to_a_new_one_of_its_name(daemon: Daemon) -> None:
    """A new service of the same name has no jobs, also after a restart of the daemon."""
    daemon.keep("s", "sleep 1000")
    daemon.call("service.stop", name="s", timeout_ms=10_000)
    daemon.call("service.delete", name="s")
    daemon.call("service.set", service={"name": "s", "actions": ["s"]})
    daemon.restart()
    assert daemon.call("service.status", name="s")["actions"] == []


def test_a_killed_child_is_seen_at_once(daemon: Daemon) -> None:
    """The death of a child shows in the status within a second (measured: a few milliseconds)."""
    daemon.keep("s", "sleep 1000", retry_policy={"delay_ms": 60_000})
    pid = daemon.job("s")["pid"]
    began = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    until(lambda: daemon.job("s")["pid"] is None, "the death is seen")
    took_s = time.monotonic() - began
    job = daemon.job("s")
    print(f"death of a child seen after {took_s * 1000:.1f} ms")  # noqa: T201  the figure is of interest
    assert took_s < 1.0
    assert (job["state"], job["signal"], job["last_error"]) == ("pending", 9, "killed by signal 9 (SIGKILL)")


def test_exit_zero_of_a_process_is_a_failure(daemon: Daemon) -> None:
    """A process that exits with 0 unasked is started again, with its last line as the reason."""
    daemon.keep("s", child("once", daemon.folder / "once", 0))
    job = until(lambda: daemon.job("s") if daemon.job("s")["restart_count"] == 1 else None, "it runs again")
    assert (job["state"], job["attempt"], job["last_error"]) == ("running", 2, "exit status 0")


def test_a_process_that_keeps_failing_is_given_up(daemon: Daemon) -> None:
    """After max_attempts lives the service has failed; the reason holds the last line of the log."""
    policy = {"max_attempts": 3, "delay_ms": 20, "stability_period_ms": 60_000}
    daemon.keep("s", child("exit", 7), retry_policy=policy)
    daemon.until_state("s", "failed")
    job = daemon.job("s")
    expected = "exit status 7: my last word; given up after 3 of 3 attempts"
    assert (3, 7, expected) == (job["attempt"], job["exit_code"], job["last_error"])
    assert Path(job["log_file"]).read_text().count("my last word") == 3


def test_backoff_is_waited_for(daemon: Daemon) -> None:
    """Between two lives the job is pending, without a process, and says when the next one is due."""
    daemon.keep("s", child("exit", 1), retry_policy={"delay_ms": 60_000})
    job = until(lambda: daemon.job("s") if daemon.job("s")["next_start_ms"] else None, "the first life ended")
    assert (job["state"], job["pid"], job["attempt"]) == ("pending", None, 1)
    assert 50_000 < job["next_start_ms"] - time.time() * 1000 <= 60_000
    assert daemon.state_of("s") == "starting"


def test_a_program_that_does_not_exist(daemon: Daemon) -> None:
    """It is a failure with its reason, tried again, and not an error of the call."""
    daemon.keep("s", "/nowhere/at-all", retry_policy={"delay_ms": 60_000})
    assert daemon.job("s")["last_error"] == "cannot start: [Errno 2] No such file or directory: '/nowhere/at-all'"


def test_the_daemon_ends_and_leaves_its_children(daemon: Daemon) -> None:
    """SIGTERM ends the daemon with status 0, removes its socket and touches no child."""
    daemon.keep("s", "sleep 1000")
    pid = daemon.job("s")["pid"]
    assert daemon.end(signal.SIGTERM) == 0
    assert not Path(daemon.socket).exists()
    assert lives(pid)
    daemon.start()
    assert (pid, True) == (daemon.job("s")["pid"], daemon.job("s")["adopted"])


def test_the_daemon_ends_with_its_children_when_told(daemon: Daemon) -> None:
    """system.shutdown without keep_children stops all first; what was wanted is wanted of the next daemon."""
    daemon.keep("s", "sleep 1000")
    pid = daemon.job("s")["pid"]
    daemon.call("system.shutdown", keep_children=False)
    assert daemon.process is not None
    assert daemon.process.wait(20) == 0
    assert not lives(pid)
    daemon.start()
    daemon.until_state("s", "running")


def test_the_list_follows_every_change(daemon: Daemon) -> None:
    """Its lines are kept between two questions, and say what `service.status` says all the same."""

    def listed() -> dict[str, Any]:
        names = [row["name"] for row in daemon.call("service.list")]
        # In one batch, so that nothing happens between the two answers.
        batch = [("service.list", None), *(("service.status", {"name": name}) for name in names)]
        found, *statuses = daemon.client.batch(batch)
        rows = {row["name"]: row for row in found}
        for row, status in zip(rows.values(), statuses, strict=True):
            assert (row["state"], row["status"]) == (status["state"], status["status"])
            assert row["actions"] == [{key: job[key] for key in row["actions"][0]} for job in status["actions"]]
        return rows

    daemon.keep("base", "sleep 1000")
    daemon.call("action.set", action={"name": "top", "script": "sleep 1000", "is_process": True})
    daemon.call("service.set", service={"name": "top", "actions": ["top"], "status": "stop", "requires": ["base"]})
    daemon.until_state("base", "running")
    assert {name: row["state"] for name, row in listed().items()} == {"base": "running", "top": "inactive"}
    daemon.call("service.stop", name="base", timeout_ms=5000)
    daemon.call("service.start", name="top", timeout_ms=5000)
    before = listed()
    assert {name: row["state"] for name, row in before.items()} == {"base": "running", "top": "running"}
    os.kill(before["base"]["actions"][0]["pid"], signal.SIGKILL)
    until(lambda: listed()["base"]["actions"][0]["restart_count"] == 1, "its next life is in the list")
    daemon.call("service.stop", name="top", timeout_ms=5000)
    daemon.call("service.delete", name="top")
    assert list(listed()) == ["base"]
