"""A real HTTP server on this machine that serves files well or badly, as a test asks."""

from __future__ import annotations

import hashlib
import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

OLD = "Mon, 01 Jan 2024 00:00:00 GMT"


@dataclass
class Served:
    """A file of the server, and how it is served.

    Attributes:
        data: its bytes.
        etag, modified: what the server says of its version; None to say nothing.
        ranges: requests for a part get that part.
        break_after: bytes after which the connection ends, in each answer as long as the list lasts.
        stall_after: bytes after which nothing comes any more, likewise.
        statuses: answers before the first good one: status, headers, body.
        headers: further headers of good answers.
        length: the Content-Length of whole answers, in place of the true one; "" for none.
        shift: how far the parts are from those that were asked for.
        next: what is served under the same name after the first answer.
        trickle_s: seconds between bytes, one at a time.
        chunked: send whole answers in chunks.
        endless: send bytes of this part of an answer for ever, one every hundredth of a second: "head" a header line,
            "status" the first line, "chunk" the length of a chunk.
    """

    data: bytes
    etag: str | None = None
    modified: str | None = None
    ranges: bool = True
    break_after: list[int] = field(default_factory=list)
    stall_after: list[int] = field(default_factory=list)
    statuses: list[tuple[int, dict[str, str], bytes]] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    length: str | None = None
    shift: int = 0
    next: Served | None = None
    trickle_s: float = 0
    chunked: bool = False
    endless: str = ""


class Server(ThreadingHTTPServer):
    """The server.

    Attributes:
        files: by path, as "/a.zip"; without query.
        asked: path, Range header and status of every answer.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, Served | Callable[[str], Served]] = {}
        self.asked: list[tuple[str, str | None, int]] = []
        self.ended = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request: object, client_address: object) -> None:
        """The client may go away at any time."""

    def serve(self, path: str, data: bytes, **how: object) -> Served:
        """Serve a file with a good ETag, unless `how` says otherwise."""
        served = Served(data, **{"etag": f'"{hashlib.sha256(data).hexdigest()[:16]}"', **how})  # type: ignore[arg-type]
        self.files[path] = served
        return served


@contextmanager
def running_server() -> Iterator[Server]:
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.ended.set()
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Print nothing."""

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        entry = self.server.files.get(path)
        served = entry(self.path) if callable(entry) else entry
        if served is None:
            self._answer(404, {}, b"no such file")
        elif served.endless:
            self._endless(served)
        elif served.statuses:
            self._answer(*served.statuses.pop(0))
        else:
            if served.next is not None:
                self.server.files[path] = served.next
            self._file(served)
        self.close_connection = True

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.server.asked.append((self.path, self.headers.get("Range"), status))
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), "Connection": "close", **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _endless(self, served: Served) -> None:
        self.server.asked.append((self.path, self.headers.get("Range"), 200))
        begin = {
            "status": b"HTTP/1.1 200 ",
            "head": b"HTTP/1.1 200 OK\r\nX-Padding: ",
            "chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nPK\x03\x04!\r\n",
        }
        self.wfile.write(begin[served.endless])
        while not self.server.ended.wait(0.01):
            self.wfile.write(b"0")
            self.wfile.flush()

    def _file(self, served: Served) -> None:
        data, status, headers = served.data, 200, dict(served.headers)
        if served.etag:
            headers["ETag"] = served.etag
        if served.modified:
            headers["Last-Modified"] = served.modified
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
        condition = self.headers.get("If-Range")
        if wanted and served.ranges and condition in (None, served.etag, served.modified):
            first = int(wanted[1]) + served.shift
            if first >= len(data):
                self._answer(416, {"Content-Range": f"bytes */{len(data)}"}, b"")
                return
            headers["Content-Range"] = f"bytes {first}-{len(data) - 1}/{len(data)}"
            data, status = data[first:], 206
        length = str(len(data)) if served.length is None or status == 206 else served.length
        if served.chunked and status == 200:
            headers["Transfer-Encoding"] = "chunked"
        elif length:
            headers["Content-Length"] = length
        self.server.asked.append((self.path, self.headers.get("Range"), status))
        self.send_response(status)
        for name, value in {"Connection": "close", **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self._body(served, data, chunked=served.chunked and status == 200)

    def _body(self, served: Served, data: bytes, *, chunked: bool) -> None:
        end = served.break_after.pop(0) if served.break_after else None
        stall = served.stall_after.pop(0) if served.stall_after else None
        cut = min(value for value in (end, stall, len(data)) if value is not None)
        body = data[:cut]
        if served.trickle_s:
            for number in range(len(body)):
                self.wfile.write(body[number : number + 1])
                self.wfile.flush()
                if self.server.ended.wait(served.trickle_s):
                    return
        elif chunked:
            for start in range(0, len(body), 5000):
                block = body[start : start + 5000]
                self.wfile.write(b"%x\r\n%s\r\n" % (len(block), block))
            if end is None:
                self.wfile.write(b"0\r\n\r\n")
        else:
            self.wfile.write(body)
        self.wfile.flush()
        if stall is not None:
            self.server.ended.wait(30)
        elif end is not None:
            self.connection.shutdown(socket.SHUT_RDWR)
