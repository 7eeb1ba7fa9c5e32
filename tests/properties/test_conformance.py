"""The host in memory does what real programs do: the same steps, and the same expectations, on both."""

from __future__ import annotations

import attrs

from hero_livekit_units.model.observed import EntryState
from tests.properties.benches import Bench, entry, started, until


def test_registering_starts_and_restarts_nothing(bench: Bench) -> None:
    """Neither the first time, nor again; it is wanted from then on."""
    assert (entry(bench).state, entry(bench).process, entry(bench).wanted) == (EntryState.STOPPED, None, True)
    process = started(bench)
    assert not bench.registry.register(bench.spec)
    assert entry(bench).process == process


def test_a_second_start_does_nothing(bench: Bench) -> None:
    """The process is the same."""
    process = started(bench)
    bench.registry.start(bench.spec.instance)
    bench.pass_time(0.3)
    assert (entry(bench).process, entry(bench).state) == (process, EntryState.RUNNING)


def test_who_is_killed_and_wanted_comes_back(bench: Bench) -> None:
    """As another process, after the back-off."""
    process = started(bench)
    bench.kill(process)
    until(bench, lambda: entry(bench).process not in {None, process}, "it has another process")
    assert (entry(bench).restarts, entry(bench).wanted) == (1, True)


def test_an_idle_one_ends_by_one_signal_when_it_is_old_enough(bench: Bench) -> None:
    """Asked twice, too early: the signal waits, is sent once, and it ends."""
    process = started(bench, age_s=0.2)
    bench.registry.stop(bench.spec.instance)
    bench.registry.stop(bench.spec.instance)
    assert (entry(bench).state, bench.alive(process)) == (EntryState.STOPPING, True)
    until(bench, lambda: entry(bench).state is EntryState.STOPPED, "it has ended")
    assert not bench.alive(process)
    bench.pass_time(0.5)
    assert entry(bench).process is None


def test_a_supervisor_that_was_killed_finds_it_again(bench: Bench) -> None:
    """While it is away nothing can be said; the process lives through it, and is the same."""
    process = started(bench)
    bench.kill_supervisor()
    assert bench.registry.survey([bench.spec.instance]).entries is None
    assert bench.alive(process)
    bench.start_supervisor()
    assert (entry(bench).process, entry(bench).state) == (process, EntryState.RUNNING)


def test_what_is_only_registered_starts_with_the_next_supervisor(bench: Bench) -> None:
    """It is wanted, and has no process."""
    bench.kill_supervisor()
    bench.start_supervisor()
    until(bench, lambda: entry(bench).process, "it has a process")


def test_a_port_that_is_taken_ends_it_with_status_0(bench: Bench) -> None:
    """Which is a failure, with its reason, and it is tried again."""
    bench.take_port()
    bench.registry.start(bench.spec.instance)
    until(bench, lambda: "address already in use" in entry(bench).last_error, "the reason is told")
    assert "status 0" in entry(bench).last_error
    until(bench, lambda: entry(bench).restarts, "it is tried again")


def test_a_start_at_once_after_a_kill_brings_it_back(bench: Bench) -> None:
    """Whether or not the supervisor has seen the end by then."""
    process = started(bench)
    bench.registry.kill(bench.spec.instance)
    bench.registry.start(bench.spec.instance)
    until(bench, lambda: entry(bench).process not in {None, process}, "it has another process")


def test_a_restart_brings_what_is_registered(bench: Bench) -> None:
    """Another process, after the end of the first."""
    process = started(bench, age_s=1.2)
    bench.registry.restart(bench.spec.instance)
    until(bench, lambda: entry(bench).process not in {None, process}, "it has another process")
    assert not bench.alive(process)


def test_a_life_after_a_bad_end_is_what_the_first_one_was(bench: Bench) -> None:
    """What was registered meanwhile counts only when somebody starts or restarts it."""
    process = started(bench)
    bench.registry.register(attrs.evolve(bench.spec, digest="e" * 16, launch_digest="e" * 16))
    bench.kill(process)
    until(bench, lambda: entry(bench).process not in {None, process}, "it has another process")
    bench.pass_time(1.2)
    back = entry(bench).process
    assert back is not None
    assert bench.launch_digest(back) == bench.spec.launch_digest
    assert entry(bench).launch_digest == "e" * 16
    bench.registry.restart(bench.spec.instance)
    until(bench, lambda: entry(bench).process not in {None, back}, "it has another process")
    bench.pass_time(0.3)
    new = entry(bench).process
    assert new is not None
    assert bench.launch_digest(new) == "e" * 16
