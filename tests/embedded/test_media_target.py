"""The media with a hero_proc and nothing else: no control plane, no command."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from hero_livekit_units.livekit.install import install
from hero_livekit_units.media import Media
from hero_livekit_units.model.observed import Verdict
from hero_livekit_units.places import find_places
from tests.embedded.running import until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.embedded.running import Daemon

pytestmark = [pytest.mark.servers, pytest.mark.timeout(180)]


@pytest.fixture
def media(daemon: Daemon, free_port: Callable[[], int]) -> Media:
    """The library, for looking and installing only. The daemon's socket is not where the environment says."""
    places = find_places({"HOME": str(daemon.folder)})
    assert str(places.socket("hero_proc")) != daemon.socket
    names = ("http", "rtc_tcp", "rtc_udp", "prometheus", "debug")
    ports = "".join(f"{name} = {free_port()}\n" for name in names)
    places.home.mkdir(parents=True, mode=0o700)
    places.settings_file.write_text(f"[livekit.ports]\n{ports}[backend.ports]\nhttp = {free_port()}\n")
    return Media.connect(socket=daemon.socket, places=places)


def start(daemon: Daemon) -> dict[str, Any]:
    """Start the target and wait for the end of its `configure`; the status then."""
    daemon.call("service.start", name="hero_livekit_media")
    status: dict[str, Any] = until(lambda: _ended(daemon), "configure ends")
    return status


def _ended(daemon: Daemon) -> dict[str, Any] | None:
    status: dict[str, Any] = daemon.call("service.status", name="hero_livekit_media")
    return status if status["state"] in {"exited", "failed"} else None


def test_hero_proc_alone_brings_the_media_up(daemon: Daemon, media: Media, livekit_server: Path) -> None:
    """One `service.start` on the wire: both units healthy. Again, or after `kill -9`: the same processes."""
    install(media.catalog, media.settings(), media.places.home, named=livekit_server)
    status = start(daemon)
    assert status["state"] == "exited", status
    seen = media.status().instances
    assert [one.verdict for one in seen] == [Verdict.HEALTHY, Verdict.HEALTHY]
    processes = [one.process.id for one in seen if one.process]
    assert len(processes) == 2

    first = status["actions"][0]["job_id"]
    again = start(daemon)
    assert (again["state"], again["actions"][0]["job_id"] > first) == ("exited", True)
    assert [one.process.id for one in media.status().instances if one.process] == processes

    daemon.restart()
    until(lambda: daemon.call("unit.plugins")["state"] == "loaded", "the plugins are loaded")
    seen = media.status().instances
    assert [one.process.id for one in seen if one.process] == processes
    assert [one.entry.restarts for one in seen if one.entry] == [0, 0]
    assert all(os.getsid(process.pid) == process.pid for process in processes)
    assert daemon.call("service.status", name="hero_livekit_media")["state"] == "exited"

    daemon.call("service.stop", name="hero_livekit_media")
    assert [one.process.id for one in media.status().instances if one.process] == processes


def test_what_is_missing_is_told(daemon: Daemon, media: Media) -> None:
    """Without livekit-server the target fails in the end, and its last error says how to get one."""
    status = start(daemon)
    assert (status["state"], len(status["actions"])) == ("failed", 1)
    error = status["actions"][0]["last_error"]
    assert "livekit-server@a: its program is not there: " in error
    assert "hlu install" in error
    assert media.status().instances[0].process is None
