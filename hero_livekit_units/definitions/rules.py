"""What the types cannot say: values of one definition that must fit together."""

from __future__ import annotations

import re
import signal
from typing import TYPE_CHECKING, Any

from hero_livekit_units.definitions import template
from hero_livekit_units.definitions.kinds import KINDS, REMOVED
from hero_livekit_units.model.settings import setting_fields
from hero_livekit_units.model.unit import FileFormat, FilePlace

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from hero_livekit_units.definitions.structure import Fault
    from hero_livekit_units.definitions.text import KeyPath
    from hero_livekit_units.model.unit import Definition, FileSection, PortSection, ReleaseArchive


# Filled in on the host, besides the keys of media.toml; `${ports.NAME}`, `${media.SLOT.PORT}`, in files
# `${secret.NAME}` and in the command and its environment `${files}` come on top.
PARAMETERS = (
    *("binary", "folder", "home", "join_url", "loopback", "media.host", "python", "slot", "token_url", "version"),
    *("front.tls", "livekit.udp_first", "livekit.udp_last", "redis.server", "turn.relay_first", "turn.relay_last"),
    *setting_fields(),
)
# Always there: the key that signs, the bearer of lk-backend, the key that webhooks are signed with, and a table of all
# keys that are valid now, with their secrets.
SECRETS = ("api_key", "api_secret", "api_keys", "backend_secret", "webhook_key")
# There or not: a value, or a line, that needs one which does not exist is left out.
OPTIONAL_SECRETS = ("old_backend_secret", "redis_password")

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_VERSION = re.compile(r"[0-9]+(\.[0-9]+){1,3}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_MODE = re.compile(r"0[0-7]{3}")
_RELEASE = re.compile(_VERSION.pattern + r"-r[1-9][0-9]*")
_MEDIA_PORT = re.compile(r"media\.[a-z][a-z0-9]*\.[a-z][a-z0-9_]*")


def faults(definition: Definition) -> list[Fault]:
    """Everything about a well-typed definition that cannot work: (key, what is wrong, how to mend it)."""
    return [
        *_unit(definition),
        *_binary(definition),
        *_run(definition),
        *_ports(definition),
        *_times(definition),
        *_config(definition),
        *_lineage(definition),
    ]


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
    if binary.program and not (binary.version_argv and bool(binary.version_prints) != bool(binary.version_at_least)):
        hint = "add version_argv, and either version_prints or version_at_least"
        yield ("binary", "program"), "cannot be told apart from another release", hint
    versions = [binary.version_prints, binary.version_at_least, binary.go.version if binary.go else ""]
    for name in template.names(versions):
        if name != "version":
            yield ("binary",), f"unknown parameter ${{{name}}} in a version", "known: version"
    if binary.archive:
        yield from _archive(binary.archive)


def _archive(archive: ReleaseArchive) -> Iterator[Fault]:
    for key, url in (("url", archive.url), ("checksums", archive.checksums)):
        for name in template.names(url):
            if name not in {"version", "arch"}:
                yield ("binary", "archive", key), f"unknown parameter ${{{name}}}", "known: version, arch"
        if not url.startswith(("https://", "http://127.0.0.1:")):
            yield ("binary", "archive", key), f"not an https address: {url!r}", ""
    for arch, value in archive.sha256.items():
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
    for path, text in texts:
        yield from _open_names(definition, path, text, {"files"})
        for name, file in run.files.items():
            if file.read_at_start and f"${{folder}}/{name}" in text:
                yield path, f"{name} is read at the start, and does not lie there", f"${{files}}/{name}"
    yield from _open_names(definition, ("run", "folder"), run.folder)
    for name, file in run.files.items():
        yield from _file(definition, name, file)


def _file(definition: Definition, name: str, file: FileSection) -> Iterator[Fault]:
    path = ("run", "files", name)
    if "/" in name or name in {"", ".", ".."}:
        yield path, f"not a file name: {name!r}", 'files lie in the instance\'s own folder, or with place = "home"'
    if bool(file.template) == bool(file.values) or bool(file.template) != (file.format is FileFormat.TEXT):
        yield path, "needs a template, or a format and values", 'format = "yaml" or "json" takes values'
    names = template.names([file.template, file.values])
    if not _MODE.fullmatch(file.mode):
        yield (*path, "mode"), f"not a file mode: {file.mode!r}", 'octal text such as "0600"'
    elif int(file.mode, 8) & 0o077 and any(name.startswith("secret.") for name in names):
        yield (*path, "mode"), "others could read a secret", 'mode = "0600"'
    if file.read_at_start and file.place is FilePlace.HOME:
        hint = "read_at_start = false, or no place: then it lies in ${files}"
        yield (*path, "place"), "would be replaced while a program that has read it runs", hint
    if file.once and file.read_at_start:
        yield (*path, "once"), "each launch has a file of its own", "read_at_start = false"
    secrets = {f"secret.{name}" for name in (*SECRETS, *OPTIONAL_SECRETS)}
    yield from _open_names(definition, (*path, "template"), file.template, {*secrets, "mark"})
    for key, value in file.values.items():
        yield from _open_names(definition, (*path, "values", key), value, secrets)
    yield from _tables(path, file)


def _tables(path: KeyPath, file: FileSection) -> Iterator[Fault]:
    """A dotted key must not be a value and, as the beginning of another, a table."""
    for key in file.values:
        parts = key.split(".")
        if "" in parts:
            yield (*path, "values", key), f"not a dotted key: {key!r}", ""
        for length in range(1, len(parts)):
            if ".".join(parts[:length]) in file.values:
                yield (*path, "values", key), f"{'.'.join(parts[:length])} is a value already", ""


def _open_names(
    definition: Definition, path: KeyPath, text: Any, also: Collection[str] = frozenset()
) -> Iterator[Fault]:
    """Names that nothing fills in here; `also`: those that are filled in besides the parameters."""
    found = template.names(text)
    if not found:
        return  # most texts leave nothing open
    known = {*PARAMETERS, *(f"ports.{name}" for name in definition.ports), *also}
    for name in found:
        if name in known or _MEDIA_PORT.fullmatch(name):
            continue
        if name.startswith("secret.") and not any(other.startswith("secret.") for other in also):
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
        yield from _port_names(name, port)
    wanted: list[tuple[KeyPath, str]] = [(("probes", name, "port"), p.port) for name, p in definition.probes.items()]
    if definition.calls:
        for at, source in enumerate(definition.calls.sources):
            wanted += [(("calls", "sources", at, "port"), source.port)]
            yield from _setting(("calls", "sources", at, "unless"), source.unless)
    for path, port_name in wanted:
        meant = definition.ports.get(port_name)
        if meant is None:
            yield path, f"there is no port {port_name!r}", f"ports: {', '.join(definition.ports)}"
        elif meant.when or meant.unless:
            yield path, f"port {port_name!r} is not always there", "name one without when and unless"


def _port_names(name: str, port: PortSection) -> Iterator[Fault]:
    for open_name in template.names(port.bind):
        if open_name not in PARAMETERS:
            yield ("ports", name, "bind"), f"unknown parameter ${{{open_name}}}", "such as ${network.bind}"
    yield from _setting(("ports", name, "when"), port.when)
    yield from _setting(("ports", name, "unless"), port.unless)


def _setting(path: KeyPath, setting: str) -> Iterator[Fault]:
    if setting and setting not in setting_fields():
        yield path, f"not a key of media.toml: {setting!r}", "such as turn.enabled"


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


def _config(definition: Definition) -> Iterator[Fault]:
    config, files = definition.config, definition.run.files
    for key, kind in config.keys.items():
        if kind not in KINDS:
            yield ("config", "keys", key), f"unknown kind {kind!r}", f"kinds: {', '.join(KINDS)}"
    if not config.file:
        if config.keys:
            yield ("config", "file"), "missing", "the file in [run.files] that has these keys"
        return
    if config.file not in files or files[config.file].format is FileFormat.TEXT:
        yield ("config", "file"), f"no structured file of this name: {config.file!r}", f"files: {', '.join(files)}"
        return
    for key in files[config.file].values:
        if config.keys.get(key, REMOVED) == REMOVED:
            yield (
                ("run", "files", config.file, "values", key),
                "this release does not know the key",
                "see [config.keys]",
            )


def _lineage(definition: Definition) -> Iterator[Fault]:
    lineage = definition.lineage
    for table, edges in (("upgrades_from", lineage.upgrades_from), ("rolls_back_to", lineage.rolls_back_to)):
        for release, edge in edges.items():
            path: KeyPath = ("lineage", table, release)
            if not _RELEASE.fullmatch(release):
                yield path, f"not a release: {release!r}", "version and revision, such as 1.13.4-r1"
            elif release == definition.unit.release:
                yield path, "is this release itself", ""
            if not (edge.strategies or lineage.strategies):
                yield path, "no strategy is allowed", "name strategies here, or for all edges in [lineage]"
            if not edge.because.strip():
                yield (*path, "because"), "is empty", "what makes it safe to go this way"
    for at, block in enumerate(definition.blocked):
        if not block.reason.strip():
            yield ("blocked", at, "reason"), "is empty", "why nobody should run it"
