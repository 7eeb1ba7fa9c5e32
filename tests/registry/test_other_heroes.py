"""The client before hero_procs of other names and shapes, and before documents that are wrong."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from hero_livekit_units.errors import RegistryLacks, RegistryUnavailable
from hero_livekit_units.model.observed import EntryState, ProcessId, Verdict
from hero_livekit_units.registry.answers import means_not_found, read_lines
from hero_livekit_units.registry.dialect import find_dialect
from hero_livekit_units.registry.hero_proc import HeroProcRegistry
from hero_livekit_units.registry.openrpc import read
from tests.fakes.hero import DOCUMENT, FakeHero
from tests.fakes.other_heroes import CamelHero, FlatHero, OtherHero, PairHero
from tests.strategies import BACKEND, MEDIA

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SERVICE = "hero_livekit_media_a"
BOTH = [MEDIA.instance, BACKEND.instance]


@pytest.fixture(params=[FlatHero, CamelHero, PairHero], ids=["flat", "camel", "pair"])
def other(request: pytest.FixtureRequest, short_folder: Path) -> Iterator[OtherHero]:
    """Each of them, serving."""
    with request.param(short_folder / "s") as serving:
        yield serving


@pytest.fixture
def registry(other: OtherHero) -> HeroProcRegistry:
    """Our client of it."""
    return HeroProcRegistry(other.path)


def test_our_own_document_is_ours() -> None:
    """Nothing of the embedded hero_proc's document is lacking, or read as another shape than it has."""
    dialect = find_dialect(read(json.loads(DOCUMENT.read_bytes())))
    assert dialect.native
    assert dialect.lacks == {}


@pytest.mark.parametrize(
    ("message", "data", "expected"),
    [
        ("No such entry: x", None, True),
        ("service 'x' does not exist", None, True),
        ("unknown service x", None, True),
        ("E17", {"code_name": "NOT_FOUND"}, True),
        ("database or disk is full", None, False),
        ("x is found to be broken", {"code_name": "Storage"}, False),
    ],
)
def test_what_means_not_found(message: str, data: Any, *, expected: bool) -> None:
    """By the word of the code, or else by the words of the message; a fault of the supervisor is none."""
    assert means_not_found(message, data) is expected


@pytest.mark.parametrize(("field", "value"), [("timestamp", 2.5), ("time", 1_700_000_000), ("ts", 1_700_000_000_000)])
def test_times_in_seconds_and_milliseconds(field: str, value: float) -> None:
    """By the size of the number where the name does not say it."""
    (line,) = read_lines({"lines": [{"source": "x", "msg": "y", field: value}]})
    assert line["epoch_ms"] == (value if value > 10**11 else value * 1000)


def test_a_unit_lives_its_life(other: OtherHero, registry: HeroProcRegistry) -> None:
    """Unknown, registered, started, stopped: each of it is seen as it is, with the digests that were stored."""
    assert registry.survey(BOTH).entries == {}
    assert registry.register(MEDIA)
    stopped = registry.survey(BOTH)
    assert stopped.entries is not None
    assert list(stopped.entries) == [MEDIA.instance]
    entry = stopped.entries[MEDIA.instance]
    assert (entry.state, entry.process, entry.wanted) == (EntryState.STOPPED, None, False)
    assert (entry.digest, entry.launch_digest) == (MEDIA.digest, MEDIA.launch_digest)
    registry.start(MEDIA.instance)
    assert other.running == {SERVICE}
    entry = (registry.survey(BOTH).entries or {})[MEDIA.instance]
    assert (entry.state, entry.wanted) == (EntryState.RUNNING, True)
    assert entry.process is not None
    assert entry.process.pid == 4242
    registry.stop(MEDIA.instance)
    assert other.running == set()
    registry.restart(MEDIA.instance)
    assert other.running == {SERVICE}


def test_registering_twice_writes_once(other: OtherHero, registry: HeroProcRegistry) -> None:
    """What this hero_proc cannot store is no difference, else every ensure would write."""
    assert registry.register(MEDIA)
    kept = json.dumps([other.actions, other.services], sort_keys=True)
    calls = len(other.called)
    assert not registry.register(MEDIA)
    assert len(other.called) - calls == 2 + ("ping" in other.methods or "system.info" in other.methods)
    assert registry.register(attrs.evolve(MEDIA, digest="f" * 16))
    assert json.dumps([other.actions, other.services], sort_keys=True) != kept


def test_secrets_are_kept_apart(other: OtherHero, registry: HeroProcRegistry) -> None:
    """There and back; one that is missing is missing, and the secret of the same name of somebody else stays his."""
    other.stored["api_key"] = "of somebody else"
    assert registry.secrets(["api_key", "none"]) == {}
    registry.store_secret("api_key", "mine")
    assert registry.secrets(["api_key", "none"]) == {"api_key": "mine"}
    registry.delete_secret("api_key")
    assert registry.secrets(["api_key"]) == {}
    assert other.stored == {"api_key": "of somebody else"}


