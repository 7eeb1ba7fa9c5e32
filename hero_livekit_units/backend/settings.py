"""What the backend must be told: the names, defaults and checks of its settings.

Owns the reading of the environment and of the file of `KEY=VALUE` lines. Must not know what the settings are used for.
No message holds a value: some of them are secrets, and a value in the wrong place may be one too.
"""

from __future__ import annotations

import ipaddress
import os
import re
import stat
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from attrs import field, frozen

from hero_livekit_units.errors import DaemonError

if TYPE_CHECKING:
    from collections.abc import Mapping

MIN_SECRET_CHARACTERS = 32
MAX_ENV_FILE_BYTES = 64 * 1024

_REQUIRED = ("LIVEKIT_API_KEY", "LIVEKIT_API_SECRET", "SQLITE_PATH", "BACKEND_SECRET")
_OPTIONAL = ("OLD_BACKEND_SECRET", "LIVEKIT_URL", "ROUTES_FILE", "GATE_FILE")
_DEFAULTS = {"PORT": "8080", "BIND": "127.0.0.1", "TOKEN_TTL_S": str(6 * 60 * 60)}
_BEARERS = ("BACKEND_SECRET", "OLD_BACKEND_SECRET")
_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


@frozen
class Settings:
    """Everything that one backend process needs to know.

    Attributes:
        api_key: LIVEKIT_API_KEY, the issuer of the tokens.
        api_secret: LIVEKIT_API_SECRET, signs them.
        backend_secret: BACKEND_SECRET, which callers must show.
        livekit_url: LIVEKIT_URL, ws:// or wss://, handed to clients with each token; "" where a file says it.
        sqlite_path: SQLITE_PATH, where it is kept what was issued.
        bind: BIND, the address to listen on.
        port: PORT, 0 to let the kernel choose one (the log then says which).
        old_backend_secret: OLD_BACKEND_SECRET, which callers may show as well while a rotation lasts; "" for none.
        token_ttl_s: TOKEN_TTL_S, for how long a token is good.
        routes_file: ROUTES_FILE, where it stands which address is handed out; None where it is always the same.
        gate_file: GATE_FILE, where it stands that nobody may join for a moment; None where nobody shuts that gate.
    """

    api_key: str
    api_secret: str = field(repr=False)
    backend_secret: str = field(repr=False)
    livekit_url: str
    sqlite_path: Path
    bind: str
    port: int
    old_backend_secret: str = field(default="", repr=False)
    token_ttl_s: int = 6 * 60 * 60
    routes_file: Path | None = None
    gate_file: Path | None = None


def read_settings(environment: Mapping[str, str], from_file: Mapping[str, str]) -> Settings:
    """Check all settings and put them together.

    Args:
        environment: the process's own variables, which win. An empty one counts as not set.
        from_file: those of the file, `{}` for none.

    Raises:
        DaemonError: something is missing or wrong; the message names all of it at once.
    """
    known = _DEFAULTS | {
        name: value
        for source in (from_file, environment)
        for name, value in source.items()
        if name in {*_REQUIRED, *_OPTIONAL, *_DEFAULTS} and value
    }
    problems = _problems(known)
    if problems:
        raise DaemonError(
            "cannot start lk-backend: " + "; ".join(problems),
            hint="settings come from the environment or from the file named by --env-file",
        )
    return Settings(
        api_key=known["LIVEKIT_API_KEY"],
        api_secret=known["LIVEKIT_API_SECRET"],
        backend_secret=known["BACKEND_SECRET"],
        livekit_url=known.get("LIVEKIT_URL", ""),
        sqlite_path=Path(known["SQLITE_PATH"]),
        bind=known["BIND"],
        port=int(known["PORT"]),
        old_backend_secret=known.get("OLD_BACKEND_SECRET", ""),
        token_ttl_s=int(known["TOKEN_TTL_S"]),
        routes_file=Path(known["ROUTES_FILE"]) if "ROUTES_FILE" in known else None,
        gate_file=Path(known["GATE_FILE"]) if "GATE_FILE" in known else None,
    )


