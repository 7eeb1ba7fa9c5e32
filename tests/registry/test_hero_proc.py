"""The client of hero_proc: against a small fake one, and against the embedded one."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from hero_livekit_units.errors import (
    RegistryConflict,
    RegistryError,
    RegistryProtocolError,
    RegistryRefused,
    RegistryUnavailable,
)
from hero_livekit_units.herosocket.client import HeroClient
from hero_livekit_units.model.observed import EntryState, ProcessId, Verdict
from hero_livekit_units.registry.hero_proc import HeroProcRegistry
from hero_livekit_units.registry.port import Recorded
from tests.fakes.hero import FakeHero, Refusal
from tests.fakes.socket_peer import BEHAVIOURS, SocketPeer
from tests.strategies import BACKEND, MEDIA

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


BOTH = [MEDIA.instance, BACKEND.instance]
SERVICE = "hero_livekit_media_a"


def running(**job: Any) -> dict[str, Any]:
    """A ServiceStatus of the media unit."""
    own = {"name": "livekit-server.a", "job_id": 34, "state": "running", "pid": 4242, "pid_start": 77} | job
    return {"name": SERVICE, "status": "start", "state": "running", "actions": [own]}


@pytest.fixture
def hero(short_folder: Path) -> Iterator[FakeHero]:
    """A fake hero_proc that serves."""
    with FakeHero(short_folder / "s") as serving:
        yield serving


@pytest.fixture
def registry(hero: FakeHero) -> HeroProcRegistry:
    """Our client of it."""
    return HeroProcRegistry(hero.path)


def test_a_survey_is_one_round_trip(hero: FakeHero, registry: HeroProcRegistry) -> None:
    """However many instances there are, looking costs one connection."""
    registry.register(MEDIA)
    hero.statuses[SERVICE] = running()
    hero.requests.clear()
    survey = registry.survey(BOTH)
    assert len(hero.requests) == 1
    assert survey.entries is not None
    assert list(survey.entries) == [MEDIA.instance]
    entry = survey.entries[MEDIA.instance]
    assert (entry.state, entry.process) == (EntryState.RUNNING, ProcessId(4242, 77))
    assert (entry.digest, entry.launch_digest) == (MEDIA.digest, MEDIA.launch_digest)


def test_the_supervisor_says_who_it_is(hero: FakeHero, registry: HeroProcRegistry) -> None:
    """Kind, version, process and socket, and how long the answer took."""
    supervisor = registry.survey([]).supervisor
    assert (supervisor.kind, supervisor.version, supervisor.process) == ("hero_proc", "0.4.0", ProcessId(77, 5))
    assert (supervisor.verdict, supervisor.socket) == (Verdict.HEALTHY, hero.path)
    assert supervisor.says.startswith("answered in ")


def test_an_unknown_service_is_no_entry(registry: HeroProcRegistry) -> None:
    """hero_proc looked and has none: that is an answer, and different from silence."""
    survey = registry.survey(BOTH)
    assert survey.entries == {}
    assert survey.supervisor.verdict is Verdict.HEALTHY


def test_a_service_whose_action_is_gone_has_no_digest(hero: FakeHero, registry: HeroProcRegistry) -> None:
    """The entry is there, but what it would launch is not known: it will be registered again."""
    registry.register(MEDIA)
    hero.actions.clear()
    survey = registry.survey([MEDIA.instance])
    assert survey.entries is not None
    assert (survey.entries[MEDIA.instance].digest, survey.entries[MEDIA.instance].launch_digest) == ("", "")


@pytest.mark.parametrize("behaviour", sorted(BEHAVIOURS))
def test_a_survey_never_raises(behaviour: str, short_folder: Path) -> None:
    """Not being able to ask is an answer too: the supervisor is unknown and says why, within half a second."""
    with SocketPeer(short_folder / "s", BEHAVIOURS[behaviour]) as peer:
        began = time.monotonic()
        survey = HeroProcRegistry(peer.path).survey(BOTH)
        took_s = time.monotonic() - began
    assert survey.entries is None
    assert survey.supervisor.verdict is Verdict.UNKNOWN
    assert survey.supervisor.says
    assert took_s < 0.9


def test_no_supervisor_at_all(short_folder: Path) -> None:
    """The reason names the socket."""
    survey = HeroProcRegistry(str(short_folder / "none")).survey(BOTH)
    assert survey.entries is None
    assert survey.supervisor.says == f"nobody listens on {short_folder}/none"


@pytest.mark.parametrize(
    "status",
    [
        pytest.param(None, id="null"),
        pytest.param("running", id="text"),
        pytest.param([], id="list"),
        pytest.param({}, id="empty"),
        pytest.param({"state": "running", "actions": None}, id="no-actions"),
        pytest.param({"state": ["running"], "actions": []}, id="state-is-a-list"),
        pytest.param({"state": "running", "actions": [1]}, id="job-is-a-number"),
        pytest.param({"state": "running", "actions": [{"pid": 1}]}, id="job-without-a-name"),
        pytest.param(running(pid="many"), id="pid-is-a-word"),
        pytest.param(running(pid=float("inf")), id="pid-is-infinite"),
        pytest.param(running(restart_count="x"), id="restarts-is-a-word"),
    ],
)
def test_a_status_of_an_unknown_shape_is_silence(status: Any, hero: FakeHero, registry: HeroProcRegistry) -> None:
    """A hero_proc that we do not understand has told us nothing; above all not that a unit is stopped."""
    hero.statuses[SERVICE] = status
    survey = registry.survey([MEDIA.instance])
    assert survey.entries is None
    assert survey.supervisor.verdict is Verdict.UNKNOWN
    assert "unknown shape" in survey.supervisor.says


@pytest.mark.parametrize("ping", [None, "pong", [], {"pid": "x"}], ids=str)
def test_a_ping_of_an_unknown_shape_is_silence(ping: Any, hero: FakeHero, registry: HeroProcRegistry) -> None:
    """As for a status."""
    hero.methods["system.ping"] = lambda _: ping
    assert registry.survey([]).entries is None


@pytest.mark.parametrize("method", ["system.ping", "service.status"])
def test_a_refusal_is_silence(method: str, hero: FakeHero, registry: HeroProcRegistry) -> None:
    """An error that is not `not found` leaves the state unknown (a full disk is one such)."""
    del hero.methods[method]
    survey = registry.survey([MEDIA.instance])
    assert survey.entries is None
    assert survey.supervisor.says == "unknown method"


def test_registering_twice_writes_once(hero: FakeHero, registry: HeroProcRegistry) -> None:
    """Some hero_proc stop a service that is set again; and fields that it added itself are no difference."""
    assert registry.register(MEDIA)
    hero.called.clear()
    assert not registry.register(MEDIA)
    assert hero.called == ["system.ping", "action.get", "service.get"]


def test_registering_writes_only_what_differs(hero: FakeHero, registry: HeroProcRegistry) -> None:
    """A changed probe is a changed action; the service is not touched."""
    registry.register(MEDIA)
    hero.called.clear()
    assert registry.register(attrs.evolve(MEDIA, digest="f" * 16))
    assert hero.called == ["system.ping", "action.get", "service.get", "action.set"]


def test_registering_goes_on_after_half(hero: FakeHero, registry: HeroProcRegistry) -> None:
    """A crash between action and service leaves an action; the next register adds the service."""
    registry.register(MEDIA)
    hero.services.clear()
    hero.called.clear()
    assert registry.register(MEDIA)
    assert hero.called == ["system.ping", "action.get", "service.get", "service.set"]


@pytest.mark.parametrize(
    ("act", "method"),
    [
        pytest.param(lambda registry: registry.start(MEDIA.instance), "service.start", id="start"),
        pytest.param(lambda registry: registry.stop(MEDIA.instance), "service.stop", id="stop"),
        pytest.param(lambda registry: registry.restart(MEDIA.instance), "service.restart", id="restart"),
        pytest.param(lambda registry: registry.record("hero_livekit", "x"), "logs.insert", id="record"),
        pytest.param(lambda registry: registry.history("hero_livekit", 5), "logs.get", id="history"),
        pytest.param(lambda registry: registry.store_secret("api_key", "x"), "secret.set", id="store-secret"),
        pytest.param(lambda registry: registry.delete_secret("api_key"), "secret.delete", id="delete-secret"),
        pytest.param(lambda registry: registry.register(MEDIA), "action.set", id="register"),
        pytest.param(lambda registry: registry.kill(MEDIA.instance), "service.status", id="kill"),
        pytest.param(lambda registry: registry.secrets(["api_key"]), "secret.get", id="secrets"),
    ],
)
def test_a_refused_act_raises(
    act: Callable[[HeroProcRegistry], Any], method: str, hero: FakeHero, registry: HeroProcRegistry
) -> None:
    """Acting is not looking: whoever asked for it hears that it was not done, with hero_proc's own code."""

    def refuse(_: Any) -> Any:
        raise Refusal(-32010, "database or disk is full")

    hero.methods[method] = refuse
    with pytest.raises(RegistryRefused, match="disk is full") as caught:
        act(registry)
    assert caught.value.code == -32010