def test_what_was_done_is_recorded(registry: HeroProcRegistry) -> None:
    """Lines of the log, with their times."""
    for source, text in [("mine", "a"), ("other", "b"), ("mine", "c")]:
        registry.record(source, text)
    assert [(line.at_s, line.text) for line in registry.history("mine", 5)] == [(1.0, "a"), (3.0, "c")]
    assert [line.text for line in registry.history("mine", 1)] == ["c"]


def test_a_status_is_one_round_trip(other: OtherHero, tmp_path: Path) -> None:
    """The document is read once for a supervisor, also by processes that come later."""
    memory = tmp_path / "hero_proc.json"
    HeroProcRegistry(other.path, memory=memory).survey(BOTH)
    if isinstance(other, PairHero):
        assert not memory.exists()  # it does not say who it is, so nobody knows whether it is the same later
        return
    assert other.read == 1
    other.requests.clear()
    assert HeroProcRegistry(other.path, memory=memory).survey(BOTH).supervisor.verdict is Verdict.HEALTHY
    assert (other.read, len(other.requests)) == (1, 1)
    other.pid += 1  # another supervisor, perhaps of another version
    assert HeroProcRegistry(other.path, memory=memory).survey(BOTH).supervisor.process is not None
    assert other.read == 2
    memory.write_text('{"socket": 5, "identity": [[')
    assert HeroProcRegistry(other.path, memory=memory).survey(BOTH).entries == {}


def test_another_hero_proc_on_the_same_socket(short_folder: Path, tmp_path: Path) -> None:
    """What was kept of one hero_proc is not said to another one: the ping shows that it is not the same."""
    memory = tmp_path / "hero_proc.json"
    for kind in (FlatHero, CamelHero, FlatHero):
        with kind(short_folder / "s") as serving:
            registry = HeroProcRegistry(serving.path, memory=memory)
            assert registry.survey(BOTH).entries == {}
            assert registry.register(MEDIA)
            assert list(registry.survey(BOTH).entries or {}) == [MEDIA.instance]
        (short_folder / "s").unlink()


def test_the_one_that_kills(short_folder: Path) -> None:
    """The job by its number, the process with its start time; those without jobs say that they cannot."""
    with CamelHero(short_folder / "s") as serving:
        registry = HeroProcRegistry(serving.path)
        registry.register(MEDIA)
        registry.start(MEDIA.instance)
        entry = (registry.survey(BOTH).entries or {})[MEDIA.instance]
        assert (entry.process, entry.restarts) == (ProcessId(4242, 5), 2)
        registry.kill(MEDIA.instance)
        assert serving.killed == [(9, "SIGKILL")]


def test_only_what_is_missing_is_off(short_folder: Path) -> None:
    """The error says what there is not, what would have been understood and what the document has."""
    with FlatHero(short_folder / "s") as serving:
        serving.described = [one for one in serving.described if one["name"] != "secrets.read"]
        registry = HeroProcRegistry(serving.path)
        with pytest.raises(RegistryLacks) as caught:
            registry.secrets(["api_key"])
        assert str(caught.value).startswith(
            "cannot call secret.get: this hero_proc has no method to read a secret, tried secret.get, secrets.get, "
        )
        assert "; its document lists actions.put, actions.show, logs.append, " in str(caught.value)
        assert "secret.read" in caught.value.tried
        assert "secrets.put" in caught.value.listed
        assert caught.value.hint
        registry.start(MEDIA.instance)
        assert serving.running == {SERVICE}


def test_a_method_that_takes_too_little(short_folder: Path) -> None:
    """An action without an environment could not be recognised later: it is not stored at all."""
    with FlatHero(short_folder / "s") as serving:
        (put,) = (one for one in serving.described if one["name"] == "actions.put")
        put["params"] = [param for param in put["params"] if param["name"] not in {"environment", "labels"}]
        registry = HeroProcRegistry(serving.path)
        with pytest.raises(RegistryLacks, match=r"store an action, actions.put takes no action.env, no action.tags;"):
            registry.register(MEDIA)
        assert "actions.put" not in serving.called


def test_without_a_status_nothing_is_known(short_folder: Path) -> None:
    """It is unknown, and not stopped; the reason is said."""
    with FlatHero(short_folder / "s") as serving:
        serving.described = [one for one in serving.described if one["name"] != "services.state"]
        survey = HeroProcRegistry(serving.path).survey(BOTH)
    assert survey.entries is None
    assert "no method to tell the status of a service" in survey.supervisor.says


