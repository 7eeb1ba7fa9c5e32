"""What every supervisor behind the Registry port does, whatever it is and whatever is wrong with it."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import pytest

from hero_livekit_units.errors import EntryNotFound, RegistryConflict, RegistryError
from hero_livekit_units.model.observed import EntryState
from tests.contract.backends import GreenWhileDead, Memory, Other, RedWhileAlive, SetRestarts, Zinit
from tests.embedded.running import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.contract.backends import Backend

CALLERS = 100
TERM = str(int(signal.SIGTERM))


def at_once(act: Callable[[], object], callers: int = CALLERS) -> list[Exception]:
    """So many callers, all in the same moment; what they were refused."""
    faults: list[Exception] = []
    together = threading.Barrier(callers)

    def call() -> None:
        together.wait()
        try:
            act()
        except RegistryError as error:
            faults.append(error)

    threads = [threading.Thread(target=call) for _ in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return faults


# -- what it keeps


def test_a_registration_is_written_once_and_starts_nothing(any_backend: Backend) -> None:
    """The second one of the same has nothing to write. What is registered is told from what is not known."""
    spec = any_backend.spec()
    assert any_backend.entry(spec.instance) is None
    assert any_backend.registry.register(spec)
    assert not any_backend.registry.register(spec)
    found = any_backend.entry(spec.instance)
    assert found is not None
    assert (found.process, found.digest, found.launch_digest) == (None, spec.digest, spec.launch_digest)
    assert any_backend.notes(spec) == []


def test_what_is_not_registered_is_refused_by_name(backend: Backend) -> None:
    """It is not taken for something that is stopped."""
    for act in (backend.registry.start, backend.registry.stop, backend.registry.restart, backend.registry.kill):
        with pytest.raises(EntryNotFound):
            act(backend.spec("nobody").instance)


def test_names_do_not_meet(backend: Backend) -> None:
    """Dashes, slots and beginnings that are alike: each instance has its own process, and stops alone."""
    specs = [backend.spec("a-b"), backend.spec("a-b-c"), backend.spec("a-b", slot="a"), backend.spec("a-b", slot="b")]
    pids = [backend.run(spec) for spec in specs]
    assert len(set(pids)) == len(specs)
    backend.registry.stop(specs[1].instance)
    until(lambda: not backend.pids(specs[1]), "it ends")
    assert [backend.pids(spec) for spec in specs] == [[pids[0]], [], [pids[2]], [pids[3]]]


def test_another_form_touches_nothing_that_runs(backend: Backend) -> None:
    """It is what the next start runs."""
    spec = backend.spec()
    pid = backend.run(spec)
    other = attrs.evolve(spec, env=(("MORE", "1"),), digest="other", launch_digest="other")
    assert backend.registry.register(other)
    found = backend.entry(spec.instance)
    assert found is not None
    assert (found.digest, found.launch_digest) == ("other", "other")
    if not isinstance(backend, SetRestarts):
        assert (backend.pids(spec), backend.signals(spec)) == ([pid], [])
    backend.registry.restart(spec.instance)
    until(lambda: len(backend.pids(spec)) == 1 and backend.pids(spec) != [pid], "another one runs")
    assert not backend.registry.register(other)


def test_who_registers_at_once_does_not_mix(any_backend: Backend) -> None:
    """The form that is kept is one of theirs, whole; who would undo what was written meanwhile is told."""
    spec = any_backend.spec()
    any_backend.registry.register(spec)
    forms = iter([attrs.evolve(spec, digest=f"d{at}", launch_digest=f"l{at}") for at in range(20)])
    taking = threading.Lock()

    def register() -> None:
        with taking:
            form = next(forms)
        any_backend.other().register(form)

    faults = at_once(register, 20)
    assert {type(fault) for fault in faults} <= {RegistryConflict}
    found = any_backend.entry(spec.instance)
    assert found is not None
    assert found.digest[1:] == found.launch_digest[1:]
    assert found.digest.startswith("d")


def test_secrets(any_backend: Backend) -> None:
    """Stored, replaced, listed by the names that exist, deleted, and deleted again."""
    registry = any_backend.registry
    names = ["hlu_contract_one", "hlu_contract_two"]
    registry.store_secret(names[0], "ä $'\"\n")
    registry.store_secret(names[0], "second ü")
    assert registry.secrets(names) == {names[0]: "second ü"}
    registry.store_secret(names[1], "2")
    for _ in range(2):
        registry.delete_secret(names[0])
    assert registry.secrets(names) == {names[1]: "2"}
    registry.delete_secret(names[1])


def test_the_history_of_a_source(any_backend: Backend) -> None:
    """Exactly this source, the newest last, no more lines than were asked for."""
    registry, began_s = any_backend.registry, time.time()
    source = "hlu_contract.ensure"
    for name, text in [(source, "ä"), (f"{source}d", "no"), ("hlu_contract", "no"), (source, "b"), (source, "c")]:
        registry.record(name, text)
    lines = registry.history(source, 10)
    assert [line.text for line in lines] == ["ä", "b", "c"]
    assert [line.text for line in registry.history(source, 2)] == ["b", "c"]
    assert registry.history("hlu_contract.nobody", 3) == []
    assert lines == sorted(lines, key=lambda line: line.at_s)
    if not isinstance(any_backend, Memory):
        assert began_s - 0.01 <= lines[0].at_s <= time.time()


# -- one process


def test_a_start_of_what_runs_changes_nothing(backend: Backend) -> None:
    """However often."""
    spec = backend.spec()
    pid = backend.run(spec)
    for _ in range(3):
        backend.registry.start(spec.instance)
    found = backend.entry(spec.instance)
    assert found is not None
    assert (found.state, found.wanted) == (EntryState.RUNNING, True)
    assert (backend.pids(spec), backend.notes(spec)) == ([pid], [f"pid {pid}"])


def test_a_hundred_callers_start_one_process(backend: Backend) -> None:
    """Whoever asks; nobody is refused."""
    spec = backend.spec()
    backend.registry.register(spec)
    assert at_once(lambda: backend.other().start(spec.instance)) == []
    until(lambda: backend.notes(spec), "it runs")
    time.sleep(0.3)  # a second one would have come by now
    assert len(backend.notes(spec)) == 1


def test_it_is_its_own_leader(backend: Backend) -> None:
    """What is sent to the group of its supervisor, or of whoever asked for it, does not reach it."""
    pid = backend.run(backend.spec())
    assert os.getpgid(pid) == pid
    assert os.getpgid(pid) != os.getpgid(0)


def test_it_writes_to_no_pipe(backend: Backend) -> None:
    """A pipe would break with the supervisor, and the next word of the program would kill it."""
    pid = backend.run(backend.spec())
    for descriptor in (1, 2):
        assert Path(f"/proc/{pid}/fd/{descriptor}").readlink().is_absolute(), "it is a file"


def test_what_is_killed_comes_back(backend: Backend) -> None:
    """One new process, of which the supervisor knows."""
    spec = backend.spec()
    pid = backend.run(spec)
    os.kill(pid, signal.SIGKILL)
    until(lambda: set(backend.pids(spec)) - {pid}, "another one runs")
    if not isinstance(backend, GreenWhileDead):
        until(lambda: (found := backend.entry(spec.instance)) and found.process, "the supervisor knows")
    assert len(backend.notes(spec)) == 2


def test_a_restart_ends_the_old_one_first(backend: Backend) -> None:
    """There are never two."""
    spec = backend.spec(ends_after_s=0.5)
    pid = backend.run(spec)
    restarting = threading.Thread(target=backend.registry.restart, args=(spec.instance,))
    restarting.start()
    most = 0
    while restarting.is_alive() or backend.pids(spec) in ([pid], []):
        most = max(most, len(backend.pids(spec)))
    restarting.join()
    assert most == 1
    assert backend.signals(spec) == [TERM]
    assert len(backend.pids(spec)) == 1


# -- the end


def test_the_stop_signal_is_sent_once(backend: Backend) -> None:
    """However often it is asked for, before, while and after it ends; what is stopped stays stopped."""
    spec = backend.spec(ends_after_s=1.0)
    backend.run(spec)
    for _ in range(3):
        backend.registry.stop(spec.instance)
    until(lambda: backend.signals(spec), "the signal arrives")
    found = backend.entry(spec.instance)
    assert found is not None
    assert (found.state, found.wanted) == (EntryState.STOPPING, False)
    backend.registry.stop(spec.instance)
    until(lambda: not backend.pids(spec), "it ends")
    until(lambda: (seen := backend.entry(spec.instance)) and seen.state is EntryState.STOPPED, "that is known")
    backend.registry.stop(spec.instance)
    time.sleep(0.5)
    assert (backend.pids(spec), backend.signals(spec)) == ([], [TERM])


def test_a_hundred_callers_stop_with_one_signal(backend: Backend) -> None:
    """Whoever asks."""
    spec = backend.spec(ends_after_s=-1.0)
    pid = backend.run(spec)
    assert at_once(lambda: backend.other().stop(spec.instance)) == []
    until(lambda: backend.signals(spec), "the signal arrives")
    time.sleep(0.3)
    assert backend.signals(spec) == [TERM]
    assert backend.pids(spec) == [pid], "it takes its time, and its window is long"


def test_a_kill_needs_no_patience(backend: Backend) -> None:
    """It ends what does not end, and nothing comes after what is not wanted; there may be nothing to kill."""
    spec = backend.spec(ends_after_s=-1.0)
    backend.run(spec)
    backend.registry.stop(spec.instance)
    backend.registry.kill(spec.instance)
    until(lambda: not backend.pids(spec), "it is gone")
    backend.registry.kill(spec.instance)
    time.sleep(0.5)
    found = backend.entry(spec.instance)
    assert found is not None
    assert (backend.pids(spec), found.wanted) == ([], False)


def test_a_stop_between_two_lives_is_for_good(backend: Backend) -> None:
    """No timer starts what is not wanted any more."""
    spec = attrs.evolve(
        backend.spec(),
        argv=("/bin/sh", "-c", f"echo pid $$ >> {backend.folder}/x.notes; exit 1", f"{backend.folder}/x.notes", "0"),
        restart=attrs.evolve(backend.spec().restart, delay_s=0.5, max_delay_s=0.5),
    )
    backend.registry.register(spec)
    backend.registry.start(spec.instance)
    until(lambda: backend.notes(spec), "it has ended once")
    time.sleep(0.1)
    backend.registry.stop(spec.instance)
    ended = len(backend.notes(spec))
    time.sleep(1.2)
    assert len(backend.notes(spec)) == ended


def test_other_calls_are_answered_while_one_ends(backend: Backend) -> None:
    """A stop of hours holds up nobody."""
    slow, quick = backend.spec("slow", ends_after_s=-1.0), backend.spec("quick")
    backend.run(slow)
    backend.registry.stop(slow.instance)
    backend.run(quick)
    backend.registry.stop(quick.instance)
    until(lambda: not backend.pids(quick), "the other one ends")
    assert len(backend.pids(slow)) == 1


# -- its own death


@pytest.fixture
def mortal(backend: Backend) -> Backend:
    """One that a test may kill."""
    if isinstance(backend, Other):
        pytest.skip("what is on HLU_CONTRACT_SOCKET is not killed")
    return backend


def test_its_death_touches_nothing_that_runs(mortal: Backend) -> None:
    """Nor is there ever a second copy; and what it says of its units follows the kernel, or is told as lost."""
    spec = mortal.spec()
    pid = mortal.run(spec)
    supervisor = mortal.registry.survey([]).supervisor
    mortal.crash()
    again = mortal.registry.survey([]).supervisor
    assert again.process != supervisor.process
    mortal.registry.start(spec.instance)
    time.sleep(1.0)
    assert (mortal.pids(spec), mortal.notes(spec)) == ([pid], [f"pid {pid}"])
    found = mortal.entry(spec.instance)
    assert found is not None
    assert found.wanted
    if isinstance(mortal, Zinit):
        assert not again.adopts
        assert (found.process, found.state) == (None, EntryState.WAITING)
    elif not isinstance(mortal, RedWhileAlive):
        assert found.process is not None
        assert found.process.pid == pid


def test_what_was_stopped_stays_stopped_through_its_death(mortal: Backend) -> None:
    """The next life starts what is wanted, and nothing else."""
    stopped, wanted = mortal.spec("stopped"), mortal.spec("wanted")
    mortal.run(stopped)
    pid = mortal.run(wanted)
    mortal.registry.stop(stopped.instance)
    until(lambda: not mortal.pids(stopped), "it ends")
    os.kill(pid, signal.SIGKILL)
    mortal.crash()
    until(lambda: mortal.pids(wanted), "what is wanted runs")
    time.sleep(0.5)
    assert mortal.pids(stopped) == []


def test_a_signal_is_not_repeated_after_its_death(mortal: Backend) -> None:
    """What was asked to end goes on ending."""
    spec = mortal.spec(ends_after_s=-1.0)
    pid = mortal.run(spec)
    mortal.registry.stop(spec.instance)
    until(lambda: mortal.signals(spec), "the signal arrives")
    mortal.crash()
    mortal.registry.stop(spec.instance)
    time.sleep(0.5)
    assert (mortal.signals(spec), mortal.pids(spec)) == ([TERM], [pid])
