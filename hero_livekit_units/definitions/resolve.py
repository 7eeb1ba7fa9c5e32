"""A definition and its parameters become a LaunchSpec: pure, and the same on both sides of the wire."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from hero_livekit_units.definitions.digest import digest
from hero_livekit_units.definitions.template import fill, fill_but_secrets
from hero_livekit_units.model.launch import LaunchFile, LaunchSpec, Port, Probe

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hero_livekit_units.model.unit import Definition


def ports_of(definition: Definition, slot: str, overrides: Mapping[str, int]) -> dict[str, int]:
    """Number of each port of an instance: the user's or the definition's, plus the slot's offset."""
    offset = definition.slots[slot] if slot else 0
    return {name: overrides.get(name, port.number) + offset for name, port in definition.ports.items()}


def resolve(
    definition: Definition, parameters: Mapping[str, str], *, home: str, slot: str = "", ports: Mapping[str, int]
) -> LaunchSpec:
    """Fill in everything that a definition leaves open.

    Args:
        definition: a definition that passed its rules.
        parameters: values of `rules.PARAMETERS`, but for `folder` and `slot`.
        home: absolute folder of the package; the instance's folder lies below it.
        slot: one of the definition's slots, or "" for a unit without.
        ports: numbers that the user chose, by port name, for slot offset 0.

    Raises:
        KeyError: a parameter or the slot is missing.
    """
    numbers = ports_of(definition, slot, ports)
    open_names = dict(parameters) | {"slot": slot} | {f"ports.{name}": str(number) for name, number in numbers.items()}
    folder = f"{home}/{fill(definition.run.folder, open_names)}"
    open_names["folder"] = folder
    own_ports = {
        name: Port(name, numbers[name], port.protocol, fill(port.bind, open_names))
        for name, port in sorted(definition.ports.items())
    }
    spec = LaunchSpec(
        unit=definition.unit.name,
        release=definition.unit.release,
        slot=slot,
        carries_calls=definition.unit.carries_calls,
        argv=tuple(fill(argument, open_names) for argument in definition.run.argv),
        env=tuple((name, fill(value, open_names)) for name, value in sorted(definition.run.env.items())),
        folder=folder,
        files=tuple(
            LaunchFile(f"{folder}/{name}", int(file.mode, 8), fill_but_secrets(file.template.lstrip("\n"), open_names))
            for name, file in sorted(definition.run.files.items())
        ),
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
        calls=tuple((source, own_ports[source.port]) for source in definition.calls.sources)
        if definition.calls
        else (),
        stop=definition.stop,
        restart=definition.restart,
        replaces=definition.lineage.replaces,
        digest="",
        launch_digest="",
    )
    # What a running process cannot take over without a restart; probes, counting and the stop policy can change live.
    launch = [spec.release, spec.argv, spec.env, spec.folder, [attrs.asdict(file) for file in spec.files]]
    return attrs.evolve(spec, digest=digest(spec), launch_digest=digest(launch))
