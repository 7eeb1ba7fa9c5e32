"""`hlu history`: what was done, in plain words, from a log that holds receipts of any release."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hero_livekit_units.cli.render import history_text

if TYPE_CHECKING:
    from tests.cli.conftest import CommandLine
    from tests.fakes.hero import FakeHero

SOURCE = "hero_livekit.ensure"


def state(pid: int | None, people: int | None = None, *, start_time: int = 1) -> dict[str, Any]:
    """The media unit before or after."""
    process = {"pid": pid, "start_time": start_time} if pid else None
    return {"instance": "livekit-server@a", "verdict": "healthy", "process": process, "people": people}


def test_a_receipt_in_words() -> None:
    """When, who, what and why, what it did to calls, what was not done, and which process followed which."""
    effect = {"says": "none: nobody is in a call", "drops": False}
    step = {"action": "restart", "instance": "livekit-server@a", "because": "its keys changed", "effect": effect}
    refusal = {"instance": "lk-backend", "because": "held by pid 666", "possible_when": "it is gone"}
    wait = {"instance": "livekit-server@b", "because": "3 people are in calls", "until": "they have left"}
    receipt = {
        "id": "7f3a",
        "by": "hlu ensure, pid 9",
        "at_s": 1_767_225_599.9,
        "goal": "run",
        "converged": False,
        "changed": True,
        "done": [{"step": step, "outcome": "ready as pid 4243", "took_ms": 1234.0}],
        "refusals": [refusal],
        "waits": [wait],
        "notes": [{"instance": "x", "text": "left alone"}],
        "before": [state(4242, 2)],
        "after": [state(4243, 0)],
        "looks": 2,
        "took_ms": 2345.0,
    }
    assert history_text([receipt]).splitlines() == [
        "2025-12-31 23:59:59 UTC  goal run, by hlu ensure, pid 9, not as wanted yet, took 2.35 s, receipt 7f3a",
        "  done     restart livekit-server@a: ready as pid 4243 (1.23 s)",
        "           because: its keys changed",
        "           calls:   none: nobody is in a call",
        "  refused  lk-backend: held by pid 666",
        "           possible when it is gone",
        "  waits    livekit-server@b: 3 people are in calls",
        "           until they have left",
        "  note     x: left alone",
        "  process  livekit-server@a: pid 4242 → 4243, people in calls 2 → 0",
    ]


def test_a_receipt_of_the_first_release() -> None:
    """A step names its kind under `step`, its effect is text, and nobody is named."""
    step = {"step": "start", "instance": "lk-backend", "because": "it does not run", "effect": "none"}
    receipt = {"at_s": 0.0, "converged": True, "done": [{"step": step, "outcome": "ready", "took_ms": 5.0}]}
    assert history_text([receipt]).splitlines() == [
        "1970-01-01 00:00:00 UTC  as wanted",
        "  done     start lk-backend: ready (0.01 s)",
        "           because: it does not run",
        "           calls:   none",
    ]


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        (state(7, 3), state(7, 3), "pid 7, the same process, people in calls 3 → 3"),
        (state(None), state(7, 0), "pid - → 7, people in calls ? → 0"),
        (state(7, 2), state(None), "pid 7 → -, people in calls 2 → ?"),
        (state(7), state(7, start_time=2), "pid 7 → 7, another process of the same number"),
        (state(None), state(None), "pid - → -"),
        ({"instance": "x"}, state(7), "pid - → 7"),
        (state(7), {"instance": "x"}, "pid 7 → -"),
    ],
    ids=["untouched", "started", "stopped", "reused", "nothing", "new", "gone"],
)
def test_which_process_followed_which(before: dict[str, Any], after: dict[str, Any], says: str) -> None:
    """A count that could not be had is not none, and a pid alone is no identity."""
    lines = history_text([{"before": [before], "after": [after]}]).splitlines()
    assert f"  process  livekit-server@a: {says}" in lines


def test_nothing_was_changed() -> None:
    """That is told, as it is rare on record."""
    text = history_text([{"at_s": 0, "converged": True, "changed": False, "took_ms": 2.0}])
    assert text == "1970-01-01 00:00:00 UTC  as wanted, nothing was changed, took 0.00 s"


def test_an_empty_history() -> None:
    """It says so."""
    assert history_text([]) == "nothing that was done is on record"


def test_a_log_cannot_move_the_cursor() -> None:
    """Escape sequences and line breaks of a stranger are shown as spaces."""
    text = history_text([{"at_s": 0, "unreadable": "\x1b[2Jgone\nby\ud800 me"}, {"at_s": 0, "by": {"user": "a\rb"}}])
    assert text.splitlines() == [
        "1970-01-01 00:00:00 UTC  not a receipt: [2Jgone by  me",
        "",
        "1970-01-01 00:00:00 UTC  by user a b, end unknown",
    ]


KEYS = [
    *("id", "by", "at_s", "goal", "converged", "changed", "done", "refusals", "waits", "notes", "before", "after"),
    *("looks", "took_ms", "step", "action", "instance", "because", "effect", "says", "outcome", "until", "text"),
    *(
        "possible_when",
        "process",
        "pid",
        "people",
        "comeback",
        "returns",
        "identity",
        "room",
        "after_s",
        "back",
        "sign",
    ),
    *("median_s", "longest_s", "within_s", "missing"),
]
SCRAPS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.just(10**400) | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=6),
    max_leaves=15,
)


@given(st.lists(st.dictionaries(st.sampled_from(KEYS), SCRAPS), max_size=4))
@example([{"at_s": 10**400, "took_ms": 10**400}, {"at_s": float("nan"), "done": 5}, {"done": [{"step": [None]}]}])
def test_any_receipt_can_be_shown(receipts: list[dict[str, Any]]) -> None:
    """Whatever a release may have written: each has its own lines, and none hides another."""
    blocks = history_text(receipts).split("\n\n")
    assert len(blocks) == max(1, len(receipts))
    assert all(line.isprintable() for block in blocks for line in block.split("\n"))
    assert [line for block in blocks for line in block.split("\n")[1:] if not line.startswith("  ")] == []


def test_history_of_a_command(hlu: CommandLine, hero: FakeHero) -> None:
    """What `configure` did is there afterwards, and asking for it changes nothing."""
    done = json.loads(hlu.run("configure", "--json").stdout)
    hero.called.clear()
    run = hlu.run("history", "--json")
    assert (run.returncode, run.stderr) == (0, "")
    (found,) = json.loads(run.stdout)
    assert isinstance(found["at_s"], float)
    assert found | {"at_s": 0} == done | {"at_s": 0}
    assert hlu.run("configure").returncode == 0
    text = hlu.run("history").stdout
    assert text.count("as wanted") == 1
    assert "write-files livekit-server@a: " in text
    assert set(hero.called) <= {"logs.get", "system.ping", "service.status", "action.get", "secret.get"}


def test_the_newest_lines_come_last(hlu: CommandLine, hero: FakeHero) -> None:
    """`--lines` counts from the end; what is no receipt has its line too."""
    texts = ['{"id": "first"}', "it was so", '{"id": "last"}']
    hero.lines += [{"src": SOURCE, "content": text} for text in texts]
    hero.lines.append({"src": f"{SOURCE}.more", "content": "of somebody else"})
    assert hlu.run("history").stdout == (
        "1970-01-01 00:00:01 UTC  end unknown, receipt first\n\n"
        "1970-01-01 00:00:02 UTC  not a receipt: it was so\n\n"
        "1970-01-01 00:00:03 UTC  end unknown, receipt last\n"
    )
    shown = json.loads(hlu.run("history", "--lines", "2", "--json").stdout)
    assert shown[-1] == {"id": "last", "at_s": 3.0}