def test_acts_go_to_the_service_of_the_instance(hero: FakeHero, registry: HeroProcRegistry) -> None:
    """A slot is its own service."""
    registry.start("livekit-server@b")
    registry.stop("lk-backend")
    assert [request["params"] for request in hero.requests] == [
        {"name": "hero_livekit_media_b"},
        {"name": "hero_livekit_backend"},
    ]


def test_kill_is_for_the_present_job(hero: FakeHero, registry: HeroProcRegistry) -> None:
    """SIGKILL goes to the job by its number, so that hero_proc sees to it that it is the right process."""
    hero.statuses[SERVICE] = running()
    registry.kill(MEDIA.instance)
    assert hero.requests[-1]["params"] == {"job_id": 34, "signal": "SIGKILL"}


def test_kill_without_a_process_kills_nothing(hero: FakeHero, registry: HeroProcRegistry) -> None:
    """A job between two lives has nothing to signal."""
    hero.statuses[SERVICE] = running(pid=None)
    registry.kill(MEDIA.instance)
    assert hero.called == ["service.status"]


def test_kill_of_what_ends_by_itself_meanwhile(hero: FakeHero, registry: HeroProcRegistry) -> None:
    """A process that ended between look and kill is what was wanted; one that lives and is not killed is an error."""
    hero.statuses[SERVICE] = running()

    def too_late(_: Any) -> Any:
        hero.statuses[SERVICE] = running(pid=None)
        raise Refusal(-32005, "cannot signal job 34: it is succeeded and has no process")

    def not_allowed(_: Any) -> Any:
        raise Refusal(-32005, "cannot signal job 34")

    hero.methods["job.kill"] = too_late
    registry.kill(MEDIA.instance)
    hero.statuses[SERVICE] = running()
    hero.methods["job.kill"] = not_allowed
    with pytest.raises(RegistryRefused, match="cannot signal job 34"):
        registry.kill(MEDIA.instance)


