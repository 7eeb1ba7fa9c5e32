"""Every exit code, and what is said with it."""

from __future__ import annotations

import signal
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest

from hero_livekit_units.cli import main as composition_root
from tests.fakes.socket_peer import BEHAVIOURS, SocketPeer

if TYPE_CHECKING:
    from tests.cli.conftest import CommandLine
    from tests.fakes.hero import FakeHero


def test_the_codes_are_the_ones_that_are_documented() -> None:
    """The docstring is what the README and scripts rely on."""
    assert composition_root.__doc__
    listed = composition_root.__doc__.partition("\n\n")[2].replace("\n", " · ")
    codes = [int(item.split(" ")[0]) for item in listed.split(" · ") if item[:1].isdigit()]
    assert codes == [0, 1, 2, 3, 4, 5, 6, 70, 130]


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["units"], ["hero-proc", "stop"]], ids=" ".join)
def test_0_as_wanted(arguments: list[str], hlu: CommandLine) -> None:
    """Success says nothing on the error stream."""
    run = hlu.run(*arguments)
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout


def test_0_installed_and_nothing_to_plan(hlu: CommandLine, hero: FakeHero) -> None:
    """A program that the user names is used; what is stopped needs no stop."""
    assert hlu.run("install", "--livekit-server", str(hlu.livekit_server())).returncode == 0
    run = hlu.run("plan", "--stop", "--check")
    assert (run.returncode, run.stdout.splitlines()[0]) == (0, "nothing has to change")
    assert "  livekit-server@a: nothing has to change: the supervisor does not know it" in run.stdout
    assert "service.stop" not in hero.called


@pytest.mark.usefixtures("hero")
def test_1_a_step_failed(hlu: CommandLine) -> None:
    """The file that cannot be written is named."""
    (hlu.places.home / "slots").touch()
    run = hlu.run("configure")
    assert run.returncode == 1
    assert f"cannot write {hlu.places.home}/slots/a/launch-" in run.stderr
    assert "Traceback" not in run.stderr


