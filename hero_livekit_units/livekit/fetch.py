"""Downloads over HTTP: bounded in time and size, never from https to http, complete or not at all.

Knows nothing of what the files are. `requests` and its exceptions end here.
"""

from __future__ import annotations

import hashlib
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit, urlunsplit

import requests
from urllib3.exceptions import IncompleteRead

from hero_livekit_units.livekit.roads import RoadClosed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hero_livekit_units.livekit.progress import Reporter
    from hero_livekit_units.livekit.roads import Limits

_MOST_REDIRECTS = 5
_PIECE_BYTES = 256 * 1024
_TEXT_BYTES = 1024**2
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}


def fetch(url: str, target: Path, *, limits: Limits, reporter: Reporter) -> str:
    """Download a file.

    Returns:
        Its SHA-256, hex.

    Raises:
        RoadClosed: it cannot be had whole.
        OSError: it cannot be written.
    """
    digest = hashlib.sha256()
    with target.open("xb") as file:
        for piece, done, total in _pieces(url, limits, limits.download_bytes):
            digest.update(piece)
            file.write(piece)
            reporter.progress(done, total, "")
    return digest.hexdigest()


def fetch_text(url: str, *, limits: Limits) -> str:
    """Download a small text, one mebibyte at most.

    Raises:
        RoadClosed: it cannot be had whole.
    """
    body = b"".join(piece for piece, _, _ in _pieces(url, limits, _TEXT_BYTES))
    return body.decode(errors="replace")


def next_url(current: str, location: str) -> str:
    """Where a redirect leads.

    Raises:
        RoadClosed: to something that is not https; plain http is for servers on this machine that were asked for by
            plain http.
    """
    try:
        target = urljoin(current, location)
    except ValueError as error:
        raise RoadClosed(f"{shown(current)} redirects to what is no address") from error
    check_address(target)
    if urlsplit(current).scheme == "https" and urlsplit(target).scheme != "https":
        raise RoadClosed(f"{shown(current)} redirects from https to {shown(target)}")
    return target


def check_address(url: str) -> None:
    """Let only https pass, and http to this machine.

    Raises:
        RoadClosed: anything else.
    """
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError as error:
        raise RoadClosed("not an address") from error
    if not host or not (parts.scheme == "https" or (parts.scheme == "http" and host in _LOOPBACK)):
        raise RoadClosed(f"{shown(url)} is not an https address")


def shown(url: str) -> str:
    """An address as it may be told: without user, password, query and fragment, which can hold secrets."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "the address"
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _pieces(url: str, limits: Limits, most_bytes: int) -> Iterator[tuple[bytes, int, int | None]]:
    """Pieces of a body, each with the bytes so far and in all. Ends normally only when the body is complete."""
    deadline_s = time.monotonic() + limits.download_s
    done = 0
    total: int | None = None
    try:
        with _answer(url, limits) as response:
            total = _length(response)
            if total is not None and total > most_bytes:
                raise RoadClosed(f"{shown(url)} has {total} bytes, more than the {most_bytes} allowed")
            for piece in response.iter_content(_PIECE_BYTES):
                done += len(piece)
                if done > most_bytes:
                    raise RoadClosed(f"{shown(url)} has more than the {most_bytes} bytes allowed")
                if time.monotonic() > deadline_s:
                    raise RoadClosed(f"{shown(url)} took longer than {limits.download_s:g} s")
                yield piece, done, total
    except requests.RequestException as error:
        raise RoadClosed(f"{shown(url)}{_cause(error)}") from error
    if total is not None and done != total:
        raise RoadClosed(f"{shown(url)} ended after {done} of {total} bytes")


class _Session(requests.Session):
    def get_redirect_target(self, resp: requests.Response) -> str | None:  # noqa: ARG002 - the library's signature
        """Nowhere: left to itself, the library reads the whole body of a redirect, and follows where it should not."""
        return None


@contextmanager
def _answer(url: str, limits: Limits) -> Iterator[requests.Response]:
    check_address(url)
    with _Session() as session:
        # An encoded body would have another length and another hash than the file.
        session.headers["Accept-Encoding"] = "identity"
        for _ in range(_MOST_REDIRECTS + 1):
            with session.get(
                url, stream=True, allow_redirects=False, timeout=(limits.connect_s, limits.read_s)
            ) as response:
                if response.is_redirect:
                    url = next_url(url, response.headers["location"])
                    continue
                if response.status_code != requests.codes.ok:
                    raise RoadClosed(f"{shown(url)}: HTTP {response.status_code} {response.reason}".rstrip())
                yield response
                return
        raise RoadClosed(f"{shown(url)}: more than {_MOST_REDIRECTS} redirects")


def _length(response: requests.Response) -> int | None:
    length = response.headers.get("Content-Length", "")
    return int(length) if length.isascii() and length.isdigit() else None


def _cause(error: BaseException) -> str:
    """The innermost cause: what the libraries wrap around it repeats the address, with all that is secret in it."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    if isinstance(error, IncompleteRead):
        return f" ended after {error.partial} of {error.partial + (error.expected or 0)} bytes"
    return f": {str(error) or type(error).__name__}"
