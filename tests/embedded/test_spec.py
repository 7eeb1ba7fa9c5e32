"""Specs are parsed strictly."""

from __future__ import annotations

import shlex
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hero_livekit_units.embedded.dependencies import check_actions
from hero_livekit_units.embedded.faults import DependencyInvalid
from hero_livekit_units.embedded.restart import RetryPolicy
from hero_livekit_units.embedded.spec import ActionDep, Condition, host_and_port, parse_action, parse_service
from hero_livekit_units.embedded.strict import SpecInvalid

PUBLIC_EXAMPLE: dict[str, Any] = {
    "name": "livekit-server",
    "script": "/abs/livekit-server --config /abs/livekit.yaml",
    "interpreter": "exec",
    "cwd": "/abs",
    "env": {"PATH_ROOT": "/srv/hero"},
    "is_process": True,
    "tty": False,
    "timeout_ms": 0,
    "depends_on": [{"action": "configure", "condition": "succeeded"}],
    "retry_policy": {
        "max_attempts": 0,
        "delay_ms": 1000,
        "max_delay_ms": 60000,
        "backoff": True,
        "stability_period_ms": 30000,
    },
    "stop_signal": "SIGTERM",
    "stop_timeout_ms": 30000,
    "singleton": False,
    "kill_other": None,
    "sockets": [],
    "tcp_ports": [7880, 7881],
    "health_checks": [
        {"type": "http", "url": "http://127.0.0.1:7880/", "interval_ms": 5000, "timeout_ms": 2000, "retries": 3}
    ],
    "tags": ["hero_livekit"],
}


def test_the_public_example_is_understood_and_given_back() -> None:
    """Every key that hero_proc is known to have survives parsing, with its value."""
    given_back = parse_action(PUBLIC_EXAMPLE).as_json()
    differing = {key: given_back.get(key) for key, value in PUBLIC_EXAMPLE.items() if given_back.get(key) != value}
    assert {"health_checks": [PUBLIC_EXAMPLE["health_checks"][0] | {"target": ""}]} == differing


def test_what_is_given_back_is_the_same_spec() -> None:
    """as_json and parse_action are inverse, so that a stored spec compares equal."""
    spec = parse_action(PUBLIC_EXAMPLE)
    assert spec == parse_action(spec.as_json())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": None}, "action.name must be a string"),
        ({"name": "../x"}, "action.name must be 1 to 100 of the characters"),
        ({"script": 5}, "action.script must be a string"),
        ({"script": "a\0b"}, "action.script must not hold a NUL character"),
        ({"script": " "}, "action.script is empty"),
        ({"script": "'open"}, "action.script cannot be split into an argv: No closing quotation"),
        ({"interpreter": "perl"}, "action.interpreter must be one of exec, sh, bash, python"),
        ({"cwd": "relative"}, "action.cwd must be an absolute path"),
        ({"env": {"A": 1}}, "action.env.A must be a string"),
        ({"env": {"A=B": "x"}}, "action.env holds a name that is empty or has = or NUL in it"),
        ({"env": []}, "action.env must be an object"),
        ({"is_process": "true"}, "action.is_process must be true or false"),
        ({"is_process": 1}, "action.is_process must be true or false"),
        ({"timeout_ms": 1.5}, "action.timeout_ms must be a whole number"),
        ({"timeout_ms": True}, "action.timeout_ms must be a whole number"),
        ({"timeout_ms": -1}, "action.timeout_ms must be from 0 to 9007199254740992"),
        ({"tcp_ports": [70000]}, "action.tcp_ports[0] must be from 1 to 65535"),
        ({"tags": "hero"}, "action.tags must be an array"),
        ({"tags": [1]}, "action.tags[0] must be a string"),
        ({"stop_signal": "TERM"}, "action.stop_signal 'TERM' is not the name of a signal, such as SIGTERM"),
        ({"retry_policy": {"delay": 5}}, "action.retry_policy.delay is an unknown key"),
        ({"retry_policy": []}, "action.retry_policy must be an object or null"),
        ({"depends_on": [{"condition": "running"}]}, "action.depends_on[0].action is missing"),
        ({"depends_on": [{"action": "x", "condition": "ready"}]}, "action.depends_on[0].condition must be one of"),
        ({"depends_on": ["livekit-server"]}, "action.depends_on names the action itself"),
        ({"health_checks": [{"type": "exec"}]}, "action.health_checks[0].type must be http or tcp"),
        ({"health_checks": [{"type": "http", "url": "https://x/"}]}, "action.health_checks[0].url must be http://"),
        ({"health_checks": [{"type": "http", "url": "http://x/\r\na: b"}]}, "action.health_checks[0].url must be"),
        ({"health_checks": [{"type": "tcp", "target": "x"}]}, "action.health_checks[0].target must be host:port"),
        ({"singleton": True}, "action.singleton must be false"),
        ({"kill_other": {"socket": "x"}}, "action.kill_other must be null"),
        ({"tty": True}, "action.tty must be false"),
        ({"stop_timout_ms": 5}, "action.stop_timout_ms is an unknown key"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else None,
)
def test_what_is_wrong_is_named(change: dict[str, Any], message: str) -> None:
    """Each fault names the key in question; nothing is coerced or ignored."""
    with pytest.raises(SpecInvalid) as caught:
        parse_action(PUBLIC_EXAMPLE | change)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("value", [None, [], "x", 5], ids=repr)
