"""A model hub on loopback: one repository at one commit, what a download asks for, and its troubles.

Everything that was asked and how many bytes were sent is on record, so that tests can tell a resumed file from one that
was fetched anew. As the real hub does, it redirects large files to the CDN, here under another host name, and small ones
to another path of its own. Nothing here waits for time to pass. It is set as proxy too, so that a request to any other
host is recorded instead of leaving the machine.
"""

import hashlib
import json
import socket
import ssl
import struct
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Final, Self
from urllib.parse import parse_qs, unquote, urlsplit

LARGE: Final = 1024 * 1024
"""Files of this size and more are large: kept outside git, named by their SHA-256, served by the CDN."""
LIST: Final = "list"
"""Stands for the list of files where troubles are told by path."""
_PIECE: Final = 256 * 1024


class Trouble(Enum):
    """What befalls a transfer at an offset."""

    HELD = "held until the client goes away"
    CUT = "closed as by a proxy that gave up"
    RESET = "reset as by a firewall that forgot the connection"


@dataclass
class Request:
    """One request: what was asked of whom, and how much of a body was sent; at is in seconds."""

    host: str
    path: str
    token: str
    start: int | None
    at: float
    status: int = 0
    sent: int = 0


@dataclass
class Hub:
    """The hub; a context manager that serves while it is open.

    Attributes:
        repository: The only repository, OWNER/NAME.
        revision: Its only commit.
        files: Content by path.
        token: Token without which the files are refused; empty where anyone may read.
        alias: Host name under which it is reached through itself as a proxy.
        page: Entries on one page of the list.
        ranges: Whether a part of a file can be asked for.
        cdn: URL to which large files are redirected; its own under another host name if it is empty.
        certificates: Folder with server.crt and server.key, where TLS is spoken.
        refusals: The next refusals: part of the path that is refused, status, headers.
        troubles: What befalls the next transfers of a file, by path, each at an offset of the file.
        shifts: Offsets at which the next parts of a file begin instead of where they were asked for, by path.
        substitutes: What the next transfers of a file send instead of its content, by path.
        requests: Everything that was asked, in order.
        held: Set as soon as a transfer is held.
    """

    repository: str
    revision: str
    files: Mapping[str, bytes]
    token: str = ""
    alias: str = ""
    page: int = 1000
    ranges: bool = True
    cdn: str = ""
    certificates: Path | None = None
    refusals: list[tuple[str, int, dict[str, str]]] = field(default_factory=list)
    troubles: dict[str, list[tuple[Trouble, int]]] = field(default_factory=dict)
    shifts: dict[str, list[int]] = field(default_factory=dict)
    substitutes: dict[str, list[bytes]] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    held: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._server = _Server(self)
        if self.certificates is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.certificates / "server.crt", self.certificates / "server.key")
            # The handshake is left to the thread of the connection, so that a failed one stops nothing else.
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def port(self) -> int:
        """The port on 127.0.0.1."""
        return self._server.server_address[1]

    @property
    def scheme(self) -> str:
        """What is spoken: http or https."""
        return "http" if self.certificates is None else "https"

    @property
    def environment(self) -> dict[str, str]:
        """Variables that make a process use this hub, and reach no other host."""
        url = f"http://127.0.0.1:{self.port}"
        endpoint = f"http://{self.alias}" if self.alias else f"{self.scheme}://127.0.0.1:{self.port}"
        return {"HF_ENDPOINT": endpoint, "HTTPS_PROXY": url, "http_proxy": url, "NO_PROXY": "127.0.0.1,localhost"}

    def list_transfers(self, path: str) -> list[Request]:
        """Return the requests for a file that were answered with content, in order."""
        ends = (f"/content/{path}", f"/cdn/{find_digest(self.files[path])}")
        return [item for item in self.requests if item.path.endswith(ends) and item.status in {200, 206}]

    def list_strangers(self) -> list[str]:
        """Return the hosts other than the hub that were asked for."""
        return [item.host for item in self.requests if item.host not in {"127.0.0.1", "localhost", self.alias}]


