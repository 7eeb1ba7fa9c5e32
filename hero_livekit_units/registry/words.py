"""The words in which some hero_proc may say what we say: methods, parameters and fields. Pure data.

A word is compared without its case, dots, dashes and underscores: `serviceName` is `service_name`. Where the unit of a
number is not part of a name, the name is not listed: a delay in the wrong unit is worse than none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from attrs import field, frozen

if TYPE_CHECKING:
    from collections.abc import Iterable


@frozen
class Word:
    """One parameter or field.

    names: other names of it. needed: without it the method is of no use. inner: fields of the object that it is. item:
    fields that the objects in the list that it is must have.
    """

    names: tuple[str, ...] = ()
    needed: bool = False
    inner: Mapping[str, Word] = field(factory=dict)
    item: frozenset[str] = frozenset()


@frozen
class Method:
    """A method of ours. does: for messages. names: as others may call it, likeliest first. words: its parameters."""

    does: str
    names: tuple[str, ...]
    words: Mapping[str, Word]


def squash(name: str) -> str:
    """A name as it is compared."""
    return "".join(letter for letter in name.lower() if letter.isalnum())


def _named(nouns: Iterable[str], verbs: Iterable[str]) -> tuple[str, ...]:
    """Both orders and the plural, in the order of the verbs."""
    return tuple(
        name for verb in verbs for noun in nouns for name in (f"{noun}.{verb}", f"{noun}s.{verb}", f"{verb}_{noun}")
    )


_SET = ("set", "put", "upsert", "register", "define", "save")
_GET = ("get", "show", "describe", "read")
_DELETE = ("delete", "remove", "unset")
_SERVICE = Word(("service_name", "service", "id", "service_id"), needed=True)
_CONTEXT = Word(("context_name", "namespace"))

ACTION_WORDS: Mapping[str, Word] = {
    "name": Word(("action_name", "id"), needed=True),
    "script": Word(("command", "cmd", "exec", "command_line"), needed=True),
    "interpreter": Word(("runtime",)),
    "cwd": Word(("dir", "working_dir", "working_directory", "workdir")),
    "env": Word(("environment", "env_vars"), needed=True),
    "is_process": Word(("long_running", "keep_alive")),
    "tty": Word(),
    "timeout_ms": Word(),
    "depends_on": Word(("dependencies",)),
    "retry_policy": Word(
        ("restart_policy", "retry"),
        inner={
            "max_attempts": Word(("max_retries", "max_restarts")),
            "delay_ms": Word(("retry_delay_ms", "restart_delay_ms")),
            "max_delay_ms": Word(("delay_max_ms", "restart_delay_max_ms")),
            "backoff": Word(("exponential_backoff",)),
            "stability_period_ms": Word(),
        },
    ),
    "stop_signal": Word(),
    "stop_timeout_ms": Word(("grace_period_ms",)),
    "stop_kill": Word(),
    "stop_min_age_ms": Word(),
    "singleton": Word(),
    "kill_other": Word(("kill_others",)),
    "sockets": Word(),
    "tcp_ports": Word(),
    "health_checks": Word(
        ("checks",), item=frozenset({"type", "url", "target", "interval_ms", "timeout_ms", "retries"})
    ),
    "tags": Word(("labels",), needed=True),  # where the digest of what was registered is kept
}

SERVICE_WORDS: Mapping[str, Word] = {
    "name": Word(("service_name", "id"), needed=True),
    "description": Word(("summary",)),
    "actions": Word(("action_names",), needed=True),
    "status": Word(("wanted", "wanted_status", "desired_status", "desired")),
    "requires": Word(),
    "after": Word(),
    "require_ready": Word(),
    "probe": Word(),
    "sockets": Word(),
    "tags": Word(("labels",)),
}

CONTAINERS = ("spec", "config", "definition", "input", "data", "body", "request", "params", "payload", "args")
_ACTION = Word(("action_spec", "action_config", *CONTAINERS), needed=True, inner=ACTION_WORDS)
_SERVICE_SPEC = Word(("service_spec", "service_config", *CONTAINERS), needed=True, inner=SERVICE_WORDS)
_KEY = Word(("name", "secret_name", "secret_key", "id"), needed=True)

METHODS: Mapping[str, Method] = {
    "system.ping": Method("say who it is", ("system.ping", "ping", "system.info", "server.info", "system.version"), {}),
    "action.set": Method("store an action", _named(["action"], _SET), {"action": _ACTION, "context": _CONTEXT}),
    "action.get": Method(
        "read an action",
        _named(["action"], _GET),
        {"name": Word(("action_name", "action", "id"), needed=True), "context": _CONTEXT},
    ),
    "action.delete": Method(
        "delete an action",
        _named(["action"], _DELETE),
        {"name": Word(("action_name", "action", "id"), needed=True), "context": _CONTEXT},
    ),
    "service.set": Method(
        "store a service", _named(["service"], _SET), {"service": _SERVICE_SPEC, "context": _CONTEXT}
    ),
    "service.get": Method("read a service", _named(["service"], _GET), {"name": _SERVICE}),
    "service.delete": Method("delete a service", _named(["service"], _DELETE), {"name": _SERVICE}),
    "service.status": Method(
        "tell the status of a service",
        _named(["service"], ("status_full", "status", "state", "inspect", "info")),
        {"name": _SERVICE},
    ),
    "service.start": Method("start a service", _named(["service"], ("start", "up")), {"name": _SERVICE}),
    "service.stop": Method("stop a service", _named(["service"], ("stop", "down")), {"name": _SERVICE}),
    "service.restart": Method("restart a service", _named(["service"], ("restart",)), {"name": _SERVICE}),
    "job.kill": Method(
        "kill a job",
        _named(["job"], ("kill", "signal")),
        {"job_id": Word(("id", "job"), needed=True), "signal": Word(("sig", "signal_name"), needed=True)},
    ),
    "secret.get": Method("read a secret", _named(["secret"], ("get", "read")), {"key": _KEY, "context": _CONTEXT}),
    "secret.set": Method(
        "store a secret",
        _named(["secret"], ("set", "put", "upsert", "store", "save")),
        {"key": _KEY, "value": Word(("secret", "content", "data"), needed=True), "context": _CONTEXT},
    ),
    "secret.delete": Method(
        "delete a secret",
        _named(["secret"], _DELETE),
        {"key": _KEY, "context": _CONTEXT},
    ),
    "logs.insert": Method(
        "add a line to its log",
        _named(["log"], ("insert", "add", "append", "write", "push")),
        {
            "src": Word(("source", "name"), needed=True),
            "content": Word(("line", "message", "text", "msg"), needed=True),
            "context_name": Word(("context", "namespace")),
        },
    ),
    "logs.get": Method(
        "read its log",
        _named(["log"], ("get", "query", "list", "read", "tail", "filter")),
        {"src_prefix": Word(("src", "source", "name"), needed=True), "lines": Word(("limit", "count", "tail"))},
    ),
}

# Where nothing stores whether it is there already or not: one for each case.
PAIRS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    method: (_named([noun], ("update", "replace")), _named([noun], ("create", "add")))
    for method, noun in (("action.set", "action"), ("service.set", "service"), ("secret.set", "secret"))
}
