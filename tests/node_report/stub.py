"""An API server on loopback that answers as a test tells it, and keeps what it was asked."""

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cache_agent.node_api import ApiServer
from e2e.cluster.certificates import write_certificates


@dataclass
class Answer:
    """What comes back."""

    status: int = 200
    body: Any = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Stub:
    """The server.

    Attributes:
        answers: The next answers; 200 with an empty object when there is none left.
        requests: Method, path, headers and body of what was asked.
        server: What a program asks it with.
    """

    server: ApiServer
    answers: list[Answer] = field(default_factory=list)
    requests: list[tuple[str, str, dict[str, str], Any]] = field(default_factory=list)

    def write_token(self, token: str) -> None:
        """Replace the mounted token, as the kubelet does."""
        (self.server.credentials / "token").write_text(token)


@contextmanager
def serve(folder: Path) -> Iterator[Stub]:
    """Serve while the block runs, with certificates and credentials in a folder."""
    write_certificates(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.crt", folder / "server.key")
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    # The handshake is left to the thread of the connection, so that a failed one stops nothing else.
    httpd.socket = context.wrap_socket(httpd.socket, server_side=True, do_handshake_on_connect=False)
    stub = Stub(ApiServer("127.0.0.1", httpd.server_address[1], folder))
    httpd.stub = stub  # type: ignore[attr-defined]
    stub.write_token("first\n")
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield stub
    finally:
        httpd.shutdown()
        httpd.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    def handle(self) -> None:
        try:
            super().handle()
        except (ssl.SSLError, ConnectionError):
            # A client that does not trust the certificate went away.
            self.close_connection = True

    def _answer(self) -> None:
        stub: Stub = self.server.stub  # type: ignore[attr-defined]
        text = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        stub.requests.append((self.command, self.path, dict(self.headers), json.loads(text) if text else None))
        answer = stub.answers.pop(0) if stub.answers else Answer()
        content = answer.body.encode() if isinstance(answer.body, str) else json.dumps(answer.body).encode()
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_PATCH = _answer  # noqa: N815 - names that http.server looks up

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as http.server names it
        """Keep the tests' output free of requests."""
