"""What `hlu drain` needs beside the library: times as people write them, and staying until a drain is over."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from hero_livekit_units.execute.executor import Progress
    from hero_livekit_units.media import Media
    from hero_livekit_units.model.receipt import Receipt

_UNITS_S = {"s": 1, "min": 60, "h": 3600, "d": 86400}
_LOOK_AGAIN_S = 2.0


class Duration(click.ParamType):  # type: ignore[type-arg]
    """A time such as 90s, 30min, 2h or 1d; its value is seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """From text to seconds."""
        found = re.fullmatch(r"([0-9]{1,7})\s*(s|min|h|d)", str(value))
        if found is None or not int(found[1]):
            self.fail(f"{value!r} is not a time such as 90s, 30min, 2h or 1d", param, ctx)
        return float(int(found[1]) * _UNITS_S[found[2]])


def followed(media: Media, receipt: Receipt, progress: Progress) -> Receipt:
    """The receipt of the ensure after which nothing is waited for, or something was refused."""
    while receipt.waits and not receipt.refusals:
        progress.waiting(receipt.waits[0].instance, receipt.waits[0].because)
        time.sleep(_LOOK_AGAIN_S)
        receipt = media.ensure(progress=progress)
    return receipt
