"""The golden plans: what stands in `tests/cases/plans` is what the planner makes of those worlds, byte for byte."""

from __future__ import annotations

import ast
import inspect
import sys
from typing import TYPE_CHECKING, Any

import pytest

from hero_livekit_units.plan import drains, explain, group, media, planner, slots, stop
from hero_livekit_units.plan.serial import read_plan
from tests.plan.goldens import CASES, FOLDER, files

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType, ModuleType

MODULES = (planner, group, media, drains, stop, slots, explain)
ELSEWHERE = {"in_use", "_is_spare"}  # what `hlu status` shows; test_planner.py has it


@pytest.mark.parametrize("name", CASES)
def test_golden(name: str) -> None:
    """Each step, choice, refusal, wait and note is as it was when somebody read it; or the files are made anew."""
    assert (FOLDER / f"{name}.txt").read_text(encoding="utf-8") == CASES[name].text()


def test_each_file_has_its_case() -> None:
    """No file is left over, and no case has none."""
    assert {path.name for path in FOLDER.iterdir()} == {path.name for path, _ in files()}


def test_no_summary_stands_twice() -> None:
    """Each case is about something of its own."""
    assert len({case.summary for case in CASES.values()}) == len(CASES)


@pytest.mark.parametrize("name", CASES)
def test_a_golden_plan_can_be_read(name: str) -> None:
    """The JSON of a file is a plan, but for the names of its digests: what is shown here could be executed."""
    text = (FOLDER / f"{name}.txt").read_text(encoding="utf-8")
    assert read_plan(text[text.index("\n{\n") :]).goal is CASES[name].goal


def statements(module: ModuleType) -> Iterator[tuple[int, str]]:
    """The statements of the functions of a module, by their lines."""
    for function in ast.walk(ast.parse(inspect.getsource(module))):
        if isinstance(function, ast.FunctionDef) and function.name not in ELSEWHERE:
            for node in ast.walk(function):
                if isinstance(node, ast.stmt) and node is not function:
                    text = ast.unparse(node)
                    is_docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
                    if not is_docstring and not text.startswith("assert_never"):
                        yield node.lineno, text


def test_every_row_of_the_planner_is_in_a_golden_plan() -> None:
    """Each statement works on at least one case, so that a new branch comes with a plan that shows it."""
    passed: dict[str, set[int]] = {module.__file__ or "": set() for module in MODULES}

    def trace(frame: FrameType, event: str, _: object) -> Any:
        lines = passed.get(frame.f_code.co_filename)
        if lines is None:
            return None
        if event == "line":
            lines.add(frame.f_lineno)
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        for case in CASES.values():
            case.text()
    finally:
        sys.settrace(before)
    missed = {
        f"{module.__name__}:{line}: {text}"
        for module in MODULES
        for line, text in statements(module)
        if line not in passed[module.__file__ or ""]
    }
    assert missed == set()
