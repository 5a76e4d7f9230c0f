"""A stand-in for the API server on the loopback interface, for what a client makes of its answers."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import yaml

Query = Mapping[str, str]
Answer = tuple[int, Any]
DEPLOYMENTS = "/apis/inferencecache.io/v1alpha1/namespaces/team/inferencecachedeployments"


class ApiServer:
    """Answers GET requests from a table; everything else is not found.

    Attributes:
        answers: Status and body by path; a function gets the query.
        seen: Methods and paths of all requests.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.answers: dict[str, Answer | Callable[[Query], Answer]] = {}
        self.seen: list[tuple[str, str]] = []

    def answer(self, path: str, query: Query) -> Answer:
        """Return what a path is answered with."""
        found = self.answers.get(path)
        if found is None:
            return 404, build_status(404, "NotFound", f"{path} not found")
        return found(query) if callable(found) else found

    def write_kubeconfig(self, path: Path, **context: str) -> Path:
        """Write a kubeconfig with one context, named local."""
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "local", "cluster": {"server": self.url}}],
            "users": [{"name": "me", "user": {"token": "t"}}],
            "contexts": [{"name": "local", "context": {"cluster": "local", "user": "me", **context}}],
            "current-context": "local",
        }
        path.write_text(yaml.safe_dump(config), encoding="utf-8")
        return path


def build_status(code: int, reason: str, message: str) -> dict[str, Any]:
    """Return a Status object, as the API server sends with an error."""
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "code": code,
        "reason": reason,
        "message": message,
    }


def build_list(*items: dict[str, Any], token: str = "") -> dict[str, Any]:
    """Return a list object; a token says that more follows."""
    return {"kind": "List", "apiVersion": "v1", "metadata": {"continue": token}, "items": list(items)}


@contextmanager
def serve() -> Iterator[ApiServer]:
    """Serve until the end of the block."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            server.seen.append((self.command, parts.path))
            code, body = server.answer(parts.path, dict(parse_qsl(parts.query)))
            data = (body if isinstance(body, str) else json.dumps(body)).encode()
            self.send_response(code)
            self.send_header("Content-Type", "text/plain" if isinstance(body, str) else "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815 - as the base class looks for them

        def log_message(self, *_: object) -> None:
            """Stay silent."""

    listener = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    listener.daemon_threads = True
    server = ApiServer(f"http://127.0.0.1:{listener.server_address[1]}")
    thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        listener.shutdown()
        listener.server_close()
        thread.join()
