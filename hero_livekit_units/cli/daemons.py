"""`hlu hero-proc ...`: the embedded hero_proc, in the foreground or detached; and `hlu plane`, the control plane."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import click

from hero_livekit_units.cli.quick import EXIT_DRIFT, EXIT_OK
from hero_livekit_units.cli.render import plugins_text
from hero_livekit_units.errors import DaemonError, RegistryProtocolError, RegistryRefused, RegistryUnavailable
from hero_livekit_units.herosocket.client import HeroClient
from hero_livekit_units.places import Places, find_places

if TYPE_CHECKING:
    from pathlib import Path

_START_WITHIN_S = 10.0
_OTHER_WITHIN_S = 1.0
_END_WITHIN_S = 15.0
_CHECK_WITHIN_S = 70.0  # hero_proc itself gives up after 60
_LOOK_AGAIN_S = 0.02

_as_json = click.option("--json", "as_json", is_flag=True, help="Print data instead of text.")


@click.group("hero-proc")
def hero_proc() -> None:
    """Run the embedded hero_proc, for machines without one."""


@hero_proc.command()
def run() -> None:
    """Run it in the foreground; Ctrl-C ends it and leaves its units running."""
    places = find_places()
    command = _command(places)
    os.execv(command[0], command)  # noqa: S606  the daemon takes our place: same pid, same terminal


@hero_proc.command()
@_as_json
def start(as_json: bool) -> int:  # noqa: FBT001
    """Start it in the background, in a session of its own. Nothing happens when it runs already."""
    places = find_places()
    found = _ping(places)
    if found:
        return _show({"started": False} | found, f"hero_proc runs already, pid {found['pid']}", as_json=as_json)
    log = places.hero_proc / "daemon.log"
    daemon = _launch(places, log)
    until = time.monotonic() + _START_WITHIN_S
    ended = False
    while not (found := _ping(places)):
        if daemon.poll() is not None and not ended:
            # Somebody else may have started one at the same time, which owns the socket before it answers on it.
            ended, until = True, time.monotonic() + _OTHER_WITHIN_S
        if time.monotonic() >= until:
            cause = f"start hero_proc: {_last_line(log)}" if ended else f"reach hero_proc within {_START_WITHIN_S:g} s"
            raise DaemonError(f"cannot {cause}", hint=f"its log: {log}")
        time.sleep(_LOOK_AGAIN_S)
    if found["pid"] != daemon.pid:
        # Ours came second and is about to end; were it left alone, it could still become the next daemon.
        _await_end(daemon)
        return _show({"started": False} | found, f"hero_proc runs already, pid {found['pid']}", as_json=as_json)
    # It outlives this command; nobody here waits for it, so the interpreter is told not to warn about that.
    daemon.returncode = 0
    text = f"hero_proc started, pid {found['pid']}, socket {places.socket('hero_proc')}"
    return _show({"started": True} | found, text, as_json=as_json)


@hero_proc.command()
@_as_json
def stop(as_json: bool) -> int:  # noqa: FBT001
    """Stop it. Its units, and the calls on them, go on; the next hero_proc finds them again."""
    places = find_places()
    found = _ping(places)
    if not found:
        return _show({"stopped": False}, "no hero_proc runs", as_json=as_json)
    HeroClient(str(places.socket("hero_proc"))).call("system.shutdown", {"keep_children": True})
    until = time.monotonic() + _END_WITHIN_S
    while _lives(found):
        if time.monotonic() >= until:
            raise DaemonError(f"cannot stop hero_proc: pid {found['pid']} still lives after {_END_WITHIN_S:g} s")
        time.sleep(_LOOK_AGAIN_S)
    return _show({"stopped": True} | found, "hero_proc stopped; the units that run go on", as_json=as_json)


@hero_proc.command()
@click.option("--to", default=None, metavar="PYTHON|VENV", help="An interpreter or a virtual environment.")
@_as_json
def upgrade(to: str | None, as_json: bool) -> int:  # noqa: FBT001
    """Make it another version of itself: same pid, same units, no call refused.

    By default the version that is installed now where it was started. One that would not work is refused beforehand,
    and one that fails all the same makes room for the one before.
    """
    client = HeroClient(str(find_places().socket("hero_proc")))
    before = client.call("system.ping")
    where = {} if to is None else {"to": os.path.abspath(to)}  # noqa: PTH100  as it is: a link is what makes a venv
    try:
        accepted = client.call("system.upgrade", where, deadline_s=_CHECK_WITHIN_S)
    except RegistryRefused as refused:
        raise DaemonError(str(refused), hint=refused.hint) from refused
    asked = time.monotonic()
    until = asked + _START_WITHIN_S
    while (found := client.call("system.ping", deadline_s=_START_WITHIN_S))["generation"] == before["generation"]:
        if time.monotonic() >= until:
            raise DaemonError(f"cannot upgrade hero_proc: pid {found['pid']} is what it was", hint="see its log")
        time.sleep(_LOOK_AGAIN_S)
    took_ms = round((time.monotonic() - asked) * 1000)
    if found["upgrade_failed"]:
        raise DaemonError(
            f"cannot upgrade hero_proc: version {accepted['to']} failed: {found['upgrade_failed']}",
            hint=f"version {found['version']} goes on; its units were not touched",
        )
    text = f"hero_proc {before['version']} is {found['version']} now, pid {found['pid']} as before, in {took_ms} ms"
    data = {"upgraded": True, "from": before["version"], "took_ms": took_ms, "interpreter": accepted["interpreter"]}
    return _show(data | found, text, as_json=as_json)


@hero_proc.command("status")
@_as_json
def daemon_status(as_json: bool) -> int:  # noqa: FBT001
    """Say whether it answers. Exits 5 when not."""
    places = find_places()
    socket = places.socket("hero_proc")
    found = _ping(places)
    if not found:
        _show({"running": False, "socket": str(socket)}, f"no hero_proc answers on {socket}", as_json=as_json)
        return 5
    text = f"hero_proc {found['version']} ({found.get('kind', 'hero_proc')}), pid {found['pid']}, socket {socket}"
    return _show({"running": True, "socket": str(socket)} | found, text, as_json=as_json)


@hero_proc.command()
@_as_json
def plugins(as_json: bool) -> int:  # noqa: FBT001
    """List the plugins that it has loaded. Exits 3 when one is broken.

    Plugins are loaded when hero_proc starts.
    """
    client = HeroClient(str(find_places().socket("hero_proc")))
    found: dict[str, Any] = client.call("unit.plugins")
    try:
        text = plugins_text(found)
        whole = found["state"] == "loaded" and not any(
            plugin["error"] or any(target["error"] for target in plugin["targets"]) for plugin in found["plugins"]
        )
    except (LookupError, TypeError, AttributeError) as error:
        raise RegistryProtocolError("unit.plugins", f"an answer of another shape: {error}") from error
    _show(found, text, as_json=as_json)
    return EXIT_OK if whole else EXIT_DRIFT


@click.command()
@click.option("--socket", default=None, metavar="PATH", help="hero_proc's socket, where it is not in its place.")
def plane(socket: str | None) -> None:
    """Run the control plane in the foreground. Kill it whenever you like."""
    from hero_livekit_units.plane.server import serve  # noqa: PLC0415

    serve(find_places(), hero_proc_socket=socket)


def _command(places: Places) -> list[str]:
    module = "hero_livekit_units.embedded"
    socket, state = str(places.socket("hero_proc")), str(places.hero_proc)
    return [sys.executable, "-m", module, "--socket", socket, "--state", state]


def _launch(places: Places, log: Path) -> subprocess.Popen[bytes]:
    try:
        log.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with open(log, "ab", opener=_private) as output:
            return subprocess.Popen(
                _command(places),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                cwd="/",
            )
    except OSError as error:
        raise DaemonError(f"cannot start hero_proc: {log}: {error.strerror}") from error


def _await_end(daemon: subprocess.Popen[bytes]) -> None:
    try:
        daemon.wait(_END_WITHIN_S)
    except subprocess.TimeoutExpired:
        daemon.kill()
        daemon.wait()


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _ping(places: Places) -> dict[str, Any] | None:
    socket = places.socket("hero_proc")
    try:
        found = HeroClient(str(socket)).call("system.ping", deadline_s=2.0)
    except RegistryUnavailable:
        return None
    if not isinstance(found, dict) or not isinstance(found.get("pid"), int):
        raise RegistryProtocolError("system.ping", f"what answers on {socket} does not say its pid")
    return {"version": "?"} | found


def _lives(found: dict[str, Any]) -> bool:
    from hero_livekit_units.model.observed import ProcessId  # noqa: PLC0415
    from hero_livekit_units.observe.kernel import is_alive, see_process  # noqa: PLC0415

    if found.get("pid_start"):
        return is_alive(ProcessId(found["pid"], found["pid_start"]))
    return see_process(found["pid"]) is not None


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1] if lines else "it ended without a word"


def _show(data: dict[str, Any], text: str, *, as_json: bool) -> int:
    click.echo(json.dumps(data, indent=2) if as_json else text)
    return 0
