"""The secrets of a media group: made once, then reused for ever. A new key would end every token in people's hands."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hero_livekit_units.registry.port import Registry

# livekit-server complains about secrets below 32 characters; 32 random bytes are 43 characters.
_MINTS = {
    "api_key": lambda: f"API{secrets.token_hex(8)}",
    "api_secret": lambda: secrets.token_urlsafe(32),
    "backend_secret": lambda: secrets.token_urlsafe(32),
}
NAMES = tuple(_MINTS)


def ensure_secrets(registry: Registry) -> dict[str, str]:
    """The secrets of the group, by name; those that do not exist yet are made. Call it under the acting lock.

    Raises:
        RegistryError: the supervisor, which keeps them, cannot be asked.
    """
    existing = registry.secrets(NAMES)
    missing = [name for name in NAMES if name not in existing]
    for name in missing:
        registry.store_secret(name, _MINTS[name]())
    # What counts is what the supervisor holds now, not what we sent.
    return registry.secrets(NAMES) if missing else existing
