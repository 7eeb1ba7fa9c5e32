"""The secrets of a media group: made once, then reused for ever. A new key would end every token in people's hands.

The supervisor keeps `api_key`, `api_secret`, `backend_secret`, and `redis_password` where somebody has set one; while
one of the first three is being replaced, also the record of that (see `rotation`). The rest that definitions know of
(see `definitions.rules`) is made of these.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from hero_livekit_units.errors import PlanRefused
from hero_livekit_units.livekit import rotation as rotations
from hero_livekit_units.livekit.rotation import End, Phase, Rotated, Rotation, Secrets, secrets_of

if TYPE_CHECKING:
    from hero_livekit_units.registry.port import Registry

# livekit-server complains about secrets below 32 characters; 32 random bytes are 43 characters.
_MINTS = {
    "api_key": lambda: f"API{secrets.token_hex(8)}",
    "api_secret": lambda: secrets.token_urlsafe(32),
    "backend_secret": lambda: secrets.token_urlsafe(32),
}
NAMES = tuple(_MINTS)
GIVEN = ("redis_password",)  # by the user, never made
# The record first: who reads without the lock while a rotation ends then has the values of before or of after it.
_ALL = (rotations.RECORD, *NAMES, *GIVEN)


def read_all(registry: Registry) -> Secrets:
    """The secrets of the group, so far as they exist, with the rotation that lasts.

    Raises:
        RegistryError: the supervisor cannot be asked, or holds a rotation that cannot be understood.
    """
    return secrets_of(registry.secrets(_ALL))


def ensure_secrets(registry: Registry) -> dict[str, Any]:
    """The secrets of the group as definitions know them, by name. Call it under the acting lock.

    Those that do not exist yet are made.

    Raises:
        RegistryError: as `ensure_all`.
    """
    return ensure_all(registry).values


def ensure_all(registry: Registry) -> Secrets:
    """As `read_all`; those that do not exist yet are made. Call it under the acting lock.

    Raises:
        RegistryError: the supervisor cannot be asked, or holds a rotation that cannot be understood.
    """
    existing = registry.secrets(_ALL)
    found = secrets_of(existing)
    missing = [name for name in NAMES if name not in found.values]
    for name in missing:
        registry.store_secret(name, _MINTS[name]())
    # What counts is what the supervisor holds now, not what we sent.
    return read_all(registry) if missing else found


def begin_rotation(registry: Registry, what: Rotated, *, lifetime_s: float, now_s: float) -> Rotation:
    """Have a rotation of this secret: the one that lasts, or a new one. Call it under the acting lock.

    Args:
        registry: the supervisor, which keeps the secrets.
        what: which secret.
        lifetime_s: how long a join token is good for.
        now_s: seconds since the epoch.

    Raises:
        PlanRefused: a rotation of another secret lasts.
        RegistryError: the supervisor cannot be asked, or holds a rotation that cannot be understood.
    """
    known = ensure_all(registry)
    lasting = known.rotation
    if lasting is not None and lasting.what is not what:
        raise PlanRefused(
            [f"the rotation of the {lasting.what} is not over yet, and two at once nobody could follow"],
            hint=f"`hlu secret rotate {lasting.what}` goes on with it; `hlu secret status` says how far it is",
        )
    if lasting is not None:
        return lasting
    begun = Rotation(
        what,
        Phase.INTRODUCE,
        old={name: known.values[name] for name in rotations.NAMES[what]},
        new={name: _MINTS[name]() for name in rotations.NAMES[what]},
        lifetime_s=lifetime_s,
        began_at_s=now_s,
        since_s=now_s,
    )
    registry.store_secret(rotations.RECORD, rotations.serialise(begun))
    return begun


def turn_rotation(registry: Registry, rotation: Rotation, into: Rotation | End) -> None:
    """Write what a rotation becomes. Call it under the acting lock; safe to repeat after a crash at any point.

    Raises:
        RegistryError: the supervisor cannot be asked or said no.
    """
    if isinstance(into, Rotation):
        registry.store_secret(rotations.RECORD, rotations.serialise(into))
        return
    for name, value in rotation.new.items():
        registry.store_secret(name, value)
    # Last: until now the record was what counted.
    registry.delete_secret(rotations.RECORD)