def find_digest(content: bytes) -> str:
    """Return the SHA-256 of a content."""
    return hashlib.sha256(content).hexdigest()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, hub: Hub) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.hub = hub

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: clients are killed on purpose."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, *_: object) -> None:
        """Write nothing; requests are on record."""

    def do_CONNECT(self) -> None:
        self._record = Request(self.path.partition(":")[0], "", "", None, time.monotonic())
        self.server.hub.requests.append(self._record)
        self._refuse(403, "no way out of the test")

    def do_GET(self) -> None:
        hub = self.server.hub
        url = urlsplit(self.path)
        host = url.hostname or self.headers["Host"].partition(":")[0]
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        asked = self.headers.get("Range")
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else None
        path = unquote(url.path)
        self._record = Request(host, path, token, start, time.monotonic())
        hub.requests.append(self._record)
        resolve, tree = (f"/{hub.repository}/resolve/", f"/api/models/{hub.repository}/tree/")
        refusal = next((item for item in hub.refusals if item[0] in path), None)
        if url.hostname and host != hub.alias:
            self._refuse(403, "no way out of the test")
        elif refusal:
            hub.refusals.remove(refusal)
            self._refuse(refusal[1], "in trouble", refusal[2])
        elif path.startswith("/cdn/"):
            self._transfer(next(name for name, content in hub.files.items() if path.endswith(find_digest(content))))
        elif hub.token and token not in {"", hub.token}:
            self._refuse(401, "Invalid credentials in Authorization header")
        elif path.startswith(tree):
            self._send_list(path.removeprefix(tree), int(parse_qs(url.query).get("cursor", ["0"])[0]))
        elif path.startswith(resolve):
            self._send_file(*path.removeprefix(resolve).split("/", 1))
        elif path.startswith("/content/") and token.startswith(hub.token):
            self._transfer(path.removeprefix("/content/"))
        else:
            self._refuse(404, "Repository not found")

    def _refuse(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        self._begin(status, {"X-Error-Message": message, "Content-Length": "0"} | dict(headers or {}))

    def _begin(self, status: int, headers: Mapping[str, str]) -> None:
        self._record.status = status
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def _send_list(self, revision: str, cursor: int) -> None:
        hub = self.server.hub
        if revision != hub.revision:
            self._refuse(404, f"Invalid rev id: {revision}")
            return
        entries = [{"type": "directory", "oid": "0" * 40, "size": 0, "path": "folder"}]
        entries += [_describe(path, content) for path, content in hub.files.items()]
        following = cursor + hub.page
        query = f"recursive=true&cursor={following}"
        link = f'<{hub.scheme}://{self.headers["Host"]}{urlsplit(self.path).path}?{query}>; rel="next"'
        text = json.dumps(entries[cursor:following]).encode()
        for substitute in hub.substitutes.get(LIST, [])[:1]:
            hub.substitutes[LIST].remove(substitute)
            text = substitute
        self._begin(200, {"Content-Length": str(len(text))} | ({"Link": link} if following < len(entries) else {}))
        if queue := hub.troubles.get(LIST):
            trouble, end = queue.pop(0)
            self.wfile.write(text[:end])
            self._break(trouble)
        else:
            self.wfile.write(text)

    def _send_file(self, revision: str, name: str) -> None:
        hub = self.server.hub
        if revision != hub.revision or name not in hub.files:
            self._refuse(404, "Entry not found")
        elif not self._record.token.startswith(hub.token):
            self._refuse(401, f"Access to model {hub.repository} is restricted. Please log in.")
        elif len(hub.files[name]) >= LARGE:
            address = hub.cdn or f"{hub.scheme}://localhost:{hub.port}/cdn/{find_digest(hub.files[name])}"
            self._begin(302, {"Location": address, "Content-Length": "0"})
        else:
            self._begin(307, {"Location": f"/content/{name}", "Content-Length": "0"})

    def _transfer(self, name: str) -> None:
        hub = self.server.hub
        substitutes = hub.substitutes.get(name)
        content = substitutes.pop(0) if substitutes else hub.files[name]
        start = (self._record.start if hub.ranges else None) or 0
        if start and (shifts := hub.shifts.get(name)):
            start = shifts.pop(0)
        headers = {"Content-Length": str(len(content) - start)}
        if start >= len(content) > 0:
            self._begin(416, {"Content-Range": f"bytes */{len(content)}", "Content-Length": "0"})
            return
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        self._begin(206 if start else 200, headers)
        queue = hub.troubles.get(name)
        trouble, end = queue.pop(0) if queue else (None, len(content))
        for offset in range(start, end, _PIECE):
            piece = content[offset : min(offset + _PIECE, end)]
            self.connection.sendall(piece)
            self._record.sent += len(piece)
        if trouble is not None:
            self._break(trouble)

    def _break(self, trouble: Trouble) -> None:
        self.close_connection = True
        if trouble is Trouble.HELD:
            self.server.hub.held.set()
            self.connection.recv(1)
        elif trouble is Trouble.RESET:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()


def _describe(path: str, content: bytes) -> dict[str, object]:
    # Large files are named by their SHA-256, and as a git blob by that of a pointer, which is not their content.
    blob = b"pointer" if len(content) >= LARGE else b"blob %d\0%b" % (len(content), content)
    entry: dict[str, object] = {
        "type": "file",
        "oid": hashlib.sha1(blob, usedforsecurity=False).hexdigest(),
        "size": len(content),
        "path": path,
    }
    if len(content) >= LARGE:
        entry["lfs"] = {"oid": find_digest(content), "size": len(content), "pointerSize": 134}
    return entry
