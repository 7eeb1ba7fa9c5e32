"""hero_proc's words, to and fro."""

from __future__ import annotations

import json
import shlex
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hero_livekit_units.model.observed import Entry, EntryState, ProcessId
from hero_livekit_units.registry import wire
from tests.strategies import BACKEND, MEDIA

WORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=20)


def status(**changes: Any) -> dict[str, Any]:
    """A ServiceStatus of the media unit, running."""
    job = {
        "name": "livekit-server.a",
        "job_id": 34,
        "state": "running",
        "pid": 4242,
        "pid_start": 77,
        "restart_count": 2,
    }
    job |= {"last_error": "exit status 0", "log_file": "/logs/a.log"} | changes.pop("job", {})
    return {"name": "hero_livekit_media_a", "status": "start", "state": "running", "actions": [job]} | changes


@pytest.mark.parametrize(
    ("instance", "service", "action"),
    [
        ("livekit-server@a", "hero_livekit_media_a", "livekit-server.a"),
        ("livekit-server@b", "hero_livekit_media_b", "livekit-server.b"),
        ("lk-backend", "hero_livekit_backend", "lk-backend"),
        ("livekit-redis", "hero_livekit_redis", "livekit-redis"),
        ("livekit-front", "hero_livekit_front", "livekit-front"),
    ],
)
def test_names(instance: str, service: str, action: str) -> None:
    """Each instance is a service of its own, so that one slot restarts without the other."""
    assert (service, action) == (wire.service_name(instance), wire.action_name(instance))


def test_an_action() -> None:
    """What hero_proc is told about livekit-server, in full."""
    assert wire.action_spec(MEDIA) == {
        "name": "livekit-server.a",
        "script": "/srv/media/bin/livekit-server-1.13.5/livekit-server"
        f" --config /srv/media/slots/a/launch-{MEDIA.launch_digest}/livekit.yaml",
        "interpreter": "exec",
        "cwd": "/srv/media/slots/a",
        "env": {
            "HLU_UNIT": "livekit-server",
            "HLU_RELEASE": "1.13.5-r1",
            "HLU_DIGEST": MEDIA.launch_digest,
            "HLU_SLOT": "a",
            "HLU_PORTS": "debug=6800,http=7880,prometheus=6789,rtc_tcp=7881,rtc_udp=7882",
        },
        "is_process": True,
        "tty": False,
        "timeout_ms": 0,
        "depends_on": [],
        "retry_policy": {
            "max_attempts": 0,
            "delay_ms": 200,
            "max_delay_ms": 5000,
            "backoff": True,
            "stability_period_ms": 30000,
        },
        "stop_signal": "SIGTERM",
        "stop_timeout_ms": 18_000_000,
        "stop_kill": False,
        "stop_min_age_ms": 1000,
        "singleton": False,
        "kill_other": None,
        "sockets": [],
        "tcp_ports": [6800, 7880, 6789, 7881],
        "health_checks": [
            {"type": "tcp", "interval_ms": 5000, "timeout_ms": 1000, "retries": 3, "target": "127.0.0.1:7880"},
            {"type": "http", "interval_ms": 5000, "timeout_ms": 1000, "retries": 3, "url": "http://127.0.0.1:7880/"},
        ],
        "tags": ["hero_livekit", f"digest:{MEDIA.digest}"],
    }


def test_a_service() -> None:
    """The service keeps one action alive, and its end stops nothing else."""
    assert wire.service_spec(BACKEND) == {
        "name": "hero_livekit_backend",
        "description": "lk-backend 0.1.0-r1",
        "actions": ["lk-backend"],
        "status": "start",
        "requires": [],
        "after": [],
        "require_ready": False,
        "probe": None,
        "sockets": [],
        "tags": ["hero_livekit"],
    }


@pytest.mark.parametrize("spec", [MEDIA, BACKEND], ids=lambda spec: spec.unit)
def test_no_secret_is_in_what_hero_proc_is_told(spec: Any) -> None:
    """Files travel by disk: neither their templates nor their secrets are in a spec that every caller can read."""
    told = json.dumps([wire.action_spec(spec), wire.service_spec(spec)])
    assert "secret" not in told
    assert "LIVEKIT_API" not in told


@given(st.lists(WORDS, min_size=1, max_size=5))
def test_any_argument_survives_the_script(words: list[str]) -> None:
    """A path with spaces or quotes reaches the program as it is."""
    spec = attrs.evolve(MEDIA, argv=tuple(words))
    assert words == shlex.split(wire.action_spec(spec)["script"])


@given(digest=st.from_regex(r"[0-9a-f]{16}", fullmatch=True), launch=st.from_regex(r"[0-9a-f]{16}", fullmatch=True))
def test_the_digests_come_back(digest: str, launch: str) -> None:
    """What was registered is known again by its digests, after a trip through JSON."""
    spec = attrs.evolve(MEDIA, digest=digest, launch_digest=launch)
    action = json.loads(json.dumps(wire.action_spec(spec)))
    entry = wire.entry(spec.instance, status(), action)
    assert (digest, launch) == (entry.digest, entry.launch_digest)


def test_an_entry() -> None:
    """Everything that a status says of a running unit."""
    assert wire.entry("livekit-server@a", status(), wire.action_spec(MEDIA)) == Entry(
        instance="livekit-server@a",
        wanted=True,
        state=EntryState.RUNNING,
        process=ProcessId(4242, 77),
        digest=MEDIA.digest,
        launch_digest=MEDIA.launch_digest,
        restarts=2,
        last_error="exit status 0",
        log_file="/logs/a.log",
    )


@pytest.mark.parametrize(
    ("said", "state"),
    [
        ("inactive", EntryState.STOPPED),
        ("exited", EntryState.STOPPED),
        ("blocked", EntryState.WAITING),
        ("starting", EntryState.WAITING),
        ("running", EntryState.RUNNING),
        ("degraded", EntryState.RUNNING),
        ("stopping", EntryState.STOPPING),
        ("failed", EntryState.FAILED),
        ("melting", EntryState.UNKNOWN),
    ],
)
def test_states(said: str, state: EntryState) -> None:
    """Each state of hero_proc is one of ours; one that is not known is unknown, never stopped."""
    assert state is wire.entry("livekit-server@a", status(state=said), {}).state


def test_running_without_a_process_is_between_two_lives() -> None:
    """hero_proc says running while a job waits for its next attempt."""
    entry = wire.entry("livekit-server@a", status(job={"pid": None}), {})
    assert (entry.state, entry.process) == (EntryState.WAITING, None)


def test_a_job_of_another_action_is_not_ours() -> None:
    """A service may hold more actions than ours; their processes are not taken for it."""
    entry = wire.entry("livekit-server@a", status(job={"name": "configure"}), {})
    assert entry.process is None


@pytest.mark.parametrize(
    "answer", [{}, {"actions": []}, {"actions": None, "state": "running"}, [], "running", None], ids=str
)
def test_garbage_is_refused(answer: Any) -> None:
    """What does not have the shape of a status is an error that the caller catches, never an entry."""
    with pytest.raises((KeyError, TypeError, AttributeError)):
        wire.entry("livekit-server@a", answer, {})
