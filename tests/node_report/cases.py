"""Golden cases of the node validator: the description of a machine in, the report of it out, both as files."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import yaml

from cache_agent.node_facts import NodeFacts
from cache_agent.node_probe import probe_node
from cache_agent.node_report import build_report
from cache_agent.node_sysfs import MELLANOX
from cache_agent.node_tree import Tree
from e2e.nodetree import Machine, build_tree, parse_machine

ROOT: Final = Path(__file__).resolve().parents[2]
FOLDER: Final = ROOT / "tests" / "node_report" / "golden"
CASES: Final = sorted(path.parent.name for path in FOLDER.glob("*/machine.yaml"))
PROBED_AT: Final = 1_900_000_000.0
NODE_UID: Final = "5d0f6e5c-8a0c-4e5e-9a45-1f6a8e0b7c11"


def probe(machine: Machine, root: Path, *, ask: Callable[[], str | None] = lambda: "shared") -> NodeFacts:
    """Return what the validator finds on a machine whose tree is written to a folder that is not there yet."""
    return probe_node(Tree(build_tree(machine, root)), [MELLANOX], ask)


def report_of(facts: NodeFacts) -> dict[str, Any]:
    """Return the report, with a fixed time."""
    return build_report(facts, probed_at=PROBED_AT, valid_seconds=3600, node_uid=NODE_UID)


def render(case: str, root: Path) -> str:
    """Return the report of a golden case as text."""
    machine = parse_machine(yaml.safe_load((FOLDER / case / "machine.yaml").read_text(encoding="utf-8")))
    return json.dumps(report_of(probe(machine, root)), indent=2) + "\n"
