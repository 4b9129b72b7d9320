"""A stand-in for Google Drive, reached as the real one is: over HTTPS, by its host names, through a proxy.

`with DriveServer(folder) as drive:` starts a TLS server with a certificate for Drive's hosts and a proxy that leads
every connection to it; `drive.environment()` sends a process there.
"""

from __future__ import annotations

import contextlib
import json
import socket
import socketserver
import ssl
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

HOSTS = ("drive.google.com", "drive.usercontent.google.com", "docs.google.com", "accounts.google.com", "mirror.example")

# As Drive's own, each on one line.
CONFIRMATION = (
    "<!DOCTYPE html><html><head><title>Google Drive - Virus scan warning</title></head><body>"
    '<p class="uc-warning-caption">Google Drive can\'t scan this file for viruses.</p>'
    '<form id="download-form" action="https://drive.usercontent.google.com/download" method="get">'
    '<input type="submit" id="uc-download-link" value="Download anyway"/>'
    '<input type="hidden" name="id" value="{id}"><input type="hidden" name="export" value="download">'
    '<input type="hidden" name="confirm" value="t"><input type="hidden" name="uuid" value="0-1-2"></form></body></html>'
)
QUOTA = (
    "<!DOCTYPE html><html><head><title>Google Drive - Quota exceeded</title></head><body>"
    '<p class="uc-error-caption">Sorry, you can\'t view or download this file at this time.</p>'
    '<p class="uc-error-subcaption">Too many users have viewed or downloaded this file recently. Please try accessing '
    "the file again later.</p></body></html>"
)
LOGIN = (
    "<!DOCTYPE html><html><head><title>Sign in - Google Accounts</title></head><body>"
    '<form action="/signin"><input type="email" name="identifier"></form></body></html>'
)

Manner = Literal["direct", "confirm", "quota", "missing", "private", "login", "page"]


@dataclass
class DriveFile:
    """What is served under an id.

    Attributes:
        path: the content.
        manner: how the server behaves.
        breaks_after: bytes after which a connection is cut, one entry for each request that is to break.
        ranges: whether the server goes on in the middle of a file.
    """

    path: Path | None
    manner: Manner = "direct"
    breaks_after: list[int] = field(default_factory=list)
    ranges: bool = True


class DriveServer:
    """See the module."""

    def __init__(self, folder: Path) -> None:
        import trustme

        authority = trustme.CA()
        self.certificates = folder / "authority.pem"
        authority.cert_pem.write_to_path(self.certificates)
        self.files: dict[str, DriveFile] = {}
        self.requests: list[str] = []
        self.sent = 0
        server = self

        class Handler(_DriveHandler):
            drive = server

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(*HOSTS).configure_cert(context)
        self.http.socket = context.wrap_socket(self.http.socket, server_side=True)
        self.proxy = _Proxy(self.http.server_port)
        self.threads = [
            threading.Thread(target=one.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
            for one in (self.http, self.proxy)
        ]

    def environment(self) -> dict[str, str]:
        """Variables that lead a process here, and nowhere else."""
        proxy = f"http://127.0.0.1:{self.proxy.server_address[1]}"
        return {
            "HTTPS_PROXY": proxy,
            "https_proxy": proxy,
            "NO_PROXY": "",
            "no_proxy": "",
            "REQUESTS_CA_BUNDLE": str(self.certificates),
        }

    def __enter__(self) -> DriveServer:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for one in (self.proxy, self.http):
            one.shutdown()
            one.server_close()


class _DriveHandler(BaseHTTPRequestHandler):
    drive: DriveServer
    protocol_version = "HTTP/1.1"
    log_message = lambda *_: None  # noqa: E731  (silent)

    def do_GET(self) -> None:
        host = self.headers.get("Host", "").split(":")[0]
        address = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(address.query).items()}
        self.drive.requests.append(f"{host}{self.path} {self.headers.get('Range', '')}".strip())
        place = address.path.strip("/").removeprefix("file/d/").removesuffix("/view")
        file = self.drive.files.get(query.get("id", place))
        if host == "accounts.google.com":
            self._page(200, LOGIN)
        elif file is None or file.manner == "missing":
            self._page(404, "<html><head><title>Error 404 (Not Found)</title></head></html>")
        elif file.manner == "private":
            self._page(403, "<html><head><title>Error 403</title></head></html>")
        elif file.manner == "quota":
            self._page(200, QUOTA)
        elif file.manner == "login":
            self._redirect("https://accounts.google.com/v3/signin/identifier")
        elif file.manner == "page":
            self._page(200, LOGIN)
        elif host == "drive.google.com":
            where = f"https://drive.usercontent.google.com/download?id={query['id']}&export=download"
            self._redirect(where)
        elif file.manner == "confirm" and "confirm" not in query and host != "mirror.example":
            self._page(200, CONFIRMATION.format(id=query["id"]))
        else:
            self._content(file, query.get("id", "file"))

    def _redirect(self, where: str) -> None:
        self.send_response(303)
        self.send_header("Location", where)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _page(self, status: int, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _content(self, file: DriveFile, name: str) -> None:
        assert file.path is not None
        left = file.breaks_after.pop(0) if file.breaks_after else None  # before the other side goes on
        size, start = file.path.stat().st_size, 0
        given = self.headers.get("Range")
        if given and file.ranges:
            start = int(given.removeprefix("bytes=").split("-")[0])
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
        else:
            self.send_response(200)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Disposition", f'attachment; filename="{name}.pth"')
        self.send_header("Content-Length", str(size - start))
        self.send_header("ETag", json.dumps(str(size)))
        if file.ranges:
            self.send_header("Accept-Ranges", "bytes")
        self.end_headers()
        with file.path.open("rb") as content:
            content.seek(start)
            while block := content.read(1 << 16 if left is None else min(left, 1 << 16)):
                self.wfile.write(block)
                self.drive.sent += len(block)
                if left is not None:
                    left -= len(block)
                    if left <= 0:
                        break
        if left is not None:
            self.wfile.flush()
            self.connection.close()
            self.close_connection = True


class _Proxy(socketserver.ThreadingTCPServer):
    """`CONNECT anything` leads to one port of this machine."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, port: int) -> None:
        self.port = port
        super().__init__(("127.0.0.1", 0), _ProxyHandler)


class _ProxyHandler(socketserver.BaseRequestHandler):
    server: Any

    def handle(self) -> None:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += self.request.recv(1)
        with socket.create_connection(("127.0.0.1", self.server.port)) as other:
            self.request.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=_pour, args=(other, self.request), daemon=True)
            back.start()
            _pour(self.request, other)
            back.join()


def _pour(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while block := source.recv(1 << 16):
            target.sendall(block)
    for end in (source, target):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
