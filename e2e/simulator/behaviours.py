"""What a person or a test wants pods to do other than start and work.

A behaviour names only what differs; for each field the latest behaviour that matches a pod wins.
"""

import itertools
import re
from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, field_validator
from pydantic.alias_generators import to_camel

from .preflight import RDMAState

_ONE_LEVEL_DEEPER = ("engine", "cache", "weights")


class _Model(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)

    def to_json(self) -> dict[str, Any]:
        """Return only what was set, under the names of the API."""
        return self.model_dump(by_alias=True, exclude_unset=True)


class Crash(_Model):
    """A process that ends.

    Attributes:
        after_seconds: Age of the process at which it ends; a process that is older ends at once.
        times: How often in one container; None: at every start.
        source: Set by the registry, so that a behaviour that is put again counts anew.
    """

    exit_code: int = 1
    after_seconds: float = 0.0
    times: int | None = None
    reason: str = "Error"
    source: str = ""


class ContainerBehaviour(_Model):
    """What one container does; `waiting` is a reason such as ImagePullBackOff that keeps it from starting."""

    crash: Crash | None = None
    waiting: str | None = None
    start_seconds: float | None = None


class Versions(_Model):
    """Versions that the processes report."""

    vllm: str | None = None
    lmcache: str | None = None


class Refusal(_Model):
    """A pod that the kubelet refuses for good, as one that its devices do not fit.

    Attributes:
        times: How many pods; None: every one.
        source: Set by the registry, so that a behaviour that is put again counts anew.
    """

    reason: str = "TopologyAffinityError"
    message: str = "Resources cannot be allocated with Topology locality"
    times: int | None = None
    source: str = ""


class Behaviour(_Model):
    """What a pod does; every field may be absent.

    Attributes:
        start_seconds: Time from the engine's start to its first answer.
        init_seconds: Run time of the init container that fetches the weights.
        health_status: What vLLM's /health answers; readiness follows it.
        altered_args: Options by name that the processes run with instead of those of the pod.
        altered_config: Dotted paths in /config and /status, with the value to report. A path counts in each document
            that has it.
        hang_http: Connections are taken and never answered.
        drain_seconds: Time from the pod's deletion to the end of its processes.
        prefill_tokens_per_second: Speed for tokens that are not cached; absent: no time passes.
        token_seconds: Time per generated token.
        rdma: What the preflight of an RDMA pod meets on the node.
        multus: Whether Multus attaches the pod to its networks.
        refuse: How the kubelet refuses the pod before anything of it starts.
    """

    start_seconds: float | None = None
    init_seconds: float | None = None
    engine: ContainerBehaviour = ContainerBehaviour()
    cache: ContainerBehaviour = ContainerBehaviour()
    weights: ContainerBehaviour = ContainerBehaviour()
    never_ready: bool = False
    health_status: int = 200
    altered_args: dict[str, str] = {}
    altered_config: dict[str, Any] = {}
    breaker_open: bool = False
    s3: Literal["ok", "fail403", "refused"] = "ok"
    version_override: Versions = Versions()
    hang_http: bool = False
    drain_seconds: float | None = None
    prefill_tokens_per_second: float | None = None
    token_seconds: float = 0.0
    rdma: RDMAState = "proven"
    multus: Literal["attaches", "bypassed"] = "attaches"
    refuse: Refusal | None = None


class Match(_Model):
    """Which pods; an absent field matches all. Expressions match anywhere in the text, as `re.search` does.

    Attributes:
        image: Looks at the image of every container.
        args: Looks at the command and arguments of every container, joined by spaces.
    """

    namespace: str | None = None
    pod: str | None = None
    image: str | None = None
    args: str | None = None

    @field_validator("pod", "image", "args")
    @classmethod
    def _compiles(cls, value: str | None) -> str | None:
        try:
            re.compile(value or "")
        except re.error as error:
            raise ValueError(f"not a regular expression: {error}") from error
        return value

    def matches(self, pod: Mapping[str, Any]) -> bool:
        """Tell whether a pod is meant."""
        metadata, spec = pod["metadata"], pod["spec"]
        if self.namespace is not None and self.namespace != metadata["namespace"]:
            return False
        if self.pod is not None and not re.search(self.pod, metadata["name"]):
            return False
        containers = [*spec.get("initContainers", []), *spec["containers"]]
        if self.image is not None and not any(re.search(self.image, item.get("image", "")) for item in containers):
            return False
        lines = (" ".join([*(item.get("command") or []), *(item.get("args") or [])]) for item in containers)
        return self.args is None or any(re.search(self.args, line) for line in lines)


class Rule(_Model):
    """A behaviour and the pods that show it."""

    match: Match = Match()
    behaviour: Behaviour

    def stamped(self, source: str) -> Self:
        """Return the rule with its crashes marked as its own."""
        changes: dict[str, Any] = {}
        for name in _ONE_LEVEL_DEEPER:
            part: ContainerBehaviour = getattr(self.behaviour, name)
            if part.crash is not None:
                crash = part.crash.model_copy(update={"source": source})
                changes[name] = part.model_copy(update={"crash": crash})
        if self.behaviour.refuse is not None:
            changes["refuse"] = self.behaviour.refuse.model_copy(update={"source": source})
        return self.model_copy(update={"behaviour": self.behaviour.model_copy(update=changes)})


class Behaviours:
    """The rules in the order in which they were put."""

    def __init__(self) -> None:
        self._rules: dict[str, Rule] = {}
        self._revisions = itertools.count(1)

    def put(self, name: str, rule: Rule) -> None:
        """Add a rule as the latest one, in place of an earlier one of this name."""
        self._rules.pop(name, None)
        self._rules[name] = rule.stamped(f"{name}#{next(self._revisions)}")

    def delete(self, name: str) -> bool:
        """Remove a rule; false: there was none."""
        return self._rules.pop(name, None) is not None

    def to_json(self) -> dict[str, Any]:
        """Return all rules by name."""
        return {name: rule.to_json() for name, rule in self._rules.items()}

    def resolve(self, pod: Mapping[str, Any]) -> Behaviour:
        """Return what a pod does now."""
        merged: dict[str, Any] = {}
        for rule in self._rules.values():
            if not rule.match.matches(pod):
                continue
            for name, value in rule.behaviour.model_dump(exclude_unset=True).items():
                deeper = name in _ONE_LEVEL_DEEPER
                merged[name] = merged.get(name, {}) | value if deeper else value
        return Behaviour.model_validate(merged)
