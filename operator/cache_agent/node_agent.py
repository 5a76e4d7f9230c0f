"""The node validator: looks at its node again and again, and keeps the NodeCapabilityReport of the node's name true.

    python3 -m cache_agent.node_agent --node NAME

Each round looks, reads what the API server has, and writes if that is worth it (node_report.py), so nothing is remembered
from round to round and a restart costs no write. A round that failed is repeated sooner, with pauses that double up to the
interval. KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT name the API server. Exit codes: 0 with --once, 2 wrong
arguments, 130 or 143 ended by SIGINT or SIGTERM.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import signal
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, NoReturn

from .node_api import ApiError, ApiServer
from .node_netlink import ask_netns_mode
from .node_probe import probe_node
from .node_report import build_object, build_report, needs_write
from .node_sysfs import MELLANOX
from .node_tree import Tree
from .report import say

_CREDENTIALS: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_FIRST_PAUSE_SECONDS: Final = 1.0


def probe_report(options: argparse.Namespace, node_uid: str | None = None) -> dict[str, Any]:
    """Return the content of a report of this machine."""
    tree = Tree(options.root, options.proc)
    facts = probe_node(tree, options.vendor or [MELLANOX], ask_netns_mode)
    return build_report(facts, probed_at=time.time(), valid_seconds=options.valid_seconds, node_uid=node_uid)


def report_once(server: ApiServer, options: argparse.Namespace) -> bool:
    """Look at the node and write the report if that is worth it; returns whether it was written.

    Raises:
        ApiError: The API server cannot be asked or refuses.
    """
    report = probe_report(options, server.find_node_uid(options.node))
    wanted = build_object(options.node, report)
    if not needs_write(server.read_report(options.node), wanted, time.time()):
        return False
    server.apply_report(options.node, wanted)
    return True


def find_pause(failures: int, interval: float, asked: float | None) -> float:
    """Return the seconds to the next round, before jitter.

    Args:
        failures: Rounds in a row that failed.
        interval: Seconds between rounds.
        asked: When the API server asks to come back.
    """
    if not failures:
        return interval
    return min(interval, _FIRST_PAUSE_SECONDS * 2 ** min(failures - 1, 30)) if asked is None else asked


def run(server: ApiServer, options: argparse.Namespace) -> NoReturn:
    """Go round for ever."""
    failures = 0
    while True:
        asked = None
        try:
            written = report_once(server, options)
        except ApiError as error:
            failures, asked = failures + 1, error.seconds
            say(f"{options.node}: {error}")
        else:
            if written:
                say(f"{options.node}: report written")
            elif failures:
                say(f"{options.node}: the API server answers again, the report is as it was")
            failures = 0
        # Nodes that started together do not go on together.
        time.sleep(find_pause(failures, options.interval, asked) * random.uniform(0.9, 1.1))  # noqa: S311 - no secret


def _end(number: int, _frame: object) -> NoReturn:
    # Nothing is under way that another round would not make good.
    os._exit(128 + number)


def _match(pattern: str, text: str) -> str:
    if not re.fullmatch(pattern, text):
        raise argparse.ArgumentTypeError(f"{text!r} does not match {pattern}")
    return text


def _read_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Writes the NodeCapabilityReport of its node.")
    parser.add_argument("--node", default=os.environ.get("NODE_NAME", ""), help="name of the node (NODE_NAME)")
    parser.add_argument("--once", action="store_true", help="print the content of the report and exit")
    parser.add_argument("--interval", default=300.0, type=float, help="seconds between two rounds")
    parser.add_argument("--valid-seconds", default=3600, type=int, help="how long a report counts, 60 to 86400")
    help_text = f"PCI vendor id of network adapters to list, may be given several times; {MELLANOX} without it"
    parser.add_argument("--vendor", action="append", type=partial(_match, "[0-9a-f]{4}"), help=help_text)
    parser.add_argument("--root", default=Path("/"), type=Path, help="folder that holds the host's sys and dev")
    parser.add_argument("--proc", type=Path, help="folder that stands for /proc; that below the root without it")
    parser.add_argument("--credentials", default=_CREDENTIALS, type=Path, help="folder of token and ca.crt")
    options = parser.parse_args(arguments)
    if not 60 <= options.valid_seconds <= 86_400:
        parser.error("--valid-seconds must be from 60 to 86400")
    # Written again after half of the validity: a round or two may fail before it is over.
    if not 0 < options.interval <= options.valid_seconds / 4:
        parser.error("--interval must be above 0, and at most a quarter of --valid-seconds")
    if not options.node and not options.once:
        parser.error("--node or NODE_NAME must name the node")
    return options


def _find_server(credentials: Path) -> ApiServer | None:
    host, port = (os.environ.get(f"KUBERNETES_SERVICE_{name}", "") for name in ("HOST", "PORT"))
    return ApiServer(host, int(port), credentials) if host and port.isdecimal() else None


def main(arguments: Sequence[str] | None = None) -> int:
    """Run with the arguments of a command line and return the exit code."""
    # As the first process of a container, only signals with a handler arrive.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)
    options = _read_arguments(arguments)
    if options.once:
        say(json.dumps(probe_report(options), indent=2))
        return 0
    server = _find_server(options.credentials)
    if server is None:
        say("KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT must name the API server: run this in a pod")
        return 2
    run(server, options)


if __name__ == "__main__":
    raise SystemExit(main())
