"""How it used to be, in small, so that the difference can be heard: a control plane that owns the media server.

It starts livekit-server as its own child, in its own process group, and knows of it by the handle in its memory alone.
When a supervisor restarts it, three faults end every call:

- the supervisor signals the whole process group, the media server included, which begins to drain;
- the new control plane has no handle, so it says "stopped" of a server with people on it;
- it clears away what is left of the old one before it starts its own: a second SIGTERM, upon which livekit-server sends
  everybody away for good, so that not even the new server brings them back.

The old one cleared away by name; nothing of ours kills by name, so this one notes the pid.

    legacy_control_plane.py LIVEKIT_SERVER CONFIG    one JSON line per event; ends on SIGTERM

Do not run it in earnest; `hlu plane` does the same work and can be killed at any time.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from hero_livekit_units.model.observed import ProcessId
from hero_livekit_units.observe.kernel import is_alive, see_process


def main(program: str, config: str) -> int:
    """Clear away, start the server, and hold it until told to end."""
    livekit: subprocess.Popen[bytes] | None = None  # the only knowledge of it: gone when this process is gone
    tell(status="running" if livekit else "stopped", because="no handle")
    noted = Path(f"{config}.pid")
    clear_away(noted)
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    livekit = subprocess.Popen([program, "--config", config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    seen = see_process(livekit.pid)
    noted.write_text(f"{livekit.pid} {seen.id.start_time if seen else 0}")
    tell(status="running", pid=livekit.pid)
    livekit.wait()
    tell(status="stopped", because=f"exit status {livekit.returncode}")
    return 1


def clear_away(noted: Path) -> None:
    """End what an earlier control plane left, people or not."""
    if not noted.exists():
        return
    pid, start_time = map(int, noted.read_text().split())
    left = ProcessId(pid, start_time)
    if is_alive(left):
        tell(status="stopping", pid=pid)
        os.kill(pid, signal.SIGTERM)
    while is_alive(left):
        time.sleep(0.01)


def tell(**event: object) -> None:
    """One line for whoever watches."""
    print(json.dumps(event), flush=True)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
