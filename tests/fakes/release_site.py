"""A web server on this machine that hands out release files, and can misbehave on purpose: cut, stall, redirect."""

from __future__ import annotations

import io
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

from attrs import define, field

if TYPE_CHECKING:
    from types import TracebackType

_WAIT_S = 60.0


@define
class Page:
    """One answer.

    Attributes:
        body: what is sent.
        status: HTTP status.
        location: where a redirect leads.
        declared: the Content-Length that is promised; the length of the body by default, none where negative.
        gate: after the first byte of the body, wait until it is set.
    """

    body: bytes = b""
    status: int = 200
    location: str = ""
    declared: int | None = None
    gate: threading.Event | None = None


@define
class ReleaseSite:
    """Context manager; `pages` by path, `hits` lists the paths that were asked for."""

    pages: dict[str, Page] = field(factory=dict)
    hits: list[str] = field(factory=list)
    _server: ThreadingHTTPServer | None = None
    _thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site._answer(self)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name for it
                """Keep quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        # A client that was killed leaves a handler at its gate: it must not keep the test from ending.
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._server
        assert self._thread
        for page in self.pages.values():
            if page.gate:
                page.gate.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def address(self) -> str:
        """Such as `http://127.0.0.1:34567`."""
        assert self._server
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        self.hits.append(request.path)
        page = self.pages.get(request.path, Page(status=404))
        request.send_response(page.status)
        if page.location:
            request.send_header("Location", page.location)
        declared = len(page.body) if page.declared is None else page.declared
        if declared >= 0:
            request.send_header("Content-Length", str(declared))
        try:
            request.end_headers()
            request.wfile.write(page.body[:1])
            request.wfile.flush()
            if page.gate:
                page.gate.wait(_WAIT_S)
            request.wfile.write(page.body[1:])
        except OSError:
            request.close_connection = True  # the client is gone, as some tests want it


def packed(*members: tuple[str, bytes]) -> bytes:
    """A `.tar.gz` of regular files with exactly these names."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in members:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            entry.mode = 0o755
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()