def test_kill_with_a_status_of_an_unknown_shape(hero: FakeHero, registry: HeroProcRegistry) -> None:
    """Nothing is killed by guess, and the error is one of ours."""
    hero.statuses[SERVICE] = {"jobs": []}
    with pytest.raises(RegistryProtocolError, match="unknown shape"):
        registry.kill(MEDIA.instance)


def test_secrets_that_exist(registry: HeroProcRegistry) -> None:
    """Those that do not exist are left out; the rest come as they were stored."""
    registry.store_secret("api_key", "APIx")
    assert registry.secrets(["api_key", "api_secret"]) == {"api_key": "APIx"}


def test_a_secret_is_deleted_once(hero: FakeHero, registry: HeroProcRegistry) -> None:
    """One that is not there any more is as it should be: the answer to an earlier call may have been lost."""
    registry.store_secret("rotation", "x")
    registry.delete_secret("rotation")
    registry.delete_secret("rotation")
    assert registry.secrets(["rotation"]) == {}
    assert hero.called.count("secret.delete") == 2


@pytest.mark.parametrize(
    "answer", [None, "s3cret", {"key": "api_key"}, {"value": 5}], ids=["null", "text", "none", "5"]
)
def test_a_secret_of_an_unknown_shape(answer: Any, hero: FakeHero, registry: HeroProcRegistry) -> None:
    """It is an error and not a secret called None; the answer, which may hold the secret, is not repeated."""
    hero.methods["secret.get"] = lambda _: answer
    with pytest.raises(RegistryProtocolError) as caught:
        registry.secrets(["api_key"])
    assert "s3cret" not in str(caught.value)


def test_history_is_of_one_source(registry: HeroProcRegistry) -> None:
    """The newest lines of exactly that source, the newest last."""
    for source, text in [("mine", "a"), ("mine.too", "b"), ("mine", "c"), ("other", "d"), ("mine", "e")]:
        registry.record(source, text)
    assert registry.history("mine", 10) == [Recorded(1.0, "a"), Recorded(3.0, "c"), Recorded(5.0, "e")]
    assert registry.history("mine", 1) == [Recorded(5.0, "e")]
    assert registry.history("min", 10) == []


