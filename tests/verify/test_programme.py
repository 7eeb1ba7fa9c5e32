"""What is asked for, in the order in which it is done."""

from __future__ import annotations

from hero_livekit_units.verify.programme import Kind, Programme, Stage, places_in_rooms, stages


def test_upgrades_come_last_and_what_is_not_named_is_not_done() -> None:
    """No ensure before an upgrade may change anything."""
    assert stages(releases=["1.13.3-r1", "1.13.5-r1"], ensures=100, control_plane=10, supervisor=3) == (
        Stage(Kind.CONTROL_PLANE, 10),
        Stage(Kind.SUPERVISOR, 3),
        Stage(Kind.ENSURE, 100),
        Stage(Kind.UPGRADE, release="1.13.3-r1"),
        Stage(Kind.UPGRADE, release="1.13.5-r1"),
    )
    assert stages(supervisor=1) == (Stage(Kind.SUPERVISOR, 1),)


def test_nothing_named_is_a_call_that_is_left_alone() -> None:
    """To see what a call is like here."""
    assert stages() == (Stage(Kind.UNDISTURBED),)
    assert stages()[0].name == "an undisturbed stretch"


def test_what_a_programme_has() -> None:
    """By kind, and the releases in order."""
    asked = Programme(1, 2, 5.0, stages(ensures=1, releases=["a", "b"]))
    assert [kind for kind in Kind if asked.has(kind)] == [Kind.ENSURE, Kind.UPGRADE]
    assert asked.releases == ("a", "b")


def test_every_participant_has_a_place() -> None:
    """Room by room; two runs never share a room, and nobody has the identity of another in it."""
    assert places_in_rooms("ab", 2, 2) == (
        ("hlu-verify-ab-1", "p1"),
        ("hlu-verify-ab-1", "p2"),
        ("hlu-verify-ab-2", "p1"),
        ("hlu-verify-ab-2", "p2"),
    )


def test_names_of_stages() -> None:
    """One and many."""
    assert [Stage(Kind.CONTROL_PLANE, 1).name, Stage(Kind.CONTROL_PLANE, 2).name] == [
        "1 control-plane crash",
        "2 control-plane crashes",
    ]
    assert Stage(Kind.SUPERVISOR, 3).name == "3 supervisor crashes"
    assert Stage(Kind.ENSURE, 100).name == "100 ensures"
    assert Stage(Kind.UPGRADE, release="1.13.3-r1").name == "upgrade to 1.13.3-r1"
