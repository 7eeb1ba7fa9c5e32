"""The last words of a program: the lines that livekit-server writes, and what else may stand in a log."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from hero_livekit_units.observe.logs import LARGEST_READ, last_words, telling

if TYPE_CHECKING:
    from pathlib import Path

INFO = '{"level":"info","ts":"2026-11-26T07:00:02.000Z","logger":"livekit","msg":"starting LiveKit server"}'
ERROR = '{"level":"error","ts":"2026-11-26T07:00:01.000Z","msg":"could not start","error":"no such node"}'
AT_S = 1_795_676_400.0  # 2026-11-26 07:00:00 UTC


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        pytest.param([], "", id="nothing"),
        pytest.param(["", "  "], "", id="blank"),
        pytest.param(["one", "two", ""], "two", id="plain"),
        pytest.param([ERROR, INFO], "could not start: no such node", id="json-error-before-info"),
        pytest.param([INFO], "starting LiveKit server", id="json-info"),
        pytest.param([INFO, "could not parse config: yaml"], "could not parse config: yaml", id="plain-after-json"),
        pytest.param(
            ["2026-11-26T07:00:01.000Z\tERROR\tlivekit\tno port", "2026-11-26T07:00:02.000Z\tINFO\tlivekit\tbye"],
            "livekit no port",
            id="console-error",
        ),
        pytest.param(["panic: nil map", "", "goroutine 1 [running]:", "main.main()"], "panic: nil map", id="panic"),
        pytest.param([INFO, "{half a line"], "{half a line", id="no-json"),
        pytest.param(['{"level":"fatal","ts":1795676401.5,"msg":"bind"}'], "bind", id="epoch"),
        pytest.param(["a\x1b[31mb"], "a [31mb", id="control-signs"),
        pytest.param(["x" * 300], "x" * 199 + "…", id="long"),
    ],
)
def test_telling_line(lines: list[str], said: str) -> None:
    """The last error, else the last line with something in it."""
    assert telling(lines) == said


def test_lines_of_before_do_not_count() -> None:
    """An error of an earlier launch says nothing about this one."""
    assert telling([ERROR, INFO], AT_S + 1.9) == "could not start: no such node"
    assert telling([ERROR, INFO], AT_S + 2.1) == "starting LiveKit server"
    assert telling([ERROR, INFO], AT_S + 60.0) == ""


def test_a_log_that_was_not_written_since(tmp_path: Path) -> None:
    """Nor does one line without a time, where the file is older."""
    log = tmp_path / "log"
    log.write_text("exit\n")
    os.utime(log, (AT_S, AT_S))
    assert last_words(str(log), AT_S) == "exit"
    assert last_words(str(log), AT_S + 10.0) == ""


def test_only_the_end_is_read(tmp_path: Path) -> None:
    """However long it is, and whatever bytes are in it."""
    log = tmp_path / "log"
    log.write_bytes(ERROR.encode() + b"\n" + b"\xff" * LARGEST_READ + b"\nlast \xff\n")
    assert last_words(str(log), 0.0) == "last �"


@pytest.mark.parametrize("path", ["", "/nowhere/log", "/"])
def test_no_log(path: str) -> None:
    """It says nothing."""
    assert last_words(path, 0.0) == ""
