"""A client of the control API for tests and scripts."""

import json
import time
import urllib.error
import urllib.request
from typing import Any

from .behaviours import Behaviour, Match, Rule


class SimulatorError(Exception):
    """The simulator refused a call; the text is its answer."""


class SimulatorClient:
    """The control API of a running simulator.

    Args:
        port: Its control port on 127.0.0.1.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self._base = f"http://127.0.0.1:{port}"
        # A proxy of the environment is for S3, not for this.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def pods(self) -> list[dict[str, Any]]:
        """Return all pods with address, containers, arguments and counters.

        Raises:
            SimulatorError: Refused.
            OSError: Not reachable.
        """
        pods: list[dict[str, Any]] = self._call("GET", "/pods")
        return pods

    def pod(self, namespace: str, name: str) -> dict[str, Any] | None:
        """Return one pod; None: the simulator does not know it. Errors are those of `pods`."""
        return next((item for item in self.pods() if (item["namespace"], item["name"]) == (namespace, name)), None)

    def behaviours(self) -> dict[str, Any]:
        """Return all behaviours by name. Errors are those of `pods`."""
        behaviours: dict[str, Any] = self._call("GET", "/behaviours")
        return behaviours

    def put(self, name: str, behaviour: Behaviour, match: Match | None = None) -> None:
        """Tell pods what to do, running ones too; without `match` all of them. Errors are those of `pods`."""
        rule = Rule(behaviour=behaviour) if match is None else Rule(behaviour=behaviour, match=match)
        self._call("PUT", f"/behaviours/{name}", rule.to_json())

    def delete(self, name: str) -> None:
        """Take a behaviour back. Errors are those of `pods`."""
        self._call("DELETE", f"/behaviours/{name}")

    def wait_ready(self, seconds: float) -> None:
        """Wait until the simulator answers.

        Raises:
            TimeoutError: It did not in time.
        """
        deadline = time.monotonic() + seconds
        while True:
            try:
                self.behaviours()
            except OSError as error:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"the simulator did not answer within {seconds} s") from error
                time.sleep(0.05)
            else:
                return

    def _call(self, method: str, path: str, body: object = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._base + path, data, method=method)  # noqa: S310 - the base is http
        try:
            with self._opener.open(request, timeout=10) as response:
                text = response.read()
        except urllib.error.HTTPError as error:
            with error:
                raise SimulatorError(error.read().decode()) from error
        return json.loads(text) if text else None