def test_history_whatever_the_order_and_number_of_the_answer(hero: FakeHero, registry: HeroProcRegistry) -> None:
    """A hero_proc that gives the newest first, and more than it was asked for, is understood."""
    hero.methods["logs.get"] = lambda _: [{"src": "x", "epoch_ms": at, "content": str(at)} for at in (3500, 2000, 1000)]
    assert registry.history("x", 2) == [Recorded(2.0, "2000"), Recorded(3.5, "3500")]


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(None, id="null"),
        pytest.param("lines", id="text"),
        pytest.param({"src": "x"}, id="object"),
        pytest.param([None], id="row-is-null"),
        pytest.param(["x"], id="row-is-text"),
        pytest.param([{"epoch_ms": 1, "content": "s3cret"}], id="no-source"),
        pytest.param([{"src": "x", "epoch_ms": 1}], id="no-content"),
        pytest.param([{"src": "x", "epoch_ms": 1, "content": 5}], id="content-is-a-number"),
        pytest.param([{"src": "x", "content": "s3cret"}], id="no-time"),
        pytest.param([{"src": "x", "epoch_ms": "1", "content": "s3cret"}], id="time-is-text"),
        pytest.param([{"src": "x", "epoch_ms": True, "content": "s3cret"}], id="time-is-a-flag"),
        pytest.param([{"src": "x", "epoch_ms": float("nan"), "content": "s3cret"}], id="time-is-no-number"),
        pytest.param([{"src": "x", "epoch_ms": 10**400, "content": "s3cret"}], id="time-is-endless"),
    ],
)
def test_a_history_of_an_unknown_shape(answer: Any, hero: FakeHero, registry: HeroProcRegistry) -> None:
    """It is an error of ours, and not an empty history."""
    hero.methods["logs.get"] = lambda _: answer
    with pytest.raises(RegistryProtocolError, match="unknown shape") as caught:
        registry.history("x", 10)
    assert "s3cret" not in str(caught.value)


# -- against the embedded hero_proc


@pytest.fixture
def embedded(short_folder: Path) -> Iterator[str]:
    """The socket of an embedded hero_proc."""
    path = str(short_folder / "s")
    daemon = subprocess.Popen(
        [sys.executable, "-m", "hero_livekit_units.embedded", "--socket", path, "--state", str(short_folder / "d")],
        stderr=subprocess.DEVNULL,
    )
    client = HeroClient(path)
    try:
        until(lambda: _pings(client))
        yield path
    finally:
        try:
            client.call("system.shutdown", {"keep_children": False, "force": True})
        except RegistryError:
            daemon.kill()
        daemon.wait(20.0)


def until(reached: Callable[[], Any]) -> Any:
    """Wait for something with a deadline, and return it."""
    ends = time.monotonic() + 20.0
    while not (found := reached()):
        assert time.monotonic() < ends
        time.sleep(0.01)
    return found


def _pings(client: HeroClient) -> bool:
    try:
        client.call("system.ping")
    except RegistryUnavailable:
        return False
    return True


@pytest.mark.servers
def test_embedded_keeps_every_field(embedded: str) -> None:
    """Of the real units too, so that nothing ever seems to differ."""
    registry = HeroProcRegistry(embedded)
    for expected in (True, False):
        assert {expected} == {registry.register(spec) for spec in (MEDIA, BACKEND)}


@pytest.mark.servers
@pytest.mark.parametrize("known", [True, False], ids=["changed", "new"])
@pytest.mark.parametrize("method", ["action.set", "service.set"])
def test_embedded_compares_before_it_writes(
    method: str,
    known: bool,  # noqa: FBT001
    embedded: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two who register at once: the second sees that it would undo the first, and writes nothing."""
    other, registry = HeroProcRegistry(embedded), HeroProcRegistry(embedded)
    theirs = attrs.evolve(MEDIA, release="theirs", digest="a" * 16)
    if known:
        registry.register(MEDIA)
    ours = attrs.evolve(MEDIA, release="ours", digest="b" * 16)
    call = registry._client.call

    def late(name: str, params: dict[str, Any] | None = None, **options: Any) -> Any:
        if name == method:
            other.register(theirs)
        return call(name, params, **options)

    with monkeypatch.context() as patched:
        patched.setattr(registry._client, "call", late)
        with pytest.raises(RegistryConflict, match="is not as expected"):
            registry.register(ours)
    survey = other.survey([MEDIA.instance])
    assert survey.entries is not None
    assert survey.entries[MEDIA.instance].digest == theirs.digest
    assert registry.register(ours)


def test_others_are_not_asked_to_compare(hero: FakeHero, registry: HeroProcRegistry) -> None:
    """A hero_proc that does not know the parameter might refuse it."""
    registry.register(MEDIA)
    sets = [request for request in hero.requests if isinstance(request, dict) and request["method"].endswith(".set")]
    assert [request["method"] for request in sets] == ["action.set", "service.set"]
    assert all("expected" not in request["params"] for request in sets)
