"""The units of an examination: registered, started, looked at, and gone at the end. They harm nobody."""

from __future__ import annotations

import os
import shutil
import signal
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from attrs import frozen

from hero_livekit_units.doctor import harmless
from hero_livekit_units.errors import ExaminationFailed, RegistryError
from hero_livekit_units.model.launch import LaunchSpec
from hero_livekit_units.model.observed import Entry, EntryState
from hero_livekit_units.places import own_python
from hero_livekit_units.procfs import lives, start_time_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from hero_livekit_units.model.unit import RestartSection, StopSection
    from hero_livekit_units.registry.port import Registry

UNIT = "hlu-doctor"  # what the names of its units begin with
NAMES = tuple(f"{UNIT}-{name}" for name in ("live", "dead", "slow", "short", "lost"))
LIVE, DEAD, SLOW, SHORT, LOST = NAMES
HEEDS, IGNORES = "heeds", "ignores"

_UP_WITHIN_S = 5.0
_STOPPED_WITHIN_S = 1.5
_END_WITHIN_S = 3.0
_LOOK_AGAIN_S = 0.01


@frozen
class Life:
    """A process of a unit."""

    pid: int
    start_time: int
    group: int

    @property
    def goes_on(self) -> bool:
        """Whether this very process lives."""
        return lives(self.pid, self.start_time)

    def signal(self, number: int) -> None:
        """Send it a signal, if it lives."""
        if self.goes_on:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)


class Ward:
    """The units of an examination, at one supervisor.

    Args:
        registry: the supervisor.
        folder: of their own, for what they write.
    """

    def __init__(self, registry: Registry, folder: Path) -> None:
        self.registry = registry
        self._folder = folder
        self._specs: dict[str, LaunchSpec] = {}
        self._began: dict[tuple[str, int], int] = {}

    def register(self, name: str, *, manner: str = HEEDS, restart: RestartSection, stop: StopSection) -> None:
        """Store how a unit runs; once more, with the same, as another release of it."""
        release = str(int(self._specs[name].release) + 1) if name in self._specs else "1"
        spec = LaunchSpec(
            unit=name,
            release=release,
            slot="",
            carries_calls=False,
            argv=(own_python(), "-S", "-E", harmless.__file__, str(self._notes(name)), manner),
            env=(),
            folder=str(self._folder),
            files=(),
            ports=(),
            probes=(),
            calls=(),
            stop=stop,
            restart=restart,
            digest=f"{name}-{release}",
            launch_digest=name,
        )
        self._specs[name] = spec
        self.registry.register(spec)

    def again(self, name: str) -> None:
        """Register a unit as its next release, which runs in the same way."""
        spec = self._specs[name]
        self.register(name, manner=spec.argv[-1], restart=spec.restart, stop=spec.stop)

    def all_lives(self, name: str) -> list[Life]:
        """Every process that a unit has had, the eldest first."""
        found = []
        for line in self._lines(name):
            if line.startswith("pid "):
                pid, group = (int(word) for word in line.split()[1:])
                # Told once, while it lives: later another process may have its pid.
                started = self._began.setdefault((name, pid), start_time_of(pid) or 0)
                found.append(Life(pid, started, group))
        return found

    def life(self, name: str) -> Life:
        """The newest process of a unit."""
        return self.all_lives(name)[-1]

    def signals(self, name: str) -> list[str]:
        """The names of the signals that a unit got."""
        return [signal.Signals(int(line)).name for line in self._lines(name) if not line.startswith("pid ")]

    def entry(self, name: str) -> Entry | None:
        """The supervisor's word about a unit.

        Raises:
            ExaminationFailed: it has none to say.
        """
        survey = self.registry.survey([name])
        if survey.entries is None:
            raise ExaminationFailed(f"the supervisor does not answer: {survey.supervisor.says}")
        return survey.entries.get(name)

    def await_up(self, name: str) -> Life:
        """Wait until a unit has its first process, and the supervisor says so.

        Raises:
            ExaminationFailed: in vain.
        """
        if not until(lambda: bool(self.all_lives(name)), _UP_WITHIN_S):
            raise ExaminationFailed(f"{name}, which harms nobody, was not started within {_UP_WITHIN_S:g} s")
        life = self.life(name)
        if not until(lambda: says_runs(self.entry(name), life.pid), _UP_WITHIN_S):
            raise ExaminationFailed(
                f"{name} runs as pid {life.pid}, and the supervisor says {in_words(self.entry(name))}"
            )
        return life

    def clear(self, forget: Callable[[str], None]) -> None:
        """Take out what an examination has left that was killed."""
        for name in NAMES:
            if self.entry(name) is not None:
                self.registry.stop(name)
                self.registry.kill(name)  # some heed no other signal
                if problem := _forgotten(forget, name):
                    raise ExaminationFailed(f"what an earlier examination left cannot be taken out: {problem}")

    def end(self, forget: Callable[[str], None] | None) -> None:
        """End all units, take them out of the supervisor, and remove what they wrote.

        Args:
            forget: takes a unit out; None where the supervisor is thrown away as a whole.

        Raises:
            ExaminationFailed: a unit could not be taken out.
        """
        names = list(self._specs)
        for name in names:
            with suppress(RegistryError):
                self.registry.stop(name)
        ended = until(lambda: not self._alive(name for name in names if name != SLOW), _STOPPED_WITHIN_S)
        for name in [SLOW] if ended else names:
            for life in self._alive([name]):
                life.signal(signal.SIGKILL)
        until(lambda: not self._alive(names), _END_WITHIN_S)
        problems = [problem for name in names if forget and (problem := _forgotten(forget, name))]
        shutil.rmtree(self._folder, ignore_errors=True)
        if problems:
            raise ExaminationFailed(f"it could not be taken out again: {'; '.join(problems)}")

    def _alive(self, names: Iterable[str]) -> list[Life]:
        return [life for name in names for life in self.all_lives(name) if life.goes_on]

    def _notes(self, name: str) -> Path:
        return self._folder / f"{name}.notes"

    def _lines(self, name: str) -> list[str]:
        try:
            return self._notes(name).read_text(encoding="ascii").splitlines()
        except FileNotFoundError:
            return []