@pytest.mark.parametrize(
    "status",
    [
        pytest.param({"result": {}}, id="empty"),
        pytest.param({"result": {"pid": 4242}}, id="no-state"),
        pytest.param({"result": {"state": 5}}, id="state-is-a-number"),
        pytest.param([], id="list"),
        pytest.param("running", id="text"),
        pytest.param({"result": {"state": "running", "jobs": 5}}, id="jobs-is-a-number"),
        pytest.param({"result": {"result": {"result": {"result": {"result": {"state": "running"}}}}}}, id="too-deep"),
    ],
)
def test_a_status_of_an_unknown_shape_is_silence(status: Any, short_folder: Path) -> None:
    """Nothing is made up: not a state, and not a pid."""
    with FlatHero(short_folder / "s") as serving:
        serving.methods["services.state"] = lambda _: status
        survey = HeroProcRegistry(serving.path).survey(BOTH)
    assert survey.entries is None
    assert survey.supervisor.verdict is Verdict.UNKNOWN


DOCUMENTS: dict[str, Callable[[], bytes]] = {
    "not-json": lambda: b"<html>",
    "not-utf-8": lambda: b'"\xff\xfe"',
    "deep": lambda: b"[" * 1_000_000,
    "huge": lambda: b'{"methods": ["' + b"x" * 5_000_000 + b'"]}',
    "a-number": lambda: b"5",
    "no-methods": lambda: b'{"openrpc": "1.2.6", "methods": []}',
    "methods-is-text": lambda: b'{"methods": "all"}',
    "methods-are-numbers": lambda: b'{"methods": [1, null, {"name": 5}]}',
    "too-many-methods": lambda: json.dumps({"methods": [{"name": str(at)} for at in range(3000)]}).encode(),
    "refers-to-itself": lambda: b'{"methods": [{"$ref": "#/methods"}], "a": {"$ref": "#/a"}}',
}


@pytest.mark.parametrize("document", sorted(DOCUMENTS))
def test_a_document_that_cannot_be_read(document: str, short_folder: Path) -> None:
    """It is taken to speak as we do, which one that has no document at all always was; nothing breaks or hangs."""
    with FakeHero(short_folder / "s") as hero:
        hero.document = DOCUMENTS[document]()
        registry = HeroProcRegistry(hero.path)
        began_s = time.thread_time()
        assert registry.survey(BOTH).entries == {}
        assert time.thread_time() - began_s < 0.3  # of work, however busy the host is
        assert registry.register(MEDIA)
        assert list(registry.survey(BOTH).entries or {}) == [MEDIA.instance]


def test_a_document_from_discover(short_folder: Path) -> None:
    """Where there is no file, the method is asked; some answer with the document as text."""
    with CamelHero(short_folder / "s") as serving:
        serving.discovered = serving.whole().decode()
        serving.document = b"not here"
        registry = HeroProcRegistry(serving.path)
        assert registry.register(MEDIA)
        assert "rpc.discover" in serving.called


def test_references_in_circles(short_folder: Path) -> None:
    """A schema that refers to itself ends the search, and what can be said is said."""
    with CamelHero(short_folder / "s") as serving:
        serving.schemas["Action"]["allOf"] = [{"$ref": "#/components/schemas/Action"}, {"$ref": "#/nowhere"}, 5]
        serving.schemas["Action"]["anyOf"] = [{"anyOf": [{"$ref": "#/components/schemas/Action"}]}]
        assert HeroProcRegistry(serving.path).register(MEDIA)
        assert serving.actions["livekit-server.a"]["isProcess"] is True


def test_nobody_there_is_said_of_what_was_wanted(short_folder: Path) -> None:
    """Nothing is sent by guess, and the error is about the act and not about the document that was to be read first."""
    with pytest.raises(RegistryUnavailable, match=r"^cannot call service.start: nobody listens on "):
        HeroProcRegistry(str(short_folder / "none")).start(MEDIA.instance)


def test_ours_is_not_translated(short_folder: Path) -> None:
    """A hero_proc with our own document is spoken to as before; its document is read once."""
    with FakeHero(short_folder / "s") as hero:
        registry = HeroProcRegistry(hero.path)
        registry.survey(BOTH)
        registry.survey(BOTH)
        assert hero.read == 1
        assert registry.register(MEDIA)
        assert hero.actions["hero_livekit", "livekit-server.a"]["stop_min_age_ms"] is not None


def test_the_embedded_one_is_known_by_its_word(short_folder: Path) -> None:
    """Its document is never read by a look: one round trip, from the first one on."""
    with FakeHero(short_folder / "s") as hero:
        hero.methods["system.ping"] = lambda _: {"version": "1", "pid": 5, "pid_start": 6, "kind": "embedded"}
        HeroProcRegistry(hero.path).survey(BOTH)
        assert (hero.read, len(hero.requests)) == (0, 1)