def test_1_no_road_to_a_program(hlu: CommandLine) -> None:
    """The reason is told, in one piece with what was tried."""
    run = hlu.run("install", "--livekit-server", "/nowhere/livekit-server")
    assert run.returncode == 1
    assert "/nowhere/livekit-server does not exist" in run.stderr
    assert "Traceback" not in run.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["strat"], "No such command 'strat'"),
        (["status", "--jsn"], "No such option"),
        (["plan", "extra"], "unexpected extra argument"),
        (["hero-proc", "strat"], "No such command 'strat'"),
        (["install", "--livekit-server"], "requires an argument"),
        (["ensure", "--socket"], "requires an argument"),
        (["history", "--lines", "0"], "0 is not in the range 1<=x<=1000"),
        (["history", "--lines", "1001"], "1001 is not in the range 1<=x<=1000"),
        (["history", "--lines", "few"], "'few' is not a valid integer"),
        (["ensure", "--plan", "/nowhere/plan.json"], "No such file or directory"),
        (["stop", "--allow-reconnect"], "No such option"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_2_usage(arguments: list[str], told: str, hlu: CommandLine) -> None:
    """What is wrong, and how it is used, on the error stream; nothing is done."""
    run = hlu.run(*arguments)
    assert (run.returncode, run.stdout) == (2, "")
    assert told in run.stderr
    assert run.stderr.startswith(("Usage: hlu ", "Error: Option "))
    assert [path.name for path in hlu.root.iterdir()] == ["var"]


def test_3_drift(hlu: CommandLine, hero: FakeHero) -> None:
    """Stopped is not as wanted; a plan only says so when it is asked to check; neither changes anything."""
    hlu.run("install", "--livekit-server", str(hlu.livekit_server()))
    assert hlu.run("status").returncode == 3
    assert hlu.run("plan").returncode == 0
    run = hlu.run("plan", "--check")
    assert run.returncode == 3
    assert "start livekit-server@a" in run.stdout
    assert not {method for method in hero.called if method.endswith((".set", ".start", ".insert"))}


@pytest.mark.parametrize("command", ["status", "plan", "ensure", "configure", "stop", "install"])
def test_4_faults_in_the_settings(command: str, hlu: CommandLine) -> None:
    """All of them, each with file, line and column, and a hint where one helps."""
    path = hlu.places.settings_file
    path.write_text("[network]\nbind = 'localhost'\n[livekit]\nslto = 'a'\n")
    run = hlu.run(command)
    assert (run.returncode, run.stdout) == (4, "")
    assert f"{path}:4:1: livekit.slto: " in run.stderr
    assert "did you mean slot?" in run.stderr or "slot" in run.stderr
    assert "Traceback" not in run.stderr


def test_4_no_toml_at_all(hlu: CommandLine) -> None:
    """The place where the text stops making sense is told."""
    hlu.places.settings_file.write_text("[network\n")
    run = hlu.run("status")
    assert run.returncode == 4
    assert f"{hlu.places.settings_file}:1:" in run.stderr


def test_4_no_plan(hlu: CommandLine, hero: FakeHero) -> None:
    """A text that is no plan is not done; what is wrong with it is told."""
    run = hlu.run("ensure", "--plan", "-", stdin='{"format": 1, "goal": "rnu"}')
    assert (run.returncode, run.stdout) == (4, "")
    assert "cannot read the plan: " in run.stderr
    assert "expected Goal @ $.goal" in run.stderr
    assert "hlu plan --json" in run.stderr
    assert hero.called == []


@pytest.mark.parametrize("command", ["plan", "ensure", "configure", "stop"])
def test_5_without_a_supervisor(command: str, hlu: CommandLine) -> None:
    """Refused, with what helps; nothing is written."""
    run = hlu.run(command)
    assert run.returncode == 5
    assert "refused  hero_proc: the supervisor cannot be asked" in run.stdout
    assert "hlu hero-proc start" in run.stdout
    assert [path.name for path in hlu.places.home.iterdir()] == ["media.toml"]


@pytest.mark.parametrize(
    "arguments", [["status"], ["status", "--evidence"], ["status", "--socket", "/nowhere/s"]], ids=" ".join
)
def test_5_status_without_any_daemon(arguments: list[str], hlu: CommandLine) -> None:
    """Unknown, and never stopped."""
    run = hlu.run(*arguments)
    assert (run.returncode, run.stderr) == (5, "")
    lines = [line.split() for line in run.stdout.splitlines()]
    assert [
        line[3]
        for line in lines
        if line[:1] == ["?"] and len(line) > 3 and line[1] in {"livekit-server@a", "lk-backend"}
    ] == ["unknown"] * 2
    assert "supervisor  unknown: none (nobody listens on " in run.stdout
    assert "stopped" not in run.stdout


@pytest.mark.parametrize("as_json", [[], ["--json"]], ids=["text", "json"])
def test_5_history_without_a_supervisor(as_json: list[str], hlu: CommandLine) -> None:
    """Nothing is told as the history: an empty one would say that nothing was done."""
    run = hlu.run("history", *as_json)
    assert (run.returncode, run.stdout) == (5, "")
    assert run.stderr == f"cannot call logs.get: nobody listens on {hlu.places.socket('hero_proc')}\n"


@pytest.mark.parametrize("answer", [None, {"lines": []}, [{"content": "x"}]], ids=["null", "object", "row"])
def test_5_history_that_is_not_understood(answer: Any, hlu: CommandLine, hero: FakeHero) -> None:
    """As above; nor is a hero_proc without such a method one without a history."""
    hero.methods["logs.get"] = lambda _: answer
    run = hlu.run("history")
    assert (run.returncode, run.stdout) == (5, "")
    assert run.stderr.startswith("cannot call logs.get: an answer of unknown shape")
    del hero.methods["logs.get"]
    run = hlu.run("history")
    assert (run.returncode, run.stderr) == (5, "cannot call logs.get: unknown method\n")


def test_5_another_protocol(hlu: CommandLine) -> None:
    """Something answers, but it is no hero_proc."""
    path = hlu.places.socket("hero_proc")
    path.parent.mkdir(parents=True)
    with SocketPeer(path, BEHAVIOURS["garbage"]):
        assert hlu.run("hero-proc", "status").returncode == 5
        run = hlu.run("status")
    assert run.returncode == 5
    assert "the answer is not HTTP/1.1" in run.stdout


@pytest.mark.usefixtures("hero")
def test_6_refused(hlu: CommandLine) -> None:
    """What is in the way and what would help; half a group is not started either."""
    run = hlu.run("plan")
    assert run.returncode == 6
    assert "refused  livekit-server@a: its program is not there" in run.stdout
    assert "possible when `hlu install` has provided it" in run.stdout


def test_6_a_socket_path_that_is_too_long(hlu: CommandLine) -> None:
    """A daemon that cannot start says what to change."""
    run = hlu.run("plane", PATH_SOCKET=str(hlu.root / ("x" * 120)))
    assert run.returncode == 6
    assert "hint: choose a shorter folder with PATH_SOCKET" in run.stderr


def test_6_a_state_folder_that_cannot_be_made(hlu: CommandLine) -> None:
    """A file in the way of the folder of hero_proc is an error of ours."""
    (hlu.root / "var" / "hero_proc").touch()
    run = hlu.run("hero-proc", "start")
    assert run.returncode == 6
    assert f"cannot start hero_proc: {hlu.root}/var/hero_proc" in run.stderr
    assert "Traceback" not in run.stderr


def test_70_a_fault_of_the_program(hlu: CommandLine) -> None:
    """A damaged installation shows where, and does not look like a failed step."""
    damaged = hlu.root / "damaged"
    damaged.mkdir()
    (damaged / "click.py").write_text("raise RuntimeError('damaged')\n")
    run = hlu.run("units", PYTHONPATH=str(damaged))
    assert run.returncode == 70
    assert "RuntimeError: damaged" in run.stderr
    assert run.stderr.endswith("this is a fault of hlu itself; the lines above say where\n")


def test_130_interrupted(hlu: CommandLine) -> None:
    """Ctrl-C is told from a failure, and says that nothing is lost."""
    path = hlu.places.socket("hero_proc")
    path.parent.mkdir(parents=True)
    with SocketPeer(path, BEHAVIOURS["silent"]) as peer:
        command = hlu.start("hero-proc", "status")
        try:
            while not peer.requests:
                assert command.poll() is None
                time.sleep(0.005)
            command.send_signal(signal.SIGINT)
            out, err = command.communicate(timeout=20.0)
        finally:
            command.kill()
            command.communicate()
    assert (command.returncode, out) == (130, "")
    assert "the same command goes on from there" in err
    assert "Traceback" not in err


@pytest.mark.parametrize("arguments", [["units"], ["status"], ["status", "--json"], ["plan"]], ids=" ".join)
def test_a_reader_that_leaves(arguments: list[str], hlu: CommandLine) -> None:
    """`hlu ... | head -0` ends quietly."""
    command = subprocess.Popen(
        ["sh", "-c", '"$@" | true; exit', "sh", hlu.program, *arguments],
        env=hlu.environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    _, err = command.communicate(timeout=30.0)
    assert err == ""


def test_a_terminal_without_our_signs(hlu: CommandLine) -> None:
    """Where ● cannot be shown, something else is; the command does not fail for it."""
    run = hlu.run("status", PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert (run.returncode, run.stderr) == (5, "")
    assert "livekit-server@a" in run.stdout
