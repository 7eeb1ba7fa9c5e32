"""The secrets of a media group: made once, then reused for ever. A new key would end every token in people's hands.

The supervisor keeps `api_key`, `api_secret`, `backend_secret`, and `redis_password` where somebody has set one. The
rest that definitions know of (see `definitions.rules`) is made of these.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

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


def read_secrets(registry: Registry) -> dict[str, Any]:
    """The secrets of the group as definitions know them, by name, so far as they exist.

    Raises:
        RegistryError: the supervisor, which keeps them, cannot be asked.
    """
    return _derived(registry.secrets((*NAMES, *GIVEN)))


def ensure_secrets(registry: Registry) -> dict[str, Any]:
    """As `read_secrets`; those that do not exist yet are made. Call it under the acting lock.

    Raises:
        RegistryError: the supervisor, which keeps them, cannot be asked.
    """
    existing = registry.secrets((*NAMES, *GIVEN))
    missing = [name for name in NAMES if name not in existing]
    for name in missing:
        registry.store_secret(name, _MINTS[name]())
    # What counts is what the supervisor holds now, not what we sent.
    return _derived(registry.secrets((*NAMES, *GIVEN)) if missing else existing)


def _derived(stored: dict[str, str]) -> dict[str, Any]:
    if "api_key" not in stored or "api_secret" not in stored:
        return dict(stored)
    return stored | {"api_keys": {stored["api_key"]: stored["api_secret"]}, "webhook_key": stored["api_key"]}
