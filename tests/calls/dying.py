"""`hlu`, killed as by `kill -9` at an exact moment of a step, which nobody who watches from outside can hit.

python -P -m tests.calls.dying WHEN NUMBER ARGUMENT...

WHEN is `begins`, `inside` or `ends`; NUMBER counts the steps from 1; the arguments are those of `hlu`. Inside: a file
is there under its other name only, or the supervisor was asked and what comes of it is not awaited. Where a step has
no inside, it dies when that step ends. With another number it ends as `hlu` does.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hero_livekit_units.cli.main import run
from hero_livekit_units.execute.executor import Executor

if TYPE_CHECKING:
    from hero_livekit_units.model.launch import LaunchSpec
    from hero_livekit_units.model.plan import Step
    from hero_livekit_units.model.receipt import StepDone

WHENS = ("begins", "inside", "ends")


def die_at(when: str, number: int) -> None:
    """From now on this process dies at that moment of that step."""
    do, replace, await_ = Executor.do, Path.replace, Executor._await
    began = 0

    def die(moment: str) -> None:
        if (moment, began) == (when, number):
            os.kill(os.getpid(), signal.SIGKILL)

    def dying_do(self: Executor, step: Step, spec: LaunchSpec) -> StepDone:
        nonlocal began
        began += 1
        die("begins")
        done = do(self, step, spec)
        die("ends")
        die("inside")
        return done

    def dying_replace(self: Path, target: Any) -> Path:
        die("inside")
        return replace(self, target)

    def dying_await(self: Executor, *arguments: Any) -> str:
        die("inside")
        return await_(self, *arguments)

    Executor.do = dying_do  # type: ignore[method-assign]
    Path.replace = dying_replace  # type: ignore[method-assign,assignment]
    Executor._await = dying_await  # type: ignore[method-assign,assignment]


if __name__ == "__main__":
    die_at(sys.argv[1], int(sys.argv[2]))
    sys.argv = ["hlu", *sys.argv[3:]]
    run()
