"""How it used to be, in small, so that the difference can be heard: a control plane that owns the media server.

It starts livekit-server as its own child and in its own process group, and knows of it by the handle in its memory
alone. Three faults follow from that:

- a new control plane has no handle, so it says "stopped" of a server with calls on it, and starts another;
- a supervisor that restarts the control plane signals its whole process group, the media server included;
- the control plane then stops its child as well: a second SIGTERM, upon which livekit-server sends everybody away for
  good, so that not even a new server brings them back.

    legacy_control_plane.py LIVEKIT_SERVER CONFIG    one JSON line per event; ends on SIGTERM

Do not run it in earnest; `hlu plane` does the same work and can be killed at any time.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys


def main(program: str, config: str) -> int:
    """Start the server, and stop it when told to stop."""
    livekit: subprocess.Popen[bytes] | None = None  # the only knowledge of it: gone when this process is gone
    tell(status="running" if livekit else "stopped", because="no handle")
    livekit = subprocess.Popen([program, "--config", config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    tell(status="running", pid=livekit.pid)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        livekit.wait()
        tell(status="stopped", because=f"exit status {livekit.returncode}")
    finally:
        livekit.terminate()
        livekit.wait()
    return 1


def tell(**event: object) -> None:
    """One line for whoever watches."""
    print(json.dumps(event), flush=True)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
