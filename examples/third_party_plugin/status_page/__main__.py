"""`python -m status_page PAGE BIND PORT`: serve one page."""

from __future__ import annotations

import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Page(BaseHTTPRequestHandler):
    """Answers every path with the page."""

    page = b""

    def do_GET(self) -> None:
        """Send it."""
        self.send_response(200)
        self.send_header("content-type", "text/html; charset=utf-8")
        self.send_header("content-length", str(len(self.page)))
        self.end_headers()
        self.wfile.write(self.page)


def main(page: str, bind: str, port: str) -> None:
    """Serve until somebody ends it."""
    Page.page = Path(page).read_bytes()
    ThreadingHTTPServer((bind, int(port)), Page).serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
