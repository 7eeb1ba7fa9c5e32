"""Where the Hero sockets are, by the environment. Free of imports: it is on the path of every `hlu status`."""

from __future__ import annotations

TYPE_CHECKING = False  # typing is slow to import
if TYPE_CHECKING:
    from collections.abc import Mapping

# The embedded hero_proc tells every process that it starts where it listens, as its socket may lie anywhere.
HERO_PROC_SOCKET = "HERO_PROC_SOCKET"


def path_root(environment: Mapping[str, str]) -> str:
    """The Hero root folder: PATH_ROOT, else `~/hero`."""
    return environment.get("PATH_ROOT") or f"{environment.get('HOME') or _home()}/hero"


def sockets_folder(environment: Mapping[str, str]) -> str:
    """The folder of all Hero sockets: PATH_SOCKET, HERO_SOCKET_DIR (its older name), else `var/sockets` of the root."""
    named = environment.get("PATH_SOCKET") or environment.get("HERO_SOCKET_DIR")
    return named or f"{path_root(environment)}/var/sockets"


def socket_path(service: str, environment: Mapping[str, str]) -> str:
    """The socket of a Hero service."""
    return f"{sockets_folder(environment)}/{service}/rpc.sock"


def _home() -> str:
    import os  # noqa: PLC0415  hardly ever needed
    import pwd  # noqa: PLC0415

    return pwd.getpwuid(os.getuid()).pw_dir
