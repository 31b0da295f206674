# SPDX-License-Identifier: Apache-2.0
"""The page on this machine: an HTTP server that only programs here can reach, and that only pages of its own may read.

It listens on 127.0.0.1. A web page elsewhere that makes the browser ask this server is refused: by its Host header
where its name was pointed at this machine, by Sec-Fetch-Site and Cross-Origin-Resource-Policy where it asks directly.
"""

from __future__ import annotations

import re
import sys
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from lerobot_ambient.integration.viewing.page_files import ASSETS, asset, json_text
from lerobot_ambient.integration.viewing.pictures import Pictures
from lerobot_ambient.integration.viewing.shown import View

LOOPBACK = "127.0.0.1"
_HOSTS = ("127.0.0.1", "localhost", "[::1]")
"""By whatever port: one may be forwarded through ssh."""
_NUMBER = r"(\d{1,9})"
_EPISODE = re.compile(rf"/data/episode-{_NUMBER}-{_NUMBER}\.json")
_FRAME = re.compile(rf"/frames/{_NUMBER}-{_NUMBER}-{_NUMBER}-{_NUMBER}\.jpg")
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)


class ViewServer(ThreadingHTTPServer):
    """Serves a view; `serve_forever` until it is shut down.

    Args:
        view: what is shown.
        port: to listen on; 0 takes a free one.

    Raises:
        ValueError: the port is taken.
    """

    daemon_threads = True

    def __init__(self, view: View, port: int = 0) -> None:
        self.view, self.pictures = view, Pictures(view)
        self.index = json_text(view.index()).encode()
        try:
            super().__init__((LOOPBACK, port), _Handler)
        except OSError as error:
            raise ValueError(f"--port={port}: {error.strerror or error}; leave it out to take a free one.") from error

    @property
    def url(self) -> str:
        """Of the page."""
        return f"http://{LOOPBACK}:{self.server_address[1]}/"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that hangs up is no error."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: ViewServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        host = self.headers.get("Host", "")
        if re.sub(r":\d+$", "", host.lower()) not in _HOSTS:
            return self._say(HTTPStatus.FORBIDDEN, f"this server is not called '{host}'; ask {self.server.url}")
        if self.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
            return self._say(HTTPStatus.FORBIDDEN, "another page may not read this one's data")
        path = urlsplit(self.path).path
        if path == "/":
            return self._answer(asset("view.html"), "text/html; charset=utf-8")
        if path[1:] in ASSETS:
            return self._answer(asset(path[1:]), ASSETS[path[1:]])
        if path == "/favicon.ico":
            return self._answer(b"", "image/x-icon", HTTPStatus.NO_CONTENT)
        if path == "/data/index.json":
            return self._answer(self.server.index, "application/json")
        if match := _EPISODE.fullmatch(path):
            return self._episode(*map(int, match.groups()))
        if match := _FRAME.fullmatch(path):
            return self._frame(*map(int, match.groups()))
        return self._say(HTTPStatus.NOT_FOUND, "there is no such page")

    def _episode(self, dataset: int, number: int) -> None:
        one = self.server.view.find(dataset, number)
        if one is None:
            return self._say(HTTPStatus.NOT_FOUND, f"episode {number} of dataset {dataset} is not looked at")
        return self._answer(json_text(self.server.view.episode(one)).encode(), "application/json")

    def _frame(self, dataset: int, number: int, frame: int, camera: int) -> None:
        view = self.server.view
        one = view.find(dataset, number)
        if one is None or camera >= len(view.cameras):
            return self._say(HTTPStatus.NOT_FOUND, "there is no such frame")
        try:
            content = self.server.pictures.jpeg(one, frame, view.cameras[camera])
        except (ValueError, OSError) as error:
            return self._say(HTTPStatus.NOT_FOUND, str(error))
        return self._answer(content, "image/jpeg")

    def _answer(self, content: bytes, kind: str, status: HTTPStatus = HTTPStatus.OK) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Content-Security-Policy", _POLICY)
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("X-Content-Type-Options", "nosniff")
        # Another view may listen on the same port next.
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(content)

    def _say(self, status: HTTPStatus, text: str) -> None:
        self._answer(text.encode(), "text/plain; charset=utf-8", status)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: a player asks for a picture a frame."""
