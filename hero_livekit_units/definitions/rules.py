"""What the types cannot say: values of one definition that must fit together."""

from __future__ import annotations

import re
import signal
from typing import TYPE_CHECKING

from hero_livekit_units.definitions import template

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hero_livekit_units.definitions.structure import Fault
    from hero_livekit_units.definitions.text import KeyPath
    from hero_livekit_units.model.unit import Definition, FileTemplate


# Filled in by `resolve`; `${ports.NAME}` and, in file templates only, `${secret.NAME}` come on top.
PARAMETERS = (
    "binary",
    "bind",
    "folder",
    "interfaces",
    "livekit_url",
    "log_level",
    "loopback",
    "node_ip",
    "python",
    "slot",
)
SECRETS = ("api_key", "api_secret", "backend_secret")

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_VERSION = re.compile(r"[0-9]+(\.[0-9]+){1,3}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_MODE = re.compile(r"0[0-7]{3}")


def faults(definition: Definition) -> list[Fault]:
    """Everything about a well-typed definition that cannot work: (key, what is wrong, how to mend it)."""
    return [*_unit(definition), *_binary(definition), *_run(definition), *_ports(definition), *_times(definition)]


def _unit(definition: Definition) -> Iterator[Fault]:
    unit = definition.unit
    if not _NAME.fullmatch(unit.name):
        yield ("unit", "name"), f"not a unit name: {unit.name!r}", "lower-case letters, digits and single dashes"
    if not _VERSION.fullmatch(unit.version):
        yield ("unit", "version"), f"not a version: {unit.version!r}", "numbers and dots, such as 1.13.5"
    if unit.revision < 1:
        yield ("unit", "revision"), f"revision {unit.revision} is below 1", ""
    if unit.carries_calls and definition.calls is None:
        yield ("unit", "carries_calls"), "calls cannot be counted: there is no [calls]", "say where to count them"
    for slot in definition.slots:
        if not _NAME.fullmatch(slot):
            yield ("slots", slot), f"not a slot name: {slot!r}", "a short lower-case word"


def _binary(definition: Definition) -> Iterator[Fault]:
    binary = definition.binary
    if bool(binary.program) == bool(binary.python_module):
        yield ("binary",), "needs either program or python_module", ""
    if binary.program and not (binary.version_argv and binary.version_prints):
        yield ("binary", "program"), "cannot be told apart from another release", "add version_argv and version_prints"
    if binary.archive:
        for key in ("url", "checksums"):
            url = getattr(binary.archive, key)
            for name in template.names(url):
                if name not in {"version", "arch"}:
                    yield ("binary", "archive", key), f"unknown parameter ${{{name}}}", "known: version, arch"
            if not url.startswith(("https://", "http://127.0.0.1:")):
                yield ("binary", "archive", key), f"not an https address: {url!r}", ""
        for arch, value in binary.archive.sha256.items():
            if not _SHA256.fullmatch(value):
                yield ("binary", "archive", "sha256", arch), "not a SHA-256", "64 lower-case hex digits"


def _run(definition: Definition) -> Iterator[Fault]:
    run = definition.run
    if not run.argv:
        yield ("run", "argv"), "is empty", "the program comes first"
    if run.folder.startswith("/") or ".." in run.folder.split("/"):
        yield ("run", "folder"), f"leaves the home of the package: {run.folder!r}", "a relative path such as backend"
    for name in run.env:
        if name.startswith("HLU_"):
            yield ("run", "env", name), "names that begin with HLU_ are ours", ""
    texts: list[tuple[KeyPath, str]] = [(("run", "argv"), argument) for argument in run.argv]
    texts += [(("run", "env", key), value) for key, value in run.env.items()]
    texts += [(("run", "folder"), run.folder)]
    for path, text in texts:
        yield from _open_names(definition, path, text, secrets_allowed=False)
    for name, file in run.files.items():
        yield from _file(definition, name, file)


def _file(definition: Definition, name: str, file: FileTemplate) -> Iterator[Fault]:
    path = ("run", "files", name)
    if "/" in name or name in {"", ".", ".."}:
        yield path, f"not a file name: {name!r}", "files lie in the instance's own folder"
    if not _MODE.fullmatch(file.mode):
        yield (*path, "mode"), f"not a file mode: {file.mode!r}", 'octal text such as "0600"'
    elif int(file.mode, 8) & 0o077 and any(name.startswith("secret.") for name in template.names(file.template)):
        yield (*path, "mode"), "others could read a secret", 'mode = "0600"'
    yield from _open_names(definition, (*path, "template"), file.template, secrets_allowed=True)


def _open_names(definition: Definition, path: KeyPath, text: str, *, secrets_allowed: bool) -> Iterator[Fault]:
    known = {*PARAMETERS, *(f"ports.{name}" for name in definition.ports)}
    if secrets_allowed:
        known |= {f"secret.{name}" for name in SECRETS}
    for name in template.names(text):
        if name in known:
            continue
        if name.startswith("secret.") and not secrets_allowed:
            yield path, f"${{{name}}} would be visible to others here", "put it into a file of mode 0600"
        else:
            yield path, f"unknown parameter ${{{name}}}", f"known: {', '.join(sorted(known))}"


def _ports(definition: Definition) -> Iterator[Fault]:
    numbers: dict[tuple[int, str], str] = {}
    for name, port in definition.ports.items():
        if not 1 <= port.number <= 65535:
            yield ("ports", name, "number"), f"not a port: {port.number}", "1 to 65535"
        for slot, offset in (definition.slots or {"": 0}).items():
            number = (port.number + offset, port.protocol)
            who = f"{name}@{slot}" if slot else name
            if number in numbers:
                yield ("ports", name, "number"), f"{number[0]} of {who} is also {numbers[number]}", ""
            numbers.setdefault(number, who)
        for open_name in template.names(port.bind):
            if open_name != "bind":
                yield ("ports", name, "bind"), f"unknown parameter ${{{open_name}}}", "known: bind"
    wanted: list[tuple[KeyPath, str]] = [(("probes", name, "port"), p.port) for name, p in definition.probes.items()]
    if definition.calls:
        wanted += [(("calls", "sources", at, "port"), s.port) for at, s in enumerate(definition.calls.sources)]
    for path, port_name in wanted:
        if port_name not in definition.ports:
            yield path, f"there is no port {port_name!r}", f"ports: {', '.join(definition.ports)}"


def _times(definition: Definition) -> Iterator[Fault]:
    if definition.stop.signal not in signal.Signals.__members__:
        yield ("stop", "signal"), f"not a signal: {definition.stop.signal!r}", "such as SIGTERM"
    values: list[tuple[KeyPath, float, bool]] = [
        (("stop", "minimum_age_s"), definition.stop.minimum_age_s, True),
        (("stop", "window_s"), definition.stop.window_s, False),
        (("restart", "delay_s"), definition.restart.delay_s, False),
        (("restart", "max_delay_s"), definition.restart.max_delay_s, False),
        (("restart", "stable_after_s"), definition.restart.stable_after_s, False),
        (("restart", "ready_within_s"), definition.restart.ready_within_s, False),
    ]
    for name, probe in definition.probes.items():
        values += [(("probes", name, "interval_s"), probe.interval_s, False)]
        values += [(("probes", name, "timeout_s"), probe.timeout_s, False)]
        if probe.failures < 1:
            yield ("probes", name, "failures"), f"{probe.failures} is below 1", ""
    for path, seconds, zero_is_fine in values:
        if not 0 <= seconds < float("inf") or (seconds == 0 and not zero_is_fine):
            yield path, f"not a time in seconds: {seconds:g}", "a positive number"
