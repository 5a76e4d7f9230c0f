"""Golden cases: a deployment in, the objects that the operator wants for it out, both as files.

Deployments that ask for RDMA are rendered with the devices that they name themselves, and for TCP where the name of the
case ends so.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import yaml

from inference_cache.cli.generate import dump_yaml
from inference_cache.domain.attachment import TCP_ONLY, Attachment, TransportChoice, Variant
from inference_cache.domain.desired import build_desired
from inference_cache.domain.names import LABEL_DEPLOYMENT, agent_name, transport_agent_name
from inference_cache.domain.scope import Identity, Scope
from inference_cache.domain.transport import read_intent, resolve_attachment
from tests.support.builders import IDENTITY, build_scope, settle_spec

FOLDER: Final = Path(__file__).resolve().parent
ON_TCP: Final = "-on-tcp"
CASES: Final = sorted(path.parent.name for path in FOLDER.glob("*/deployment.yaml"))


def load_scope(case: str) -> Scope:
    """Return the scope of a case; the uid is fixed, as the API server would give another one each time."""
    body: dict[str, Any] = yaml.safe_load((FOLDER / case / "deployment.yaml").read_text(encoding="utf-8"))
    metadata = body["metadata"]
    scope = build_scope(settle_spec(body["spec"]), Identity(metadata["name"], metadata["namespace"], IDENTITY.uid))
    return scope if case.endswith(ON_TCP) else choose_rdma(scope)


def choose_rdma(scope: Scope) -> Scope:
    """Return the scope of RDMA pods with the devices that the spec names; the same one where it names none."""
    found = resolve_attachment(scope.settled, None, scope.identity.namespace)
    if not isinstance(found, Attachment):
        return replace(scope, transport=TCP_ONLY)
    return replace(scope, transport=TransportChoice(Variant.RDMA, found, read_intent(scope.settled).required))


def render(case: str) -> str:
    """Return the objects of a case as YAML text; programs of the agent, which many cases have, by their names alone."""
    return dump_yaml(*(shorten(manifest.body) for manifest in build_desired(load_scope(case))))


def shorten(body: dict[str, Any]) -> dict[str, Any]:
    """Return an object with the programs of the agent, if it holds them, by name alone."""
    metadata = body["metadata"]
    deployment = metadata["labels"][LABEL_DEPLOYMENT]
    if metadata["name"] not in {agent_name(deployment), transport_agent_name(deployment)}:
        return body
    annotations = dict.fromkeys(metadata["annotations"], "of the programs")
    programs = dict.fromkeys(body["data"], "program of cache_agent")
    return {**body, "metadata": {**metadata, "annotations": annotations}, "data": programs}


def golden_path(case: str) -> Path:
    """Return the file that holds the expected objects."""
    return FOLDER / case / "objects.yaml"
