"""From the methods of an object to those of the dispatcher: names, and which error of the wire a fault becomes."""

from __future__ import annotations

import functools
import sqlite3
from typing import TYPE_CHECKING, Any

from pjrpc.server import MethodRegistry

from hero_livekit_units.embedded.faults import Fault
from hero_livekit_units.embedded.strict import SpecInvalid
from hero_livekit_units.herosocket.rpc import ServiceError, invalid_params

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Around = Callable[[str, Callable[..., Awaitable[Any]]], Callable[..., Awaitable[Any]]]

STORAGE = -32010


def _as_it_is(_name: str, method: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    return method


def registry_of(*owners: object, around: Around = _as_it_is) -> MethodRegistry:
    """All methods `group_verb` of some objects, as `group.verb`, each as `around` makes it of its name and itself."""
    found = MethodRegistry()
    for owner in owners:
        for name in sorted(vars(type(owner))):
            group, _, verb = name.partition("_")
            if group and verb:
                wire_name = f"{group}.{verb}"
                found.add_method(around(wire_name, _answering(getattr(owner, name))), wire_name)
    return found


def _answering(method: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """The method with what it raises as errors of the wire."""

    @functools.wraps(method)
    async def answer(*args: Any, **kwargs: Any) -> Any:
        try:
            return await method(*args, **kwargs)
        except SpecInvalid as error:
            raise invalid_params(str(error), hint=error.hint) from error
        except Fault as fault:
            raise ServiceError(
                fault.code, fault.code_name, str(fault), retryable=fault.retryable, hint=fault.hint, **fault.more
            ) from fault
        except sqlite3.Error as error:
            hint = "is the disk full? processes that run go on running"
            said = f"the state cannot be read or written: {error}"
            raise ServiceError(STORAGE, "Storage", said, retryable=True, hint=hint) from error

    return answer
