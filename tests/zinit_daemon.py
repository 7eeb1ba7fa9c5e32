"""A real zinit with a `/run` of its own; that takes root."""

from __future__ import annotations

import shlex
import subprocess
import time
from typing import TYPE_CHECKING, Any

from hero_livekit_units.registry.zinit_client import ZinitClient, speaks_zinit
from tests.servers import zinit_server

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_DEADLINE_S = 20.0


class ZinitDaemon:
    """Lives in a folder, on a socket. It may be killed and started again.

    environment: that it is given.
    """

    def __init__(self, folder: Path, socket: Path, environment: Mapping[str, str]) -> None:
        self._folder = folder
        self._socket = socket
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Of the one that was started last."""
        assert self._process is not None
        return self._process.pid

    @property
    def lives(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it, or its next life, and wait until it answers."""
        # Its state of a planned restart lies in /run/zinit, whoever runs it: no other zinit may find this one's.
        run, config, log = self._folder / "run", self._folder / "zinit", self._folder / "zinit.log"
        for folder in (run, config, self._socket.parent):
            folder.mkdir(parents=True, exist_ok=True)
        daemon = shlex.join([str(zinit_server()), "-c", str(config), "-s", str(self._socket)])
        script = f"mount --bind {shlex.quote(str(run))} /run && exec {daemon}"
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                ["unshare", "-m", "sh", "-c", script],
                env=dict(self._environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        until = time.monotonic() + _DEADLINE_S
        while not speaks_zinit(str(self._socket)):
            assert self._process.poll() is None, log.read_text()
            assert time.monotonic() < until, "zinit does not answer"
            time.sleep(0.005)

    def kill(self) -> None:
        """`kill -9`."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def call(self, method: str, **params: Any) -> Any:
        """Ask it itself."""
        return ZinitClient(str(self._socket), deadline_s=5.0).call(method, params)

    def end(self) -> None:
        """Have it stop what it has, and end."""
        if not self.lives:
            self.start()
        assert self._process is not None
        self.call("system.shutdown")
        self._process.wait(timeout=_DEADLINE_S)
