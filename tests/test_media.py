"""The front door: what it reads, and that it keeps nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hero_livekit_units.definitions.files import shipped_catalog
from hero_livekit_units.errors import DefinitionInvalid, RegistryUnavailable
from hero_livekit_units.history import SOURCE
from hero_livekit_units.media import Media
from hero_livekit_units.model.observed import Verdict
from hero_livekit_units.model.plain import plain
from hero_livekit_units.model.plan import Goal
from hero_livekit_units.model.settings import Settings
from hero_livekit_units.places import Places, find_places
from tests.fakes.hero import FakeHero
from tests.fakes.registry import MemoryRegistry

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def places(short_folder: Path) -> Places:
    """A host of its own."""
    return find_places({"PATH_ROOT": str(short_folder)})


@pytest.fixture
def media(places: Places, free_port: Callable[[], int]) -> Media:
    """The media of that host, on free ports."""
    names = ("http", "rtc_tcp", "rtc_udp", "prometheus", "debug")
    ports = "".join(f"{name} = {free_port()}\n" for name in names)
    places.home.mkdir(parents=True)
    places.settings_file.write_text(f"[livekit.ports]\n{ports}[backend.ports]\nhttp = {free_port()}\n")
    return Media.connect(places=places)


def test_connecting_touches_nothing(places: Places) -> None:
    """No socket is opened and no folder made: a hero_proc that is away shows in the status."""
    media = Media.connect(places=places)
    assert media.settings() == Settings()
    assert not places.home.exists()
    assert media.program_folder() == places.home / "bin"


def test_the_settings_are_read_at_each_call(media: Media) -> None:
    """Who edits media.toml restarts nothing for it to count."""
    before = media.join_url()
    media.places.settings_file.write_text("[livekit]\nslot = 'b'\n")
    assert media.join_url() == "ws://127.0.0.1:7890"
    assert before != media.join_url()
    assert [spec.instance for spec in media.desired().preferred] == ["livekit-server@b", "lk-backend"]


def test_faults_of_the_settings_are_told_with_their_place(media: Media) -> None:
    """File, line and column, all of them at once."""
    path = media.places.settings_file
    path.write_text("[livekit]\nslto = 'a'\nlog_level = 'loud'\n")
    with pytest.raises(DefinitionInvalid) as caught:
        media.desired()
    assert [(issue.file, issue.line) for issue in caught.value.issues] == [(str(path), 2), (str(path), 3)]


@pytest.mark.parametrize("content", [b"\xff\xfe", None], ids=["not-text", "a-folder"])
def test_settings_that_cannot_be_read(content: bytes | None, media: Media) -> None:
    """They are a fault of the file and not the defaults: the defaults may be other ports."""
    path = media.places.settings_file
    path.unlink()
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    with pytest.raises(DefinitionInvalid, match="cannot be read"):
        media.status()


def test_status_without_a_supervisor(media: Media) -> None:
    """Unknown, never stopped."""
    observed = media.status()
    assert [seen.verdict for seen in observed.instances] == [Verdict.UNKNOWN, Verdict.UNKNOWN]
    assert observed.supervisor.says == f"nobody listens on {media.places.socket('hero_proc')}"
    assert not media.plan().steps


def test_status_with_a_supervisor(media: Media) -> None:
    """Looking changes nothing: neither the supervisor nor a file."""
    socket = media.places.socket("hero_proc")
    socket.parent.mkdir(parents=True)
    before = sorted(media.places.home.rglob("*"))
    with FakeHero(socket) as hero:
        assert [seen.verdict for seen in media.status().instances] == [Verdict.STOPPED, Verdict.STOPPED]
        assert media.plan(Goal.CONFIGURE).steps
        assert not media.plan(Goal.STOP).steps
        assert set(hero.called) == {"system.ping", "service.status", "action.get", "secret.get"}
    assert sorted(media.places.home.rglob("*")) == before


def test_configure_is_a_no_op_the_second_time(media: Media) -> None:
    """Through the real client, on real files."""
    socket = media.places.socket("hero_proc")
    socket.parent.mkdir(parents=True)
    with FakeHero(socket) as hero:
        assert media.ensure(Goal.CONFIGURE).changed
        hero.called.clear()
        again = media.ensure(Goal.CONFIGURE)
        assert (again.converged, again.changed) == (True, False)
        assert not {method for method in hero.called if method.endswith((".set", ".insert", ".start"))}
        assert {key for _, key in hero.stored} == {"api_key", "api_secret", "backend_secret"}
        files = [Path(path) for path in media.files()]
    assert {path.name: path.stat().st_mode & 0o777 for path in files} == {
        "livekit.yaml": 0o600,
        "backend.env": 0o600,
        "runtime.json": 0o600,
    }


def test_the_history_is_what_the_supervisor_kept(places: Places) -> None:
    """The newest lines, the newest last; one that is no receipt stops none; no supervisor is no empty history."""
    registry = MemoryRegistry()
    media = Media(registry, places, shipped_catalog())
    assert media.history() == []
    for source, text in [(SOURCE, "{}"), ("other", "{}"), (SOURCE, "x" * 300), (SOURCE, '{"id": "last"}')]:
        registry.record(source, text)
    shown = [{"at_s": 1.0}, {"at_s": 3.0, "unreadable": "x" * 200}, {"id": "last", "at_s": 4.0}]
    assert media.history() == shown
    assert media.history(2) == shown[1:]
    registry.answers = False
    with pytest.raises(RegistryUnavailable):
        media.history()


def test_the_history_of_an_ensure(media: Media) -> None:
    """Its receipt, as plain data; a no-op leaves none."""
    socket = media.places.socket("hero_proc")
    socket.parent.mkdir(parents=True)
    with FakeHero(socket):
        done = json.loads(json.dumps(plain(media.ensure(Goal.CONFIGURE))))
        media.ensure(Goal.CONFIGURE)
        (found,) = media.history()
    assert found["done"]
    assert found | {"at_s": 0} == done | {"at_s": 0}


def test_another_socket(media: Media, short_folder: Path) -> None:
    """A hero_proc that is elsewhere can be named."""
    with FakeHero(short_folder / "other") as hero:
        elsewhere = Media.connect(socket=hero.path, places=media.places)
        assert elsewhere.status().supervisor.socket == hero.path
        assert elsewhere.status().supervisor.verdict is Verdict.HEALTHY
