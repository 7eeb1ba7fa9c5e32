"""A report as a drawing (SVG): a lane for each participant, marks of what was done, the gaps that were heard. Pure.

It can be read in light and dark, without colours (what is red also says so in words), and by a screen reader.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

from hero_livekit_units.calls.verdict import NOTED_MS, why_dropped, why_interrupted
from hero_livekit_units.verify.programme import PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hero_livekit_units.calls.verdict import ParticipantReport
    from hero_livekit_units.verify.report import Outcome, Report

_WIDTH, _LEFT, _RIGHT = 1040, 130, 250
_TOP, _LANE, _BAR = 124, 28, 14
_PLOT = _WIDTH - _LEFT - _RIGHT
_LEAST = 2.0  # a gap of 100 ms in a minute would be thinner than a pixel
_MOST_TICKS = 12

_STYLE = """
svg { background: #ffffff; color: #1b1f24; font: 12px system-ui, sans-serif; }
text { fill: currentColor; }
.faint { fill: currentColor; opacity: .65; }
.lane { fill: #2f7d4f; }
.band { fill: currentColor; opacity: .07; }
.mark { stroke: #1f5fbf; stroke-width: 1.5; }
.grid { stroke: currentColor; opacity: .18; }
.gap { fill: #c62828; stroke: #ffffff; stroke-width: .5; }
.bad { fill: #c62828; font-weight: 600; }
@media (prefers-color-scheme: dark) {
  svg { background: #14181d; color: #e6e9ec; }
  .lane { fill: #4fb37a; }
  .mark { stroke: #7fb0ff; }
  .gap { fill: #ff6b6b; stroke: #14181d; }
  .bad { fill: #ff8a80; }
}
"""


def timeline(report: Report) -> str:
    """The drawing, as the text of an SVG file of its own."""
    height = _TOP + _LANE * len(report.people) + 52
    root = ET.Element(
        "svg",
        {
            "xmlns": "http://www.w3.org/2000/svg",
            "viewBox": f"0 0 {_WIDTH} {height}",
            "width": str(_WIDTH),
            "height": str(height),
            "role": "img",
            "aria-labelledby": "title description",
        },
    )
    _add(root, "title", "Calls while what manages them is killed", id="title")
    _add(root, "desc", _description(report), id="description")
    _add(root, "style", _STYLE)
    for row, line in enumerate(_wrapped(report.sentence, 150)[:2]):
        _add(root, "text", line, x=12, y=20 + 16 * row)
    scale = _Scale(report.ended_s)
    _bands(root, report, scale)
    _axis(root, report, scale)
    for number, person in enumerate(report.people):
        _lane(root, report, person, _TOP + _LANE * number, scale)
    for outcome in report.outcomes:
        _marks(root, report, outcome, scale)
    legend = f"red: not heard for more than {NOTED_MS:.0f} ms; a line: killed, started again or upgraded"
    _add(root, "text", legend, x=12, y=height - 10, cls="faint")
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


class _Scale:
    """Seconds since the baseline began to x."""

    def __init__(self, seconds: float) -> None:
        self._seconds = max(seconds, 0.001)

    def __call__(self, at_s: float) -> float:
        return round(_LEFT + _PLOT * min(max(at_s / self._seconds, 0.0), 1.0), 1)

    def ticks(self) -> Iterator[int]:
        step = next(step for step in (1, 2, 5, 10, 30, 60, 300, 900, 10**9) if self._seconds / step <= _MOST_TICKS)
        return iter(range(0, int(self._seconds) + 1, step))


def _bands(root: ET.Element, report: Report, scale: _Scale) -> None:
    stretches = [("undisturbed", 0.0, report.baseline_s)]
    stretches += [(outcome.stage.name, outcome.began_s, outcome.ended_s) for outcome in report.outcomes]
    for number, (name, began_s, ended_s) in enumerate(stretches):
        left, right = scale(began_s), scale(ended_s)
        if number % 2 == 0:
            _add(root, "rect", x=left, y=_TOP - 6, width=right - left, height=_LANE * len(report.people), cls="band")
        # Neighbours in rows of their own: a short stretch has a long name.
        _add(root, "text", name, x=left + 2, y=_TOP - 28 - 16 * (number % 3), cls="faint")


def _axis(root: ET.Element, report: Report, scale: _Scale) -> None:
    bottom = _TOP - 6 + _LANE * len(report.people)
    for second in scale.ticks():
        at = scale(second)
        _add(root, "line", x1=at, x2=at, y1=_TOP - 6, y2=bottom, cls="grid")
        _add(root, "text", f"{second} s", x=at - 4, y=bottom + 16, cls="faint")


def _lane(root: ET.Element, report: Report, person: ParticipantReport, top: float, scale: _Scale) -> None:
    group = _add(root, "g")
    _add(group, "title", _says(report, person))
    _add(group, "text", f"{person.room.removeprefix(PREFIX)} {person.identity}", x=12, y=top + _BAR - 2)
    if not person.failure:
        _add(group, "rect", x=scale(0.0), y=top, width=scale(report.ended_s) - _LEFT, height=_BAR, cls="lane")
    for gap in person.gaps:
        began_s = gap.started_s - report.began_s
        left, right = scale(began_s), scale(began_s + gap.length_ms / 1000)
        width = round(max(right - left, _LEAST), 1)
        drawn = _add(group, "rect", x=left, y=top - 3, width=width, height=_BAR + 6, cls="gap")
        _add(drawn, "title", f"{gap.speaker} not heard for {gap.length_ms:.0f} ms from {began_s:.1f} s")
    fate = _fate(report, person)
    figures = f"{person.longest_gap_ms:.0f} ms, undisturbed {person.baseline_gap_ms:.0f}"
    at = _WIDTH - _RIGHT + 12
    _add(group, "text", f"{figures}: {fate}" if fate else figures, x=at, y=top + _BAR - 2, cls="bad" if fate else "")


def _marks(root: ET.Element, report: Report, outcome: Outcome, scale: _Scale) -> None:
    bottom = _TOP - 6 + _LANE * len(report.people)
    for at_s in outcome.at_s:
        at = scale(at_s)
        mark = _add(root, "line", x1=at, x2=at, y1=_TOP - 22, y2=bottom, cls="mark")
        _add(mark, "title", f"{outcome.stage.kind} {outcome.stage.release}".strip() + f" at {at_s:.1f} s")


def _description(report: Report) -> str:
    """All of the drawing in words."""
    deeds = [
        f"From {outcome.began_s:.1f} s: {outcome.stage.name}, longest gap {outcome.longest_gap_ms:.0f} ms."
        for outcome in report.outcomes
    ]
    return " ".join([report.sentence + ".", *deeds, *(_says(report, person) + "." for person in report.people)])


def _says(report: Report, person: ParticipantReport) -> str:
    fate = why_dropped(person) or why_interrupted(person, report.verdict.baseline_gap_ms) or "never interrupted"
    return (
        f"{person.identity} in {person.room}: {fate}; longest gap {person.longest_gap_ms:.0f} ms,"
        f" undisturbed {person.baseline_gap_ms:.0f} ms"
    )


def _fate(report: Report, person: ParticipantReport) -> str:
    if why_dropped(person):
        return "dropped"
    return "interrupted" if why_interrupted(person, report.verdict.baseline_gap_ms) else ""


def _wrapped(text: str, most: int) -> list[str]:
    lines, line = [], ""
    for word in text.split():
        if line and len(line) + 1 + len(word) > most:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}".strip()
    return [*lines, line]


def _add(parent: ET.Element, tag: str, text: str = "", *, cls: str = "", **attributes: Any) -> ET.Element:
    named = {name: f"{value:g}" if isinstance(value, float) else str(value) for name, value in attributes.items()}
    child = ET.SubElement(parent, tag, named | ({"class": cls} if cls else {}))
    child.text = _printable(text) or None
    return child


def _printable(text: str) -> str:
    """XML has no control signs, not even escaped; a stranger's command line may."""
    return "".join(sign if sign.isprintable() or sign == "\n" else "?" for sign in text)