def read_env_file(path: Path) -> dict[str, str]:
    """Read a file of `KEY=VALUE` lines; empty lines and lines that begin with `#` do not count.

    Values stand as they are, without quotes, up to the end of the line; white space around them is dropped.

    Raises:
        DaemonError: the file cannot be read, others than its owner may look into it, or a line is wrong.
    """
    values: dict[str, str] = {}
    for number, line in enumerate(private_text(path).split("\n"), start=1):
        content = line.strip()
        if not content or content.startswith("#"):
            continue
        key, equals, value = (part.strip() for part in content.partition("="))
        if not equals or not _KEY.fullmatch(key):
            raise _bad_line(path, number, "is not KEY=VALUE")
        if value[:1] in {'"', "'"}:
            raise _bad_line(path, number, "has a quoted value", hint="values stand without quotes")
        if key in values:
            raise _bad_line(path, number, f"sets {key} a second time")
        values[key] = value
    return values


def _problems(known: Mapping[str, str]) -> list[str]:
    problems: list[str] = []
    missing = [name for name in _REQUIRED if name not in known]
    if not {"LIVEKIT_URL", "ROUTES_FILE"} & known.keys():
        missing.append("LIVEKIT_URL or ROUTES_FILE")
    if missing:
        problems.append(f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not set")
    if {"LIVEKIT_URL", "ROUTES_FILE"} <= known.keys():
        problems.append("LIVEKIT_URL and ROUTES_FILE are both set, and would say two things")
    problems.extend(
        f"{name} has fewer than {MIN_SECRET_CHARACTERS} characters"
        for name in ("LIVEKIT_API_SECRET", *_BEARERS)
        if name in known and len(known[name]) < MIN_SECRET_CHARACTERS
    )
    problems.extend(
        f"{name} holds characters that cannot be printed"
        for name in (*_REQUIRED, *_OPTIONAL)
        if name in known and not known[name].isprintable()
    )
    # Callers send it in a header, which has no room for anything else.
    problems.extend(
        f"{name} holds something else than visible ASCII characters"
        for name in _BEARERS
        if not re.fullmatch(r"[!-~]*", known.get(name, ""))
    )
    if "LIVEKIT_URL" in known and not is_livekit_url(known["LIVEKIT_URL"]):
        problems.append("LIVEKIT_URL is not of the form ws://HOST:PORT or wss://HOST:PORT")
    if not re.fullmatch(r"[0-9]{1,5}", known["PORT"], re.ASCII) or int(known["PORT"]) > 65535:
        problems.append("PORT is not a number from 0 to 65535")
    if not re.fullmatch(r"[1-9][0-9]{0,9}", known["TOKEN_TTL_S"], re.ASCII):
        problems.append("TOKEN_TTL_S is not a time in whole seconds")
    if not _is_address(known["BIND"]):
        problems.append("BIND is not an IP address")
    return problems


def is_livekit_url(text: str) -> bool:
    """Whether a text is an address at which clients join."""
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError:
        return False
    plain = not (url.username or url.password or url.query or url.fragment)
    return url.scheme in {"ws", "wss"} and bool(url.hostname) and port != 0 and plain


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def private_text(path: Path) -> str:
    """The text of a file that its owner alone may read.

    Raises:
        DaemonError: it cannot be read, is no such file, is too large, or others may look into it.
    """
    try:
        # Without O_NONBLOCK a named pipe in the place of the file would block the start for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        cause = os.strerror(error.errno).lower() if error.errno else "it cannot be opened"
        raise DaemonError(
            f"cannot read {path}: {cause}",
            hint="--env-file must name a file of KEY=VALUE lines, ROUTES_FILE one of JSON",
        ) from error
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise DaemonError(f"cannot read {path}: it is not a regular file")
    with open(descriptor, "rb") as file:  # noqa: PTH123 - a descriptor, not a path
        if status.st_mode & 0o077:
            raise DaemonError(
                f"cannot read {path}: others than its owner have access to it (mode {status.st_mode & 0o777:04o})",
                hint=f"chmod 600 {path}",
            )
        content = file.read(MAX_ENV_FILE_BYTES + 1)
    if len(content) > MAX_ENV_FILE_BYTES:
        raise DaemonError(f"cannot read {path}: it is larger than {MAX_ENV_FILE_BYTES} bytes")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        # Chained errors of this kind hold the bytes themselves, secrets among them.
        raise DaemonError(f"cannot read {path}: it is not UTF-8 (byte {error.start})") from None


def _bad_line(path: Path, number: int, cause: str, *, hint: str = "write one KEY=VALUE a line") -> DaemonError:
    return DaemonError(f"cannot read {path}: line {number} {cause}", hint=hint)
