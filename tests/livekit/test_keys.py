"""The secrets of a media group: made once."""

from __future__ import annotations

import pytest

from hero_livekit_units.errors import RegistryUnavailable
from hero_livekit_units.livekit.keys import NAMES, ensure_secrets
from tests.fakes.registry import Fault, MemoryRegistry


def test_they_are_made_once() -> None:
    """A second ensure gives the same secrets and writes nothing."""
    registry = MemoryRegistry()
    first = ensure_secrets(registry)
    assert sorted(first) == ["api_key", "api_keys", "api_secret", "backend_secret", "webhook_key"]
    assert first["api_keys"] == {first["api_key"]: first["api_secret"]}
    acted = list(registry.acted)
    assert ensure_secrets(registry) == first
    assert registry.acted == acted


def test_what_exists_is_never_minted_over() -> None:
    """A new key would end every token in people's hands; only what is missing is made."""
    registry = MemoryRegistry()
    registry.stored["api_secret"] = "the old one"
    found = ensure_secrets(registry)
    assert found["api_secret"] == "the old one"
    assert registry.acted == ["store_secret api_key", "store_secret backend_secret"]


def test_they_are_strong_and_differ() -> None:
    """livekit-server wants 32 characters and more; no two secrets and no two hosts share one."""
    one, other = ensure_secrets(MemoryRegistry()), ensure_secrets(MemoryRegistry())
    assert one["api_key"].startswith("API")
    assert min(len(one["api_secret"]), len(one["backend_secret"])) >= 32
    assert len({found[name] for found in (one, other) for name in NAMES}) == 6


@pytest.mark.parametrize("fault", list(Fault))
@pytest.mark.parametrize("at", [1, 2, 3])
def test_a_fault_between_two_secrets(at: int, fault: Fault) -> None:
    """Whatever was stored before a fault, the answer lost or not, is what is used after it."""
    registry = MemoryRegistry({at: fault})
    with pytest.raises(RegistryUnavailable):
        ensure_secrets(registry)
    before = dict(registry.stored)
    assert len(before) == at - (fault is Fault.REFUSED)
    after = ensure_secrets(registry)
    assert set(NAMES) <= set(after)
    assert before.items() <= after.items()


def test_without_the_supervisor_nothing_is_made() -> None:
    """Who cannot see whether secrets exist must not make any."""
    registry = MemoryRegistry()
    registry.answers = False
    with pytest.raises(RegistryUnavailable):
        ensure_secrets(registry)
    assert registry.acted == []
