"""The file that says where people join: read anew when it was replaced, and never half understood."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from hero_livekit_units.atomic import write_atomically
from hero_livekit_units.backend.nodes import RedisAddress
from hero_livekit_units.backend.routes import Routes, RoutesFile
from hero_livekit_units.errors import DaemonError

if TYPE_CHECKING:
    from pathlib import Path

A, B = "ws://127.0.0.1:7880", "ws://[::1]:7980"


def written(path: Path, **found: Any) -> Path:
    """The file as `ensure` writes it."""
    write_atomically(path, json.dumps(found), 0o600)
    return path


def test_it_is_read_again_when_it_was_replaced(tmp_path: Path) -> None:
    """The next request goes by the new one; what stands beside the addresses is of no matter."""
    path = written(tmp_path / "runtime.json", join_url=A, slots={"a": A, "b": B}, api_secret="x")
    routes = RoutesFile(path)
    assert routes.now() == Routes(A, {"a": A, "b": B})
    assert routes.now() is routes.now()
    written(path, join_url=B, slots={"a": A, "b": B})
    assert routes.now() == Routes(B, {"a": A, "b": B})
    written(path, join_url="wss://calls.example")
    assert routes.now() == Routes("wss://calls.example", {})


def test_slots_that_are_nodes_of_one_redis(tmp_path: Path) -> None:
    """Where that is, and where each slot says which node it is; nobody is shown the password."""
    found = {"address": "[::1]:6379", "username": "eve", "password": "hidden", "db": 2, "tls": True}
    path = written(
        tmp_path / "runtime.json", join_url=A, slots={"a": A}, gauges={"a": "http://h:1/metrics"}, redis=found
    )
    routes = RoutesFile(path).now()
    assert routes.gauges == {"a": "http://h:1/metrics"}
    assert routes.redis == RedisAddress("::1", 6379, "eve", "hidden", 2, tls=True)
    assert "hidden" not in repr(routes)
    # Without two slots or behind a front it is of no matter to lk-backend.
    written(path, join_url=A, redis=found)
    assert RoutesFile(path).now() == Routes(A)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "it is not JSON"),
        ("[]", "join_url and slots are not addresses"),
        ("{}", "join_url and slots are not addresses"),
        ('{"join_url": "http://127.0.0.1:1"}', "join_url and slots are not addresses"),
        ('{"join_url": 7}', "join_url and slots are not addresses"),
        ('{"join_url": "ws://h:1", "slots": []}', "join_url and slots are not addresses"),
        ('{"join_url": "ws://h:1", "slots": {"a": null}}', "join_url and slots are not addresses"),
        ('{"join_url": "ws://h:1", "gauges": {"a": "http://h:2"}}', "gauges needs addresses"),
        (
            '{"join_url": "ws://h:1", "gauges": {"a": "ws://h:2"}, "redis": {"address": "h:3"}}',
            "gauges needs addresses",
        ),
        ('{"join_url": "ws://h:1", "gauges": ["http://h:2"], "redis": {"address": "h:3"}}', "gauges needs addresses"),
        ('{"join_url": "ws://h:1", "gauges": {}, "redis": {"address": "h"}}', "gauges needs addresses"),
        ('{"join_url": "ws://h:1", "gauges": {}, "redis": {"address": "h:3", "db": true}}', "gauges needs addresses"),
    ],
)
def test_what_it_must_hold(text: str, reason: str, tmp_path: Path) -> None:
    """No address is guessed; the message names the file and says nothing of its content."""
    path = tmp_path / "runtime.json"
    write_atomically(path, text, 0o600)
    with pytest.raises(DaemonError, match=f"cannot read {path}: {reason}") as caught:
        RoutesFile(path).now()
    assert caught.value.__cause__ is None


def test_it_has_gone_or_is_open_to_others(tmp_path: Path) -> None:
    """Both are told; it holds secrets."""
    path = tmp_path / "runtime.json"
    with pytest.raises(DaemonError, match="it is not there"):
        RoutesFile(path).now()
    written(path, join_url=A)
    os.chmod(path, 0o644)  # noqa: PTH101
    with pytest.raises(DaemonError, match="others than its owner have access to it"):
        RoutesFile(path).now()