@contextmanager
def ward(registry: Registry, folder: Path, forget: Callable[[str], None] | None) -> Iterator[Ward]:
    """The units of an examination, which are gone when it ends, however it ends.

    Args:
        registry: the supervisor.
        folder: of their own; removed at the end.
        forget: takes a unit out of the supervisor; None where that is thrown away as a whole.

    Raises:
        ExaminationFailed: they could not be taken out, or those of an earlier examination could not.
    """
    found = Ward(registry, folder)
    try:
        if forget:
            found.clear(forget)
        yield found
    finally:
        found.end(forget)


def until(reached: Callable[[], bool], within_s: float) -> bool:
    """Whether something is so by then."""
    deadline = time.monotonic() + within_s
    while not reached():
        if time.monotonic() >= deadline:
            return False
        time.sleep(_LOOK_AGAIN_S)
    return True


def says_runs(entry: Entry | None, pid: int) -> bool:
    """Whether a supervisor says of a unit that it runs as this pid."""
    return (
        entry is not None
        and entry.process is not None
        and entry.process.pid == pid
        and entry.state in {EntryState.RUNNING, EntryState.STOPPING}
    )


def in_words(entry: Entry | None) -> str:
    """What a supervisor says of a unit."""
    if entry is None:
        return "that it does not know it"
    return f"{entry.state}" + (f", pid {entry.process.pid}" if entry.process else ", no pid")


def _forgotten(forget: Callable[[str], None], name: str) -> str:
    """Take a unit out, as soon as the supervisor has seen its end; why that could not be done, "" if it was."""
    deadline = time.monotonic() + _END_WITHIN_S
    while True:
        try:
            forget(name)
        except RegistryError as error:
            if time.monotonic() >= deadline:
                return f"{name} ({error})"
            time.sleep(_LOOK_AGAIN_S)
        else:
            return ""
