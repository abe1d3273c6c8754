"""A server of one experiment's folder for the page in the browser, reachable only from this machine."""

import http.server
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

ADDRESS, PORTS = "127.0.0.1", range(8642, 8652)  # the first free one is used, or else any free port
NAMES = (ADDRESS, "localhost")


class Handler(http.server.SimpleHTTPRequestHandler):
    """Answers only requests for this machine's own name, and never lists folders."""

    extensions_map = {**http.server.SimpleHTTPRequestHandler.extensions_map, ".webp": "image/webp"}

    def send_head(self):
        """Refuse other host names: a foreign page whose name resolves to this machine could read training images."""
        if urlsplit(f"//{self.headers.get('Host', '')}").hostname not in NAMES:
            self.send_error(403, "this server answers to 127.0.0.1 alone")
            return None
        return super().send_head()

    def list_directory(self, path):
        """Refuse to list a folder."""
        self.send_error(404, "nothing is listed here")

    def end_headers(self):
        """Add headers that keep pages of other origins from embedding or reading the files."""
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("X-Frame-Options", "SAMEORIGIN")
        super().end_headers()

    def log_message(self, *words):
        """Log nothing."""


def server(folder: str | Path) -> http.server.ThreadingHTTPServer:
    """Return a server of a folder, not yet running, on the first free port of ``PORTS`` or else any free port."""
    handler = partial(Handler, directory=str(folder))
    for port in (*PORTS, 0):
        try:
            return http.server.ThreadingHTTPServer((ADDRESS, port), handler)
        except OSError:
            if port == 0:
                raise
    raise AssertionError("port 0 is always tried")


def address(running: http.server.ThreadingHTTPServer) -> str:
    """Return the page's URL."""
    return f"http://{ADDRESS}:{running.server_address[1]}/explorer/index.html"
