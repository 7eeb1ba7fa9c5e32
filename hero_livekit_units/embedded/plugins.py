"""The plugins of this hero_proc: loaded at each start by a process of its own, kept as text on the disk.

Owns: that process, the file with what it found, the services that plugins offer (*targets*). Must not import a plugin.

Nobody waits for the loading but those who ask for units, and they not for long. Where it fails as a whole, what the
last good load found stays, and `state` says so. What is found is read from the disk when somebody asks: it is asked for
seldom, and the daemon is meant to stay small.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import logging
import os
import shutil
import sqlite3
import subprocess
import time
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from attrs import evolve

from hero_livekit_units.embedded.children import Child, Ending
from hero_livekit_units.embedded.dependencies import check_actions
from hero_livekit_units.embedded.faults import Fault
from hero_livekit_units.embedded.spec import Wanted, parse_action, parse_service
from hero_livekit_units.embedded.strict import SpecInvalid

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hero_livekit_units.embedded.specs import Specs

WAIT_S = 3.0
LOAD_WITHIN_S = 120.0
_LARGEST = 32 * 1024 * 1024

_log = logging.getLogger(__name__)


class Loading(StrEnum):
    """How far it is: where it is not `loaded`, what is shown is what an earlier load found."""

    LOADING = "loading"
    LOADED = "loaded"
    FAILED = "failed"


class Plugins:
    """What the installed plugins contribute.

    Args:
        loader: prints it as lines of JSON, see `hero_livekit_units.loader`.
        folder: for the file with it.
        specs: where targets are registered.
        within_s: how long the loader may take.
    """

    def __init__(self, loader: Sequence[str], folder: str, specs: Specs, *, within_s: float = LOAD_WITHIN_S) -> None:
        self._loader = loader
        self._specs = specs
        self._within_s = within_s
        self._file = os.path.join(folder, "plugins.json")  # noqa: PTH118
        self._child: Child | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._state = Loading.LOADING
        self._error: str | None = None
        self._settled = asyncio.Event()

    # -- loading

    def start(self) -> None:
        """Begin to load. Does not raise: what goes wrong becomes the state."""
        fresh = f"{self._file}.new"
        try:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(fresh)  # noqa: PTH108  the loader of an earlier daemon may still write into it
            output = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                # A session of its own, to be ended as a whole: plugins may start what they like. Its environment is
                # ours, so that it finds the plugins that we would find.
                process = subprocess.Popen(
                    self._loader,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    start_new_session=True,
                    close_fds=False,
                )
            finally:
                os.close(output)
            self._child = Child.of(process)
        except OSError as error:
            self._fail(f"cannot start the loader: {error}")
            return
        loop = asyncio.get_running_loop()
        loop.add_reader(self._child.pidfd, self._ended)
        self._timer = loop.call_later(self._within_s, self._give_up)

    def close(self) -> None:
        """End a load that is still going on."""
        if self._child:
            self._child.signal(9, group=True)
            self._reap(self._child)

    def _give_up(self) -> None:
        if self._child:
            self._error = f"the loader took longer than {self._within_s:g} s"
            self._child.signal(9, group=True)

    def _ended(self) -> None:
        if self._child is None:
            return
        ending = self._reap(self._child)
        if ending == Ending(exit_code=0):
            self._take()
        else:
            self._fail(self._error or f"the loader did not succeed: {ending.says}")

    def _reap(self, child: Child) -> Ending:
        asyncio.get_running_loop().remove_reader(child.pidfd)
        if self._timer:
            self._timer.cancel()
        self._child = None
        ending = child.reap(kill_group=True)
        child.close()
        return ending

    def _take(self) -> None:
        """Take over what the loader found: register the targets, then put the file in its place."""
        try:
            found = _read(f"{self._file}.new")
            for plugin in found["plugins"]:
                self._welcome(plugin)
            found["loaded_ms"] = time.time_ns() // 1_000_000
            self._keep(found)
        except (OSError, ValueError, KeyError, TypeError) as error:
            self._fail(f"what the loader said cannot be used: {type(error).__name__}: {error}")
            return
        self._state = Loading.LOADED
        self._settled.set()

    def _keep(self, found: dict[str, Any]) -> None:
        """Put the file in its place, with another first line and the definitions as they are."""
        fresh, whole = f"{self._file}.new", f"{self._file}.whole"
        with open(fresh, encoding="utf-8") as said, open(whole, "w", encoding="utf-8", opener=_private) as file:  # noqa: PTH123
            said.readline()
            file.write(f"{json.dumps(found)}\n")
            shutil.copyfileobj(said, file)
        os.replace(whole, self._file)  # noqa: PTH105
        os.unlink(fresh)  # noqa: PTH108

    def _fail(self, error: str) -> None:
        _log.warning("plugins are as they were loaded the last time: %s", error)
        self._state, self._error = Loading.FAILED, error
        self._settled.set()

    # -- targets

    def _welcome(self, plugin: dict[str, Any]) -> None:
        name, fault = plugin["name"], plugin["error"]
        if fault:
            _log.warning("plugin %s is broken: %s: %s", name, fault["type"], fault["text"])
        for target in plugin["targets"]:
            target["error"] = self._offer(name, target)
            if target["error"]:
                _log.warning("a target of plugin %s cannot be offered: %s", name, target["error"])
        plugin["targets"] = [
            {"name": target["service"]["name"], "error": target["error"]} for target in plugin["targets"]
        ]

    def _offer(self, plugin: str, target: dict[str, Any]) -> str | None:
        """Register a target where it is new or changed; why not, or None.

        The name of the plugin is the context, so that plugins do not meet. Whether the service is wanted stays as it
        is, and whatever runs goes on as it is.
        """
        try:
            service = parse_service(target["service"])
            actions = [parse_action(action) for action in target["actions"]]
            if {action.name for action in actions} != set(service.actions):
                return f"service {service.name} does not name exactly the actions that come with it"
            check_actions(actions)
            status = Wanted.STOP
            if self._specs.knows(service.name):
                stored = self._specs.service(service.name)
                if stored.context != plugin:
                    return f"service {service.name} is there already, and is not of this plugin"
                status = stored.spec.status
            for action in actions:
                self._specs.set_action(plugin, action, expected=None, checked=False)
            self._specs.set_service(plugin, evolve(service, status=status), expected=None, checked=False)
        except (SpecInvalid, Fault) as error:
            return str(error)
        except sqlite3.Error as error:
            return f"it cannot be stored: {error}"
        return None

    # -- asking

    async def settled(self) -> None:
        """Wait until the load has ended, but for WAIT_S at most."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(WAIT_S):
                await self._settled.wait()

    async def contributed(self) -> dict[str, Any]:
        """What the last good load found, once this load has `settled`: "plugins", "units", "loaded_ms"."""
        await self.settled()
        try:
            return _read(self._file)
        except FileNotFoundError:
            pass
        except (OSError, ValueError) as error:
            if self._state is Loading.LOADED:
                self._fail(f"cannot read {self._file}: {error}")
        return {"plugins": [], "units": [], "loaded_ms": None}

    def definition(self, line: int) -> Any:
        """The definition in this line of what `contributed` has just given."""
        with open(self._file, encoding="utf-8") as file:  # noqa: PTH123
            return json.loads(next(itertools.islice(file, line, None)))

    def state(self) -> dict[str, Any]:
        """Whether this load has succeeded, and why not."""
        return {"state": self._state, "error": self._error}


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _read(path: str) -> dict[str, Any]:
    with open(path, encoding="utf-8") as file:  # noqa: PTH123
        text = file.readline(_LARGEST)
    found = json.loads(text)
    if not isinstance(found, dict) or not all(isinstance(found.get(key), list) for key in ("plugins", "units")):
        raise ValueError("it does not hold plugins and units")
    return found
