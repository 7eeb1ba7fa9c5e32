"""Where things lie, as the environment says."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest

from hero_livekit_units.herosocket.address import socket_path
from hero_livekit_units.places import Places, find_places

OWN_HOME = pwd.getpwuid(os.getuid()).pw_dir


@pytest.mark.parametrize(
    ("environment", "var", "sockets"),
    [
        pytest.param({"HOME": "/home/ada"}, "/home/ada/hero/var", "/home/ada/hero/var/sockets", id="home"),
        pytest.param({}, f"{OWN_HOME}/hero/var", f"{OWN_HOME}/hero/var/sockets", id="nothing-set"),
        pytest.param({"PATH_ROOT": "/srv/hero"}, "/srv/hero/var", "/srv/hero/var/sockets", id="root"),
        pytest.param({"PATH_ROOT": "/srv", "PATH_VAR": "/var/lib/x"}, "/var/lib/x", "/srv/var/sockets", id="var"),
        pytest.param({"PATH_ROOT": "/srv", "PATH_SOCKET": "/run/h"}, "/srv/var", "/run/h", id="socket"),
        pytest.param({"HOME": "/h", "HERO_SOCKET_DIR": "/run/o"}, "/h/hero/var", "/run/o", id="older-name"),
        pytest.param({"HOME": "/h", "PATH_VAR": "", "PATH_ROOT": ""}, "/h/hero/var", "/h/hero/var/sockets", id="empty"),
    ],
)
def test_places(environment: dict[str, str], var: str, sockets: str) -> None:
    """The order of the Hero conventions; the client of `hlu status` finds the same socket without this module."""
    places = find_places(environment)
    assert places == Places(Path(var, "hero_livekit"), Path(sockets), Path(var, "hero_proc"), Path(var, "zinit.sock"))
    assert places.settings_file == Path(var, "hero_livekit", "media.toml")
    assert str(places.socket("hero_livekit")) == socket_path("hero_livekit", environment)


def test_places_are_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative folder is meant from where the command was given; daemons run elsewhere."""
    monkeypatch.chdir(tmp_path)
    places = find_places({"PATH_ROOT": "here", "PATH_SOCKET": "socks"})
    assert places == Places(
        tmp_path / "here/var/hero_livekit",
        tmp_path / "socks",
        tmp_path / "here/var/hero_proc",
        tmp_path / "here/var/zinit.sock",
    )


def test_looking_makes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of this process is the default, and no folder is made."""
    monkeypatch.setenv("PATH_ROOT", str(tmp_path / "root"))
    for name in ("PATH_VAR", "PATH_SOCKET", "HERO_SOCKET_DIR"):
        monkeypatch.delenv(name, raising=False)
    assert find_places().home == tmp_path / "root" / "var" / "hero_livekit"
    assert list(tmp_path.iterdir()) == []


def test_one_interpreter_has_one_name(tmp_path: Path) -> None:
    """Whichever of its names a process was started by, launches have the same one in them."""
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    ask = "from hero_livekit_units.places import own_python; print(own_python())"
    names = [
        name for name in ("python", "python3", f"python3.{sys.version_info.minor}") if (venv / "bin" / name).exists()
    ]
    environment = {"PYTHONPATH": os.pathsep.join(sys.path)}
    found = {
        subprocess.run(
            [venv / "bin" / name, "-c", ask], env=environment, check=True, capture_output=True, text=True
        ).stdout
        for name in names
    }
    assert len(names) > 1
    assert found == {f"{venv / 'bin' / 'python3'}\n"}
