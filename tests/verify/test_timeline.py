"""The drawing: well-formed, to scale, with everything in it also in words."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import attrs
import pytest

from hero_livekit_units.verify.programme import Kind
from hero_livekit_units.verify.timeline import timeline
from tests.verify.reports import interrupted, outcome, person, report

SVG = "{http://www.w3.org/2000/svg}"


def drawn(text: str) -> ET.Element:
    """Parsed as a browser does with a file of its own."""
    return ET.fromstring(text.encode())  # noqa: S314  made here


def of_class(root: ET.Element, name: str) -> list[ET.Element]:
    """All elements of a class."""
    return [element for element in root.iter() if element.get("class") == name]


def texts(root: ET.Element) -> list[str]:
    """All that can be read."""
    return [element.text or "" for element in root.iter(f"{SVG}text")]


def test_a_lane_for_each_participant_and_a_mark_for_each_event() -> None:
    """Where they are says when they were."""
    crashes = outcome(Kind.SUPERVISOR, 2, at_s=(6.0, 9.0))
    root = drawn(timeline(report([crashes, outcome(Kind.ENSURE, 100)], [person(), interrupted(), person("p3")])))
    lanes, marks, gaps = of_class(root, "lane"), of_class(root, "mark"), of_class(root, "gap")
    assert (len(lanes), len(marks), len(gaps)) == (3, 2, 1)
    left, width = float(lanes[0].attrib["x"]), float(lanes[0].attrib["width"])
    assert [float(mark.attrib["x1"]) for mark in marks] == pytest.approx(
        [left + width / 2, left + width * 9 / 12], abs=1
    )
    assert float(gaps[0].attrib["x"]) == pytest.approx(left + width * 7 / 12, abs=1)
    assert float(gaps[0].attrib["width"]) == pytest.approx(width * 0.64 / 12, abs=1)
    assert "44 ms, undisturbed 42" in texts(root)
    assert "640 ms, undisturbed 42: interrupted" in texts(root)


def test_all_of_it_is_in_words_too() -> None:
    """For who does not see it, and for who does not see red."""
    found = report([outcome(Kind.SUPERVISOR, 1, at_s=(6.0,))], [person(), interrupted()])
    root = drawn(timeline(found))
    assert root.get("role") == "img"
    named = {element.attrib["id"]: element.text or "" for element in root.iter() if "id" in element.attrib}
    assert root.get("aria-labelledby") == " ".join(named)
    assert found.sentence in named["description"]
    assert "p2 missed 640 ms" in named["description"]
    titles = [element.text for element in root.iter(f"{SVG}title")]
    assert "supervisor-crash at 6.0 s" in titles
    assert "p1 not heard for 640 ms from 7.0 s" in titles


def test_light_and_dark() -> None:
    """Both have colours of their own."""
    (style,) = drawn(timeline(report())).iter(f"{SVG}style")
    assert "prefers-color-scheme: dark" in (style.text or "")


def test_signs_that_xml_does_not_like() -> None:
    """Reasons come from elsewhere, and may hold anything."""
    nasty = 'a <b> & "c" \x1b[31m \x00'
    text = timeline(report([outcome(Kind.ENSURE, 1, because=nasty)], [person(failure=nasty)]))
    assert 'a <b> & "c" ?[31m ?' in " ".join(drawn(text).itertext())


@pytest.mark.parametrize("seconds", [0.0, 0.4, 13.0, 700.0, 90_000.0])
def test_any_length_can_be_drawn(seconds: float) -> None:
    """The scale has a dozen ticks at most; nobody at all is a drawing too."""
    found = report([outcome(Kind.ENSURE, 1)], [person(), interrupted()])
    root = drawn(timeline(attrs.evolve(found, baseline_s=0.0, ended_s=seconds)))
    assert 1 <= len(of_class(root, "grid")) <= 13
    for lane in of_class(root, "lane"):
        assert float(lane.attrib["x"]) + float(lane.attrib["width"]) <= 1040
    drawn(timeline(attrs.evolve(found, outcomes=(), people=(), ended_s=seconds)))


def test_short_gaps_can_be_seen() -> None:
    """In an hour 640 ms are less than a pixel."""
    found = report([], [interrupted()])
    root = drawn(timeline(attrs.evolve(found, ended_s=3600.0)))
    assert float(of_class(root, "gap")[0].attrib["width"]) == 2.0


def test_who_was_not_measured_has_no_lane() -> None:
    """Nothing is drawn of what nobody knows."""
    root = drawn(timeline(report([], [person(), person("p2", failure="its process ended by SIGKILL")])))
    assert len(of_class(root, "lane")) == 1
    assert any(text.endswith(": dropped") for text in texts(root))
