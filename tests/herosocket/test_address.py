"""Where the sockets are, as the environment says."""

from __future__ import annotations

import os
import pwd

import pytest

from hero_livekit_units.herosocket.address import path_root, socket_path, sockets_folder

OWN_HOME = pwd.getpwuid(os.getuid()).pw_dir


@pytest.mark.parametrize(
    ("environment", "folder"),
    [
        pytest.param({"HOME": "/home/ada"}, "/home/ada/hero/var/sockets", id="home"),
        pytest.param({}, f"{OWN_HOME}/hero/var/sockets", id="nothing-set"),
        pytest.param({"HOME": ""}, f"{OWN_HOME}/hero/var/sockets", id="empty-home"),
        pytest.param({"HOME": "/home/ada", "PATH_ROOT": "/srv/hero"}, "/srv/hero/var/sockets", id="root"),
        pytest.param({"PATH_ROOT": "/srv/hero", "HERO_SOCKET_DIR": "/run/old"}, "/run/old", id="older-name"),
        pytest.param({"PATH_SOCKET": "/run/hero", "HERO_SOCKET_DIR": "/run/old"}, "/run/hero", id="both-names"),
        pytest.param({"PATH_SOCKET": "", "HERO_SOCKET_DIR": "/run/old"}, "/run/old", id="empty-is-not-set"),
    ],
)
def test_the_folder_of_sockets(environment: dict[str, str], folder: str) -> None:
    """The newer name wins over the older one, a socket folder over the root, the root over home."""
    assert folder == sockets_folder(environment)
    assert f"{folder}/hero_proc/rpc.sock" == socket_path("hero_proc", environment)


def test_the_root() -> None:
    """PATH_ROOT, else `hero` at home."""
    assert path_root({"PATH_ROOT": "/srv", "HOME": "/home/ada"}) == "/srv"
    assert path_root({"HOME": "/home/ada"}) == "/home/ada/hero"
