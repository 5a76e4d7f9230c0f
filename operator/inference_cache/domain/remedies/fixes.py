"""What a mend looks like: commands to run and fields to write, spelled out so that they can be pasted.

Texts in angle brackets, such as <ACCESS_KEY>, are what only a person knows; they are always quoted, so that a shell never
takes them for a redirection.
"""

import copy
import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from inference_cache.api.status import NodeReasonCount
from inference_cache.domain import names
from inference_cache.domain.attachment import Attachment
from inference_cache.domain.node_evidence import NodeEvidence
from inference_cache.domain.pod_trouble import ContainerTrouble, EventFacts
from inference_cache.domain.reasons import Reason

Path = tuple[str | int, ...]
Spec = Mapping[str, Any]

REMOVED: Final = object()
"""Value of a change that takes the field away."""
SOME_NODE: Final = "<NODE>"


@dataclass(frozen=True)
class Command:
    """A command line for a shell.

    Attributes:
        looks: Whether it only shows something.
    """

    text: str
    looks: bool = False


@dataclass(frozen=True)
class Edit:
    """A field of the deployment to write.

    Attributes:
        path: For people, such as spec.cache.tiers[1].objectStore.region.
        value: What to write; None where the field is to be removed or the value is not known.
        how: What to write where the value is not known, or empty.
        command: The same as kubectl patch; empty where the value is not known.
    """

    path: str
    value: Any = None
    how: str = ""
    command: str = ""


Step = Command | Edit


@dataclass(frozen=True)
class Fix:
    """One way to mend a problem: all steps in order. Without steps there is nothing to do, and `why` says so."""

    why: str
    steps: tuple[Step, ...] = ()


@dataclass(frozen=True)
class Target:
    """Where commands act.

    Attributes:
        flags: Flags of kubectl that choose the cluster, where the person who asks gave them.
    """

    namespace: str
    name: str
    operator_namespace: str
    flags: tuple[str, ...] = ()

    def kubectl(self, *words: str) -> str:
        """Return a command line for the deployment's namespace."""
        return shlex.join(["kubectl", *self.flags, "-n", self.namespace, *words])

    def kubectl_cluster(self, *words: str) -> str:
        """Return a command line for objects that have no namespace, or that names one itself."""
        return shlex.join(["kubectl", *self.flags, *words])

    def kubectl_operator(self, *words: str) -> str:
        """Return a command line for the operator's namespace."""
        return shlex.join(["kubectl", *self.flags, "-n", self.operator_namespace, *words])

    @property
    def account(self) -> str:
        """Name of the operator's ServiceAccount as --serviceaccount takes it."""
        return f"{self.operator_namespace}:{names.FIELD_MANAGER}"


@dataclass(frozen=True)
class Situation:
    """What a remedy may take into account.

    Attributes:
        spec: As stored.
        message: Of the condition that is to be mended.
        ineligible: What the status says of nodes that cannot run a replica.
        without_rdma: What it says of those that can, over TCP alone.
        fabric: The InferenceCacheFabric that the spec refers to, as stored; None where there is none to read.
        attachment: What one RDMA pod would get; None where nobody asks for RDMA or nobody can tell.
        nodes: All nodes with what is known of them; None where they could not be read.
        ready: Number of pods that are ready.
    """

    target: Target
    spec: Spec
    message: str = ""
    ineligible: tuple[NodeReasonCount, ...] = ()
    without_rdma: tuple[NodeReasonCount, ...] = ()
    fabric: Mapping[str, Any] | None = None
    attachment: Attachment | None = None
    nodes: tuple[NodeEvidence, ...] | None = None
    troubles: tuple[ContainerTrouble, ...] = ()
    events: tuple[EventFacts, ...] = ()
    ready: int = 0

    def edit(self, path: Path, value: Any) -> Edit:
        """Return the edit of one field of the spec as it is."""
        return build_edit(self.target, self.spec, path, value)

    def find_nodes(self, reason: Reason) -> Sequence[str]:
        """Return some nodes that the status names for a reason, or what stands for a node's name."""
        counts = (*self.ineligible, *self.without_rdma)
        found = dict.fromkeys(name for item in counts if item.reason == reason.name for name in item.examples)
        return list(found) or [SOME_NODE]


@dataclass(frozen=True)
class Change:
    """A field of the spec and its new value."""

    path: Path
    value: Any


def look(text: str) -> Command:
    """Return a command that changes nothing."""
    return Command(text, looks=True)


def find_field(spec: Spec, path: Path) -> Any:
    """Return the value at a path of the spec, None where there is none."""
    found: Any = spec
    for part in path:
        if isinstance(found, Mapping):
            found = found.get(part)
        elif isinstance(found, Sequence) and isinstance(part, int) and part < len(found):
            found = found[part]
        else:
            return None
    return found


def apply_change(spec: Spec, change: Change) -> dict[str, Any]:
    """Return a copy of the spec with the change."""
    copied: dict[str, Any] = copy.deepcopy(dict(spec))
    body: Any = copied
    *parents, last = change.path
    for part in parents:
        body = body[part] if isinstance(part, int) else body.setdefault(part, {})
    if change.value is REMOVED:
        body.pop(last, None)
    else:
        body[last] = copy.deepcopy(change.value)
    return copied


def build_edit(target: Target, spec: Spec, path: Path, value: Any) -> Edit:
    """Return the edit, with the command that makes it.

    A merge patch cannot reach into a list, so paths with a list index become JSON patches.
    """
    if any(isinstance(part, int) for part in path):
        pointer = "/spec/" + "/".join(str(part).replace("~", "~0").replace("/", "~1") for part in path)
        exists = find_field(spec, path) is not None
        if value is REMOVED:
            patch: Any = [{"op": "remove", "path": pointer}]
        else:
            patch = [{"op": "replace" if exists else "add", "path": pointer, "value": value}]
        kind = "json"
    else:
        patch = None if value is REMOVED else value
        for part in reversed(path):
            patch = {part: patch}
        patch, kind = {"spec": patch}, "merge"
    text = json.dumps(patch, separators=(",", ":"), ensure_ascii=False)
    command = target.kubectl("patch", "icd", target.name, f"--type={kind}", "-p", text)
    removed = value is REMOVED
    return Edit(format_path(path), None if removed else value, "Remove the field." if removed else "", command)


def format_path(path: Path) -> str:
    """Return a path as people write it."""
    text = "spec"
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f'["{part}"]' if "/" in part or "." in part else f".{part}"
    return text
