"""Each ability is seen where it is there, and missed where it is not, on real processes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hero_livekit_units.doctor.examine import examine, examine_adoption
from hero_livekit_units.doctor.ward import LIVE, NAMES, Ward, ward
from hero_livekit_units.errors import ExaminationFailed, RegistryRefused
from hero_livekit_units.model.ability import Ability
from hero_livekit_units.model.unit import RestartSection, StopSection
from tests.fakes.processes import ProcessRegistry

if TYPE_CHECKING:
    from pathlib import Path

    from hero_livekit_units.doctor.report import Finding

pytestmark = pytest.mark.servers


def found(registry: ProcessRegistry, folder: Path, *, adoption: bool = False) -> dict[Ability, Finding]:
    """An examination from beginning to end, after which nothing is left."""
    heard: list[str] = []
    own = folder / "units"
    own.mkdir()
    with ward(registry, own, registry.forget) as units:
        if adoption:
            findings = [examine_adoption(units, registry.die, heard.append)]
        else:
            findings = examine(units, registry.client_of, 0, heard.append)
        began = [life for name in NAMES for life in units.all_lives(name)]
    assert began
    assert not [life for life in began if life.goes_on]
    assert (registry.known, own.exists()) == ([], False)
    assert heard
    return {one.ability: one for one in findings}


ALL_BUT_ADOPTS = [ability for ability in Ability if ability is not Ability.ADOPTS]


def test_who_can_do_it_all_passes(tmp_path: Path) -> None:
    """Each is told with what was seen."""
    seen = found(ProcessRegistry(), tmp_path)
    assert list(seen) == ALL_BUT_ADOPTS
    assert [(one.ability, one.says) for one in seen.values() if one.holds is not True] == []
    assert all(one.says for one in seen.values())


FAULTS = [
    (Ability.OWN_GROUP, None, "share process group"),
    (Ability.OUTLIVES_CLIENT, None, "ended when the program that had it started was killed"),
    (Ability.SET_LEAVES_ALONE, None, "it got SIGTERM when it was registered anew"),
    (Ability.NOTICES_DEATH, None, "after 1 s it is said to run"),
    (Ability.RESTARTS_AFTER_ZERO, None, "3 s later it does not run"),
    (Ability.STOPS_ONCE, None, "two stops sent SIGTERM and SIGTERM"),
    (Ability.KEEPS_WINDOW, None, "a stop of 1.5 s is not over after"),
    (Ability.KEEPS_WINDOW, 0.1, "a stop of 1.5 s was over after 0.6 s"),
    (Ability.KEEPS_WINDOW, 1.4, "what had an hour to end was killed within"),
]


@pytest.mark.parametrize("faults", [[*FAULTS[1:3], FAULTS[7]], [FAULTS[0], *FAULTS[3:7]]])
def test_all_that_is_not_there_is_missed(faults: list[tuple[Ability, float | None, str]], tmp_path: Path) -> None:
    """Of several at once."""
    window_s = faults[-1][1]
    seen = found(ProcessRegistry(*(ability for ability, *_ in faults), window_s=window_s), tmp_path)
    assert {one.ability for one in seen.values() if one.holds is False} == {ability for ability, *_ in faults}
    assert [says for ability, _, says in faults if says not in seen[ability].says] == []


@pytest.mark.night
@pytest.mark.parametrize(("ability", "window_s", "says"), FAULTS)
def test_what_is_not_there_is_missed(ability: Ability, window_s: float | None, says: str, tmp_path: Path) -> None:
    """And nothing else is."""
    seen = found(ProcessRegistry(ability, window_s=window_s), tmp_path)
    missed = {one.ability for one in seen.values() if one.holds is False}
    # Who does not see that something has died starts it again for no reason.
    also = {Ability.RESTARTS_AFTER_ZERO} if ability is Ability.NOTICES_DEATH else set()
    assert missed - also == {ability}
    assert says in seen[ability].says


def test_a_group_that_is_somebody_elses_is_not_its_own(tmp_path: Path) -> None:
    """Such as the supervisor's, which a unit may have to itself otherwise."""
    registry = ProcessRegistry()
    own = tmp_path / "units"
    own.mkdir()
    with ward(registry, own, registry.forget) as units:
        units.register(LIVE, restart=RestartSection(exit_zero_is_failure=True), stop=StopSection("SIGTERM"))
        registry.start(LIVE)
        life = units.await_up(LIVE)
        from hero_livekit_units.doctor.examine import _own_group  # noqa: PLC0415  it has no other way to be

        assert _own_group({LIVE: life}, life.pid) == (
            False,
            f"a unit runs in process group {life.group}, which is the supervisor's",
        )


def test_who_finds_again_what_runs_passes(tmp_path: Path) -> None:
    """The same process, and no other."""
    assert found(ProcessRegistry(), tmp_path, adoption=True)[Ability.ADOPTS].holds is True


@pytest.mark.parametrize(("copies", "says"), [(False, "the supervisor says waiting, no pid"), (True, "1 more of it")])
def test_who_does_not_is_found_out(*, copies: bool, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether it has forgotten it, or starts a second copy."""
    monkeypatch.setattr("hero_livekit_units.doctor.examine._FOUND_WITHIN_S", 0.5)
    seen = found(ProcessRegistry(Ability.ADOPTS, copies=copies), tmp_path, adoption=True)[Ability.ADOPTS]
    assert seen.holds is False
    assert says in seen.says


def test_what_does_not_start_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is concluded from it, and nothing is left of it."""
    monkeypatch.setattr("hero_livekit_units.doctor.ward._UP_WITHIN_S", 0.3)
    registry = ProcessRegistry()
    monkeypatch.setattr(registry, "_spawn", lambda _: None)
    own = tmp_path / "units"
    own.mkdir()
    with (
        pytest.raises(ExaminationFailed, match=r"hlu-doctor-live, which harms nobody, was not started within 0\.3 s"),
        ward(registry, own, registry.forget) as units,
    ):
        examine(units, registry.client_of, 0, lambda _: None)
    assert (registry.known, own.exists()) == ([], False)


def test_what_an_earlier_one_left_is_taken_out_first(tmp_path: Path) -> None:
    """It was killed, and its units run still."""
    registry = ProcessRegistry()
    left = tmp_path / "left"
    left.mkdir()
    units = Ward(registry, left)  # it never comes to its end
    units.register(LIVE, restart=RestartSection(exit_zero_is_failure=True), stop=StopSection("SIGTERM"))
    registry.start(LIVE)
    life = units.await_up(LIVE)
    seen = found(registry, tmp_path)
    assert not [one for one in seen.values() if not one.holds]
    assert not life.goes_on


def test_what_cannot_be_taken_out_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the supervisor's own reason."""
    monkeypatch.setattr("hero_livekit_units.doctor.ward._END_WITHIN_S", 0.3)
    registry = ProcessRegistry()

    def forget(_: str) -> None:
        raise RegistryRefused("service.delete", "not today", code=0)

    own = tmp_path / "units"
    own.mkdir()
    with (
        pytest.raises(ExaminationFailed, match=r"it could not be taken out again: hlu-doctor-live \(.*not today"),
        ward(registry, own, forget) as units,
    ):
        units.register(LIVE, restart=RestartSection(exit_zero_is_failure=True), stop=StopSection("SIGTERM"))
