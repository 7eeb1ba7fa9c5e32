"""A definition and its parameters become a LaunchSpec: pure, and the same on both sides of the wire."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from hero_livekit_units.definitions.digest import digest, meaning
from hero_livekit_units.definitions.extract import secret_names
from hero_livekit_units.definitions.render import nested
from hero_livekit_units.definitions.template import SECRET, fill, fill_but_secrets, fill_data, literal
from hero_livekit_units.model.launch import LaunchFile, LaunchSpec, Port, Probe, launch_folder
from hero_livekit_units.model.unit import FileFormat, FilePlace

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hero_livekit_units.model.lineage import Edge
    from hero_livekit_units.model.unit import BinarySection, Definition, FileSection

_NOTHING: dict[str, Any] = {}
_MARK = "\1"  # stands for the digest of a file until its text is known
_LAUNCH = "\0"  # stands for the folder of the launch until its digest is known


def ports_of(
    definition: Definition, slot: str, overrides: Mapping[str, int], parameters: Mapping[str, Any] | None = None
) -> dict[str, int]:
    """Number of each port of an instance: the user's or the definition's, plus the slot's offset.

    With `parameters`, only the ports that are there with these settings; without, all that there may be.
    """
    offset = definition.slots[slot] if slot else 0
    return {
        name: overrides.get(name, port.number) + offset
        for name, port in definition.ports.items()
        if parameters is None or _is_there(parameters, when=port.when, unless=port.unless)
    }


def resolve(
    definition: Definition,
    parameters: Mapping[str, Any],
    *,
    home: str,
    slot: str = "",
    ports: Mapping[str, int],
    config: Mapping[str, Any] = _NOTHING,
    secrets: Mapping[str, Any] | None = None,
    after: tuple[str, ...] = (),
    new_rooms: str = "",
    blocked: str = "",
    replaces: tuple[Edge, ...] = (),
) -> LaunchSpec:
    """Fill in everything that a definition leaves open.

    Args:
        definition: a definition that passed its rules.
        parameters: values of `rules.PARAMETERS`, None for one that is not set. `folder`, `home`, `slot` and `version`
            are not needed (`files` neither), and `binary` is by default the provisioned program.
        home: absolute folder of the package; the instance's folder lies below it.
        slot: one of the definition's slots, or "" for a unit without.
        ports: numbers that the user chose, by port name, for slot offset 0.
        config: further keys of the configuration file, dotted.
        secrets: by name. Only a fingerprint of those that its files hold enters the LaunchSpec, so that a running
            process says which of them it has read; None where they are not known.
        after: the instances that must be up before this one.
        new_rooms: the slot that it is to send new rooms to, "" for what sends none.
        blocked: why nobody should run this release here; like `replaces`, the edges that lead to it, no digest sees it.
        replaces: those edges.

    Raises:
        KeyError: a parameter or the slot is missing.
    """
    unit = definition.unit
    open_names = dict(parameters) | {"home": home, "slot": slot, "version": unit.version}
    numbers = ports_of(definition, slot, ports, open_names)
    open_names |= {f"ports.{name}": numbers.get(name) for name in definition.ports}
    open_names.setdefault("binary", program_path(definition, home))
    folder = f"{home}/{fill(definition.run.folder, open_names)}"
    open_names["folder"] = folder
    told = open_names | {"files": _LAUNCH}
    own_ports = {
        name: Port(name, number, definition.ports[name].protocol, fill(definition.ports[name].bind, open_names))
        for name, number in sorted(numbers.items())
    }
    files = tuple(
        _file(name, file, _place(file, folder, home), open_names, _extra(definition, name, config))
        for name, file in sorted(definition.run.files.items())
    )
    spec = LaunchSpec(
        unit=unit.name,
        release=unit.release,
        slot=slot,
        carries_calls=unit.carries_calls,
        argv=tuple(fill(argument, told) for argument in definition.run.argv),
        env=tuple((name, fill(value, told)) for name, value in sorted(definition.run.env.items())),
        folder=folder,
        files=files,
        ports=tuple(own_ports.values()),
        probes=tuple(
            Probe(
                name=name,
                kind=probe.kind,
                level=probe.level,
                port=own_ports[probe.port],
                path=probe.path,
                expect_status=probe.expect_status,
                interval_s=probe.interval_s,
                timeout_s=probe.timeout_s,
                failures=probe.failures,
            )
            for name, probe in sorted(definition.probes.items())
        ),
        calls=tuple(
            (source, own_ports[source.port])
            for source in definition.calls.sources
            if _is_there(open_names, when="", unless=source.unless)
        )
        if definition.calls
        else (),
        stop=definition.stop,
        restart=definition.restart,
        after=after,
        new_rooms=new_rooms,
    )
    # What a running process cannot take over without a restart; probes, counting and the stop policy can change live.
    read = [meaning(file) for file in files if file.read_at_start]
    known = _fingerprint(files, secrets)
    launch = [spec.release, spec.argv, spec.env, spec.folder, read, known]
    spec = _at(spec, digest(launch))
    return attrs.evolve(spec, digest=digest(spec), blocked=blocked, replaces=replaces)


def _at(spec: LaunchSpec, launch_digest: str) -> LaunchSpec:
    """The launch with its digest, and its files in the folder that is named after it."""
    files = launch_folder(spec.folder, launch_digest)
    return attrs.evolve(
        spec,
        argv=tuple(argument.replace(_LAUNCH, files) for argument in spec.argv),
        env=tuple((name, value.replace(_LAUNCH, files)) for name, value in spec.env),
        files=tuple(attrs.evolve(file, path=file.path.replace(_LAUNCH, files)) for file in spec.files),
        launch_digest=launch_digest,
    )


def _place(file: FileSection, folder: str, home: str) -> str:
    """The folder of a file. What is read at the start is never replaced, so that a mark says what was read."""
    if file.read_at_start:
        return _LAUNCH
    return folder if file.place is FilePlace.FOLDER else home


def binary_of(definition: Definition) -> BinarySection:
    """The `[binary]` of a definition with `${version}` filled in, but for the addresses of archives."""
    binary, version = definition.binary, {"version": definition.unit.version}
    return attrs.evolve(
        binary,
        version_prints=fill(binary.version_prints, version),
        version_at_least=fill(binary.version_at_least, version),
        go=binary.go and attrs.evolve(binary.go, version=fill(binary.go.version, version)),
    )


def program_path(definition: Definition, home: str) -> str:
    """Where the provisioned program of a release lies, "" for one that is part of this package."""
    binary = definition.binary
    return f"{home}/bin/{binary.program}-{definition.unit.version}/{binary.program}" if binary.program else ""


def _is_there(parameters: Mapping[str, Any], *, when: str, unless: str) -> bool:
    return (not when or bool(parameters[when])) and not (unless and parameters[unless])


def _extra(definition: Definition, name: str, config: Mapping[str, Any]) -> Mapping[str, Any]:
    return config if name == definition.config.file else _NOTHING


def _file(
    name: str, file: FileSection, folder: str, parameters: Mapping[str, Any], extra: Mapping[str, Any]
) -> LaunchFile:
    template, values = "", {}
    if file.format is FileFormat.TEXT:
        template = fill_but_secrets(file.template.lstrip("\n"), {**parameters, "mark": _MARK})
        template = template.replace(_MARK, digest(template))
    else:
        values = nested((fill_data(file.values, parameters) or {}) | literal(dict(extra)))
    return LaunchFile(
        f"{folder}/{name}", int(file.mode, 8), file.format, template, values, file.read_at_start, file.once
    )


def _fingerprint(files: tuple[LaunchFile, ...], secrets: Mapping[str, Any] | None) -> str:
    wanted = {name for file in files if file.read_at_start for name in secret_names(file)}
    if secrets is None or not wanted:
        return ""
    return digest({f"{SECRET}{name}": secrets.get(name) for name in wanted})