def test_an_action_is_an_object(value: Any) -> None:
    """Anything but an object is refused."""
    with pytest.raises(SpecInvalid, match=r"^action must be an object$"):
        parse_action(value)


@pytest.mark.parametrize(
    ("interpreter", "expected"),
    [
        ("exec", ["echo", "a b", "$HOME"]),
        ("sh", ["sh", "-c", "echo 'a b' $HOME"]),
        ("bash", ["bash", "-c", "echo 'a b' $HOME"]),
        ("python", ["python3", "-c", "echo 'a b' $HOME"]),
    ],
)
def test_the_argv(interpreter: str, expected: list[str]) -> None:
    """`exec` splits without a shell; the others hand the script over as it is."""
    spec = parse_action({"name": "x", "script": "echo 'a b' $HOME", "interpreter": interpreter})
    assert expected == spec.argv


def test_a_process_is_kept_alive_and_a_task_runs_once() -> None:
    """Without a retry_policy, the default depends on is_process."""
    policies = [parse_action({"name": "x", "script": "x", "is_process": value}).retry_policy for value in (True, False)]
    assert [RetryPolicy(), RetryPolicy(max_attempts=1)] == policies


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"status": "on"}, "service.status must be one of start, stop, ignore"),
        ({"actions": ["a", "a"]}, "service.actions holds a name twice"),
        ({"actions": [{"name": "a"}]}, "service.actions[0] must be a string"),
        ({"probe": 1}, "service.probe must be an object or null"),
        ({"class": "system"}, "service.class is an unknown key"),
    ],
    ids=["status", "twice", "inline", "probe", "unknown"],
)
def test_what_is_wrong_with_a_service_is_named(change: dict[str, Any], message: str) -> None:
    """As for actions."""
    with pytest.raises(SpecInvalid) as caught:
        parse_service({"name": "s"} | change)
    assert message == str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1:80", ("127.0.0.1", 80)),
        ("[::1]:7880", ("::1", 7880)),
        ("[::1]", ("::1", 80)),
        ("host", ("host", 80)),
    ],
    ids=["ipv4", "ipv6", "ipv6-alone", "name"],
)
def test_where_a_check_connects_to(text: str, expected: tuple[str, int]) -> None:
    """Host and port, with IPv6 in brackets."""
    assert expected == host_and_port(text)


def test_a_dependency_may_be_a_name() -> None:
    """`depends_on: ["configure"]` is short for waiting for its success."""
    spec = parse_action({"name": "x", "script": "x", "depends_on": ["configure"]})
    assert (ActionDep("configure", Condition.SUCCEEDED),) == spec.depends_on


@pytest.mark.parametrize(
    ("actions", "message"),
    [
        ([("a", ["b"], False)], "action a depends on b, which is not part of the same service or run"),
        ([("a", ["b"], False), ("b", ["a"], False)], "action a depends on itself around a circle"),
        ([("a", ["b"], False), ("b", [], True)], "action a waits for b to succeed, which is a process and never does"),
    ],
    ids=["missing", "circle", "process"],
)
def test_what_could_never_start_is_refused(actions: list[tuple[str, list[str], bool]], message: str) -> None:
    """A dependency that can never be fulfilled is an error and not a service that waits for ever."""
    specs = [
        parse_action({"name": name, "script": "x", "depends_on": deps, "is_process": process})
        for name, deps, process in actions
    ]
    with pytest.raises(DependencyInvalid) as caught:
        check_actions(specs)
    assert message == str(caught.value)


@given(st.text(st.sampled_from("ab -=/$#;'\"\\\t\n\x0b\x85é"), min_size=1))
def test_any_script_is_split_as_a_shell_would(script: str) -> None:
    """The quick way for what has no quotes gives the same."""
    with suppress(SpecInvalid):
        assert parse_action({"name": "a", "script": script}).argv == shlex.split(script)
