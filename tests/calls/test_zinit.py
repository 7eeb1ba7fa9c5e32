"""The media under a real zinit 0.3.9, which adopts nothing: what it has lost is found, and is its own again."""

from __future__ import annotations

import os
import time

import pytest

from hero_livekit_units.model.observed import Verdict
from tests.calls.stack import ZinitStack
from tests.calls.upgrading import copies

pytestmark = [
    pytest.mark.servers,
    pytest.mark.timeout(300),
    pytest.mark.skipif(os.geteuid() != 0, reason="a /run of its own takes root"),
    pytest.mark.parametrize("stack", [pytest.param(ZinitStack, id="zinit")], indirect=True),
]

SERVICE = "hero_livekit_media_a"


def test_what_nobody_is_in_is_zinit_s_again_after_its_crash(stack: ZinitStack) -> None:
    """One process each, no second copy, nothing left to do; what an `ensure` finds right it does not start again."""
    assert stack.media.ensure().converged
    before = stack.identities()
    assert not stack.media.ensure().changed
    assert stack.identities() == before
    stack.kill_hero_proc()
    assert [seen.verdict for seen in stack.media.status().instances] == [Verdict.HEALTHY] * 2
    stack.start_hero_proc()
    assert SERVICE in stack.zinit_call("service.list")  # the copy
    # In its first moments a copy has not met the busy port yet.
    stack.until("both are seen as they were", lambda: stack.identities() == before, within_s=60.0)
    stack.until("the lost ones are replaced", lambda: stack.media.ensure().converged, within_s=60.0)
    seen = stack.media.status().instances
    assert [one.verdict for one in seen] == [Verdict.HEALTHY] * 2
    assert all(one.owned for one in seen)
    assert not set(before.values()) & set(stack.identities().values())
    assert len(copies(stack)) == 1
    assert not stack.media.ensure().changed
    assert stack.hlu("stop").returncode == 0
    assert copies(stack) == []
    stack.kill_hero_proc()
    stack.start_hero_proc()
    time.sleep(1.0)  # its next life tries all that it has a file of
    assert copies(stack) == []
    assert stack.media.ensure().converged
