"""Where secrets are and whether they agree, as the plain data of `hlu secret status`: never a value. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hero_livekit_units.definitions.digest import digest
from hero_livekit_units.definitions.extract import secret_names
from hero_livekit_units.livekit.rotation import outlook, time_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hero_livekit_units.definitions.extract import Held
    from hero_livekit_units.livekit.rotation import Rotation, Secrets
    from hero_livekit_units.model.launch import LaunchFile
    from hero_livekit_units.model.observed import InstanceSeen, Observed


def secret_report(
    observed: Observed,
    held: Mapping[str, Held],
    secrets: Secrets | None,
    *,
    made: Sequence[str],
    given: Sequence[str],
) -> dict[str, Any]:
    """The secrets of the group.

    Args:
        observed: one look at the world, by specs that know these secrets.
        held: what each file holds, by its path.
        secrets: what the supervisor holds, None where it cannot be asked.
        made: names of the secrets that are made.
        given: names of those that only people set. They may be weak enough to be guessed from a fingerprint, so they
            are in none.

    Returns:
        {"secrets": [{"name", "exists", "made"}], "source": fingerprint, "files": [{"instance", "path", "holds",
        "wanted", "found", "agrees", "says"}], "processes": [{"instance", "pid", "agrees", "says"}], "rotation": null or
        {"what", "phase", "began", "since", "until", "next", "not_before", "effect"}, "supervisor": {"verdict",
        "says"}}. Fingerprints are 16 hex digits, "" where there are none; `wanted` is the source's. `exists` and
        `agrees` are null where it cannot be told. Times are UTC.
    """
    values = secrets.values if secrets else None
    return {
        "secrets": [
            {"name": name, "exists": None if values is None else name in values, "made": name in made}
            for name in (*made, *given)
        ],
        "source": _fingerprint(values, made, given),
        "files": [
            _file(seen, file, held[file.path], values, given)
            for seen in observed.instances
            for file in seen.spec.files
            if secret_names(file)
        ],
        "processes": [_process(seen, values) for seen in observed.instances if _reads_secrets(seen)],
        "rotation": _rotation(secrets.rotation) if secrets and secrets.rotation else None,
        "supervisor": {"verdict": observed.supervisor.verdict.value, "says": observed.supervisor.says},
    }


def _file(
    seen: InstanceSeen, file: LaunchFile, held: Held, values: Mapping[str, Any] | None, given: Sequence[str]
) -> dict[str, Any]:
    names = secret_names(file)
    agrees = None
    if values is not None and (held.values is not None or held.missing):
        agrees = held.values == {name: values[name] for name in names if name in values}
    says = held.says or {None: "cannot be compared", True: "agrees", False: "holds other secrets"}[agrees]
    return {
        "instance": seen.spec.instance,
        "path": file.path,
        "holds": sorted(held.values) if held.values is not None else [],
        "wanted": _fingerprint(values, names, given),
        "found": _fingerprint(held.values, names, given),
        "agrees": agrees,
        "says": says,
    }


def _process(seen: InstanceSeen, values: Mapping[str, Any] | None) -> dict[str, Any]:
    process = seen.process
    agrees = None
    if process is None:
        says = f"does not run: {seen.because}"
    elif values is None or not process.launch_digest:
        says = "what it has read is unknown"
    else:
        agrees = process.launch_digest == seen.spec.launch_digest
        says = "has read these" if agrees else "has read older ones, or older settings"
    return {
        "instance": seen.spec.instance,
        "pid": process.id.pid if process else None,
        "agrees": agrees,
        "says": says,
    }


def _reads_secrets(seen: InstanceSeen) -> bool:
    return any(file.read_at_start and secret_names(file) for file in seen.spec.files)


def _rotation(rotation: Rotation) -> dict[str, Any]:
    ahead = outlook(rotation)
    return {
        "what": rotation.what.value,
        "phase": rotation.phase.value,
        "began": time_text(rotation.began_at_s),
        "since": time_text(rotation.since_s),
        "until": None if rotation.until_s is None else time_text(rotation.until_s),
        "next": ahead.next,
        "not_before": None if ahead.not_before_s is None else time_text(ahead.not_before_s),
        "effect": ahead.effect,
    }


def _fingerprint(values: Mapping[str, Any] | None, names: Sequence[str], given: Sequence[str]) -> str:
    """A hash over the secrets of these names that exist; people's own are left out, as are empty sets."""
    known = {name: values[name] for name in names if name in values and name not in given} if values else {}
    return digest(known) if known else ""
