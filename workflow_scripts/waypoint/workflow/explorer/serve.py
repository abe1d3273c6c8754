"""A server of one experiment's folder on this machine alone, for the page in the browser."""

import http.server
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

ADDRESS, PORTS = "127.0.0.1", range(8642, 8652)  # the first that is free; after them whichever is
NAMES = (ADDRESS, "localhost")


class Handler(http.server.SimpleHTTPRequestHandler):
    """Answers only who asks for this machine by its own name, and never lists folders."""

    extensions_map = {**http.server.SimpleHTTPRequestHandler.extensions_map, ".webp": "image/webp"}

    def send_head(self):
        """Refuse other names: a page from elsewhere whose name leads here would read training images."""
        if urlsplit(f"//{self.headers.get('Host', '')}").hostname not in NAMES:
            self.send_error(403, "this server answers to 127.0.0.1 alone")
            return None
        return super().send_head()

    def list_directory(self, path):
        """No listing."""
        self.send_error(404, "nothing is listed here")

    def end_headers(self):
        """Add that pages elsewhere may not embed or read what is here."""
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("X-Frame-Options", "SAMEORIGIN")
        super().end_headers()

    def log_message(self, *words):
        """Say nothing."""


def server(folder: str | Path) -> http.server.ThreadingHTTPServer:
    """A server of a folder, not yet running, on the first free port of ``PORTS``."""
    handler = partial(Handler, directory=str(folder))
    for port in (*PORTS, 0):
        try:
            return http.server.ThreadingHTTPServer((ADDRESS, port), handler)
        except OSError:
            if port == 0:
                raise
    raise AssertionError("port 0 is always tried")


def address(running: http.server.ThreadingHTTPServer) -> str:
    """Where the page is."""
    return f"http://{ADDRESS}:{running.server_address[1]}/explorer/index.html"
