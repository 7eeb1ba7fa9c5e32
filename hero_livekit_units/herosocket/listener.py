"""The socket file of a service and who owns it.

Owns: the lock file beside the socket, replacing a socket that nobody answers on, and binding so that at no moment
anybody but the user can connect. Must not know what is served.

The lock decides, not the socket file: whoever holds the lock of `<socket>.lock` is the service.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat

from hero_livekit_units.errors import DaemonError
from hero_livekit_units.flock import try_lock
from hero_livekit_units.herosocket.lockfile import busy, take_lock

LONGEST_PATH = 107  # sun_path has 108 bytes, one is the end of the string (unix(7))
_ANSWER_WAIT_S = 0.5
# Connecting to a Unix socket whose backlog is full is an error at once, not a wait: let many callers come at a time.
BACKLOG = 1024


class Listener:
    """A listening Unix socket, 0600, owned through its lock file."""

    def __init__(self, path: str, sock: socket.socket, lock_fd: int) -> None:
        self.path = path
        self.socket = sock
        self._lock_fd = lock_fd
        self._inode = _inode(path)

    def hand_over(self) -> tuple[int, int]:
        """Let the program that takes our place by exec have the socket and its lock: their descriptors, for `inherit`.

        The socket is never closed, so whoever connects meanwhile waits for the next one.
        """
        for descriptor in (self.socket.fileno(), self._lock_fd):
            os.set_inheritable(descriptor, True)  # noqa: FBT003
        return self.socket.fileno(), self._lock_fd

    def close(self) -> None:
        """Remove the socket file if it is still ours, then let go of the lock."""
        if self._inode is not None and _inode(self.path) == self._inode:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path)  # noqa: PTH108  a path as it was given, not a Path
        self.socket.close()
        if self._lock_fd >= 0:
            os.close(self._lock_fd)
            self._lock_fd = -1


def listen(path: str) -> Listener:
    """Become the owner of a socket and listen on it.

    Call it before threads are started: the umask belongs to the whole process.

    Args:
        path: of the socket; its folder is made, 0700, if it is not there.

    Raises:
        SocketBusy: another process is the owner, or answers on the socket.
        DaemonError: the path is too long, not a socket, or cannot be written.
    """
    length = len(os.fsencode(path))
    if length > LONGEST_PATH:
        raise DaemonError(
            f"cannot listen on {path}: the path has {length} bytes, a Unix socket takes {LONGEST_PATH}",
            hint="choose a shorter folder with PATH_SOCKET",
        )
    try:
        _make_folder(os.path.dirname(os.path.abspath(path)))  # noqa: PTH100, PTH120  as above
        lock_fd = take_lock(f"{path}.lock", f"listen on {path}")
    except OSError as error:
        raise DaemonError(f"cannot listen on {path}: {error.strerror or error}") from error
    try:
        _clear_stale(path)
        return Listener(path, _bind(path), lock_fd)
    except OSError as error:
        os.close(lock_fd)
        raise DaemonError(f"cannot listen on {path}: {error.strerror or error}") from error
    except BaseException:
        os.close(lock_fd)
        raise


def inherit(path: str, socket_fd: int, lock_fd: int) -> Listener:
    """The listener that this process had before its exec.

    Raises:
        DaemonError: the descriptors are not that socket and its lock.
    """
    try:
        sock = socket.socket(fileno=socket_fd)
        same = sock.family == socket.AF_UNIX and sock.getsockname() == path
        if same and os.path.samestat(os.fstat(lock_fd), os.stat(f"{path}.lock")) and try_lock(lock_fd):  # noqa: PTH116
            sock.setblocking(False)  # noqa: FBT003
            return Listener(path, sock, lock_fd)
        sock.detach()
    except OSError as error:
        raise DaemonError(f"cannot go on listening on {path}: {error.strerror or error}") from error
    raise DaemonError(f"cannot go on listening on {path}: what was handed over is another socket or lock")


def _make_folder(folder: str) -> None:
    """Make the folder and what is missing above it. One that exists keeps its mode: others may share it."""
    if os.path.isdir(folder):  # noqa: PTH112
        return
    os.makedirs(folder, mode=0o700, exist_ok=True)  # noqa: PTH103
    os.chmod(folder, 0o700)  # noqa: PTH101  the umask may have taken more


def _clear_stale(path: str) -> None:
    """Remove a socket file on which nobody answers. Only for the holder of the lock.

    Raises:
        SocketBusy: somebody answers although the lock is ours, so it is a program that knows no lock.
        DaemonError: what stands there is not a socket.
    """
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise DaemonError(f"cannot listen on {path}: a file that is not a socket stands there", hint="move it away")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_ANSWER_WAIT_S)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)  # noqa: PTH108
            return
        except FileNotFoundError:
            return
        except TimeoutError:
            pass  # a full backlog: somebody listens, however slowly
        except OSError as error:
            if error.errno != errno.EAGAIN:
                raise
        raise busy(f"listen on {path}", _peer(probe))


def _peer(connection: socket.socket) -> int:
    try:
        return int.from_bytes(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)[:4], "little")
    except OSError:
        return 0


def _bind(path: str) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # bind() creates the file with the umask applied, so it is 0600 from its first moment.
        before = os.umask(0o177)
        try:
            sock.bind(path)
        finally:
            os.umask(before)
        sock.listen(BACKLOG)
        sock.setblocking(False)  # noqa: FBT003
    except BaseException:
        sock.close()
        raise
    return sock


def _inode(path: str) -> tuple[int, int] | None:
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino
