"""What is printed as a fix is complete, can be pasted, and leads to where it says."""

import json
import re
import shlex
from dataclasses import replace
from typing import Any

import pytest

from inference_cache.api.parsing import parse_spec
from inference_cache.api.status import NodeReasonCount
from inference_cache.domain import names
from inference_cache.domain.node_evidence import NodeEvidence
from inference_cache.domain.node_facts import NodeFacts, Taint
from inference_cache.domain.node_matrix import Matrix
from inference_cache.domain.pod_trouble import ContainerTrouble, EventFacts, project_event, project_troubles
from inference_cache.domain.reasons import Reason
from inference_cache.domain.remedies import REMEDIES, Command, Edit, Fix, Situation, Target, find_fixes
from inference_cache.domain.remedies.fixes import REMOVED, build_edit
from inference_cache.domain.remedies.placement import plan_placement
from tests.support.builders import build_node, build_spec
from tests.support.patches import patch_spec

_TARGET = Target("inference", "nemotron-70b", "inference-cache-system")
_PLACEHOLDER = re.compile(r"<[A-Z_]+>")
_GIB = 2**30
_TROUBLE = ContainerTrouble("nemotron-70b-0", "engine", "registry.example/engine:1", "CrashLoopBackOff", 7, 3, "Error")
_INELIGIBLE = tuple(
    NodeReasonCount(reason=reason.name, count=1, examples=[f"node-{number}"])
    for number, reason in enumerate(
        (Reason.GPUProductUnknown, Reason.GPUMemoryUnknown, Reason.DriverUnknown, Reason.NodeUnschedulable)
    )
)


def _situation(
    message: str = "",
    changes: dict[str, Any] | None = None,
    nodes: tuple[NodeFacts | NodeEvidence, ...] | None = None,
    **facts: Any,
) -> Situation:
    known: dict[str, Any] = {"ineligible": _INELIGIBLE, "troubles": (_TROUBLE,), "ready": 1}
    evidence = tuple(item if isinstance(item, NodeEvidence) else NodeEvidence(item) for item in nodes or ())
    known["nodes"] = None if nodes is None else evidence
    return Situation(_TARGET, build_spec(changes), message, **(known | facts))


def _commands(fixes: tuple[Fix, ...]) -> list[str]:
    texts = [step.text if isinstance(step, Command) else step.command for fix in fixes for step in fix.steps]
    return [text for text in texts if text]


def test_every_reason_has_a_remedy() -> None:
    assert set(REMEDIES) == set(Reason)


@pytest.mark.parametrize("reason", Reason, ids=lambda reason: reason.name)
def test_remedy_says_what_to_do_or_that_there_is_nothing_to_do(reason: Reason) -> None:
    fixes = find_fixes(reason.name, _situation(f"{reason.meaning} {reason.remedy}"))
    assert fixes
    assert all(fix.why.strip()[-1] in ".:" for fix in fixes)
    if not reason.remedy:
        assert _commands(fixes) == [], "there is nothing to mend"


@pytest.mark.parametrize("reason", Reason, ids=lambda reason: reason.name)
def test_printed_commands_survive_a_shell(reason: Reason) -> None:
    for command in _commands(find_fixes(reason.name, _situation(reason.meaning))):
        lexer = shlex.shlex(command, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        words = list(lexer)
        unquoted = [word for word in words if set(word) <= set("<>") and word]
        assert len(_PLACEHOLDER.findall(command)) == sum(len(_PLACEHOLDER.findall(word)) for word in words), command
        assert not unquoted or "/dev/null" in words, command


# What waiting mends, and what follows from something else that has its own remedy.
_WITHOUT_STEPS = {
    "CacheDegraded", "PodsStarting", "ReplacingPods", "Scaling", "ChangeHeld", "Waiting", "NotChecked", "WorkloadHeld",
    "PlacementPending", "RDMAReturning",
}  # fmt: skip


@pytest.mark.parametrize(
    "reason", [reason for reason in Reason if reason.remedy and reason.name not in _WITHOUT_STEPS], ids=lambda r: r.name
)
def test_remedy_has_steps(reason: Reason) -> None:
    fixes = find_fixes(reason.name, _situation(f"{reason.meaning} {reason.remedy}"))
    assert any(fix.steps for fix in fixes)


_MESSAGES: dict[str, tuple[Reason, str, dict[str, Any]]] = {
    "versions are removed": (Reason.KnownBadVersions, "", {"engine.image": "registry.example/engine:1", "engine.versions": {"vllm": "0.1.0", "lmcache": "0.1.0"}}),
    "a declaration is removed": (Reason.EngineVersionsContradict, "", {"engine.versions": {"vllm": "0.32.0", "lmcache": "0.5.6"}}),
    "an option is left out": (Reason.OptionUnknown, "engine.extraArgs entry --swap-spice=1 does not suit vLLM 0.32.0.", {"engine.extraArgs": ["--swap-spice=1", "--seed=3"]}),
    "the only option is left out": (Reason.OptionUnknown, "engine.extraArgs entry --swap-spice=1 does not suit.", {"engine.extraArgs": ["--swap-spice=1"]}),
    "the store is left out": (Reason.HybridModelInStore, "", {}),
    "the memory tier is enlarged": (Reason.MemoryTierTooSmall, "Write a memory.size of at least 1500Gi, a maxInFlightLoads of at most 3, or a smaller maxModelLen.", {}),
    "an override is removed": (Reason.ResourcesTooSmall, "cache.resources gives 1 GiB memory.", {"cache.resources": {"requests": {"memory": "1Gi"}}}),
    "a chunk is enlarged": (Reason.ChunkNotMultiple, "", {"cache.chunkTokens": 64}),
    "the cache is disabled": (Reason.CacheAddsNothing, "", {}),
    "the region is written": (Reason.WrongRegion, "", {}),
    "a private authority is trusted": (Reason.CertificateUntrusted, "", {"cache.tiers.1.objectStore.endpoint": "https://s3.internal"}),
    "the bucket is addressed by path": (Reason.HostNotFound, "", {}),
    "the image is written": (Reason.ImagePullFailing, "", {}),
}  # fmt: skip
_FILLED = {
    "<REGION>": "eu-west-1",
    "<IMAGE>": "registry.example/engine:vllm-0.32.0-lmcache-0.5.6",
    "<ENDPOINT>": "https://s3.example",
}


@pytest.mark.parametrize("case", _MESSAGES)
def test_edits_lead_to_a_valid_spec(case: str) -> None:
    reason, message, changes = _MESSAGES[case]
    situation = _situation(message, changes)
    done = 0
    for fix in find_fixes(reason.name, situation):
        spec = dict(situation.spec)
        for step in fix.steps:
            if not isinstance(step, Edit) or not step.command:
                continue
            command = step.command
            for placeholder, value in _FILLED.items():
                command = command.replace(placeholder, value)
            if not _PLACEHOLDER.search(command):
                spec = patch_spec(spec, command)
                done += 1
        assert not isinstance(parse_spec("nemotron-70b", spec), list), (fix, parse_spec("nemotron-70b", spec))
    assert done


_NODES: dict[str, tuple[dict[str, Any], NodeFacts]] = {
    "another GPU model": ({}, build_node(labels={names.GPU_PRODUCT_LABEL: "NVIDIA-B200"})),
    "a GPU model without family": ({}, build_node(labels={names.GPU_PRODUCT_LABEL: "NVIDIA-Special"})),
    "too few GPUs": ({}, build_node(gpus=4)),
    "an odd number of GPUs": ({}, build_node(gpus=7)),
    "too little memory": ({}, build_node(memory=512 * _GIB)),
    "less memory than is required": ({"nodes.requirements.memory": "4000Gi"}, build_node()),
    "less memory than is required and requested": ({"nodes.requirements.memory": "4000Gi"}, build_node(memory=512 * _GIB)),
    "cordoned": ({}, build_node(unschedulable=True)),
    "a taint with a value": ({}, build_node(taints=(Taint("team", "search", "NoSchedule"),))),
    "a taint without value": ({"nodes.tolerations": []}, build_node()),
    "another label value": ({"nodes.selector": {"pool": "a"}}, build_node(labels={names.GPU_PRODUCT_LABEL: "NVIDIA-H200", "pool": "zebra"})),
    "no such label": ({"nodes.selector": {"example.org/pool": "a"}}, build_node()),
    "GPU memory": ({"nodes.requirements.gpu.minMemoryPerGPU": "200Gi"}, build_node(labels={names.GPU_PRODUCT_LABEL: "NVIDIA-H200", names.GPU_MEMORY_LABEL: "143771"})),
    "an old driver": ({"nodes.requirements.gpu.driverMajorAtLeast": 600}, build_node(labels={names.GPU_PRODUCT_LABEL: "NVIDIA-H200", names.DRIVER_MAJOR_LABEL: "550"})),
    "few CPUs": ({}, build_node(milli_cpus=12_000)),
    "no huge pages": ({"cache.tiers.0.memory.pages": "Huge2Mi"}, build_node()),
    "many faults": ({}, build_node(gpus=4, memory=512 * _GIB, unschedulable=True, labels={names.GPU_PRODUCT_LABEL: "NVIDIA-B200"})),
}  # fmt: skip


class TestPlacement:
    """The offered changes make a node eligible, by the text of their commands."""

    @pytest.mark.parametrize("case", _NODES)
    def test_plan_makes_the_node_eligible(self, case: str) -> None:
        changes, node = _NODES[case]
        situation = _situation(changes=changes, nodes=(node,))
        matrix = Matrix("nemotron-70b")
        before = matrix.judge(situation.spec, node)
        assert before is not None
        assert not before.eligible
        fixes = plan_placement(situation)
        assert fixes
        for fix in fixes:
            spec, mended = self._follow(dict(situation.spec), node, fix)
            after = matrix.judge(spec, mended)
            assert after is not None, f"{fix} breaks the spec"
            assert after.eligible, f"{fix} leaves {after.describe()}"

    def _follow(self, spec: dict[str, Any], node: NodeFacts, fix: Fix) -> tuple[dict[str, Any], NodeFacts]:
        for step in fix.steps:
            if isinstance(step, Edit):
                spec = patch_spec(spec, step.command)
                continue
            match shlex.split(step.text):
                case ["kubectl", "uncordon", node.name]:
                    node = replace(node, unschedulable=False)
                case ["kubectl", "label", "node", node.name, pair, *_]:
                    key, _, value = pair.partition("=")
                    node = replace(node, labels={**node.labels, key: value})
                case other:
                    pytest.fail(f"unexpected {other}")
        return spec, node

    def test_nothing_is_offered_for_what_no_edit_mends(self) -> None:
        lost = build_node(ready=False)
        bare = build_node(gpus=None, labels={})
        assert plan_placement(_situation(nodes=(lost, bare))) == ()

    def test_mistyped_label_is_corrected_rather_than_written_to_nodes(self) -> None:
        node = build_node(labels={names.GPU_PRODUCT_LABEL: "NVIDIA-H200", "pool": "inference"})
        first = plan_placement(_situation(changes={"nodes.selector": {"pool": "inferense"}}, nodes=(node,)))[0]
        (step,) = first.steps
        assert isinstance(step, Edit)
        assert (step.path, step.value) == ("spec.nodes.selector.pool", "inference")

    def test_label_that_no_node_carries_is_written_to_as_many_nodes_as_there_are_replicas(self) -> None:
        nodes = tuple(build_node(f"node-{number}") for number in range(4))
        first = plan_placement(_situation(changes={"nodes.selector": {"pool": "a"}, "replicas": 2}, nodes=nodes))[0]
        assert _commands((first,)) == [f"kubectl label node node-{number} pool=a" for number in (0, 1)]

    def test_cheapest_plan_with_most_nodes_comes_first(self) -> None:
        odd = build_node("odd", gpus=4, memory=512 * _GIB)
        nodes = (
            odd,
            *(build_node(f"b200-{number}", labels={names.GPU_PRODUCT_LABEL: "NVIDIA-B200"}) for number in range(3)),
        )
        first = plan_placement(_situation(nodes=nodes))[0]
        assert "B200" in _commands((first,))[0]
        assert "3 nodes can run a replica" in first.why

    def test_five_thousand_nodes_are_looked_at_by_shape(self, monkeypatch: pytest.MonkeyPatch) -> None:
        nodes = tuple(
            build_node(
                f"node-{number}",
                labels={names.GPU_PRODUCT_LABEL: "NVIDIA-B200", "kubernetes.io/hostname": f"h{number}"},
            )
            for number in range(5000)
        )
        parsed = 0

        def count(name: str, spec: Any) -> Any:
            nonlocal parsed
            parsed += 1
            return parse_spec(name, spec)

        monkeypatch.setattr("inference_cache.domain.node_matrix.parse_spec", count)
        (fix,) = plan_placement(_situation(nodes=nodes))
        assert "5000 nodes" in fix.why
        assert parsed < 10


def test_candidates_are_mended_before_others_are_drawn_in() -> None:
    selected = build_node("mine", unschedulable=True, labels={names.GPU_PRODUCT_LABEL: "NVIDIA-H200", "pool": "a"})
    other = build_node("other")
    fixes = find_fixes(
        "NoEligibleNodes", _situation(changes={"nodes.selector": {"pool": "a"}}, nodes=(selected, other))
    )
    assert [_commands((fix,)) for fix in fixes] == [["kubectl uncordon mine"]]


def test_without_node_facts_the_status_names_the_nodes() -> None:
    fixes = find_fixes("NoEligibleNodes", _situation(nodes=None))
    assert "kubectl uncordon node-3" in _commands(fixes)
    assert "kubectl label node node-0 'nvidia.com/gpu.product=<PRODUCT>'" in _commands(fixes)


def test_secret_is_the_one_of_the_message() -> None:
    changes = {"model.source.huggingFace.tokenSecretRef": {"name": "kv-nemotron-hub", "key": "token"}}
    both = {
        name: find_fixes("SecretNotFound", _situation(f"Secret {name} does not exist.", changes))
        for name in ("kv-nemotron", "kv-nemotron-hub")
    }
    assert (
        "create secret generic kv-nemotron-hub '--from-literal=token=<TOKEN>'" in _commands(both["kv-nemotron-hub"])[0]
    )
    assert (
        "create secret generic kv-nemotron '--from-literal=AWS_ACCESS_KEY_ID=<ACCESS_KEY>'"
        in _commands(both["kv-nemotron"])[0]
    )


def test_missing_key_is_written_and_the_others_stay() -> None:
    (command,) = _commands(
        find_fixes("SecretKeyMissing", _situation("Secret kv-nemotron has no key AWS_SECRET_ACCESS_KEY."))
    )
    assert json.loads(shlex.split(command)[-1]) == {"stringData": {"AWS_SECRET_ACCESS_KEY": "<SECRET_KEY>"}}


def test_flags_of_the_user_are_part_of_every_kubectl_command() -> None:
    target = replace(_TARGET, flags=("--context", "my cluster"))
    for reason in Reason:
        for command in _commands(find_fixes(reason.name, replace(_situation(), target=target))):
            for part in re.findall(r"(?:^|\| )kubectl .*?(?=$| \|)", command):
                assert part.removeprefix("| ").startswith("kubectl --context 'my cluster' "), command


def test_unknown_reason_of_a_newer_operator_is_named() -> None:
    (fix,) = find_fixes("ReasonOfTomorrow", _situation())
    assert "ReasonOfTomorrow" in fix.why


QUOTAS = {
    "pods": ("exceeded quota: team, requested: pods=1, used: pods=3, limited: pods=3", {"pods": "4"}),
    "several": (
        "exceeded quota: team, requested: requests.memory=50Gi,requests.nvidia.com/gpu=8, used: requests.memory=10Gi,requests.nvidia.com/gpu=0, limited: requests.memory=40Gi,requests.nvidia.com/gpu=4",
        {"requests.memory": "60Gi", "requests.nvidia.com/gpu": "8"},
    ),
    "fractions": ("exceeded quota: team, requested: cpu=1500m, used: cpu=1, limited: cpu=2", {"cpu": "2500m"}),
    "mixed units": ("exceeded quota: team, requested: memory=1Gi, used: memory=1G, limited: memory=1500M", {"memory": "2073741824"}),
}  # fmt: skip


@pytest.mark.parametrize("case", QUOTAS)
def test_exceeded_quota_is_raised_to_what_is_needed(case: str) -> None:
    text, hard = QUOTAS[case]
    event = EventFacts("StatefulSet/nemotron-70b", "FailedCreate", f'pods "x" is forbidden: {text}', 9, "")
    (command,) = _commands(find_fixes("PodsNotCreated", _situation(events=(event,))))
    assert command.startswith("kubectl -n inference patch resourcequota team ")
    assert json.loads(shlex.split(command)[-1]) == {"spec": {"hard": hard}}


def test_quota_of_unknown_form_is_not_guessed() -> None:
    event = EventFacts(
        "StatefulSet/nemotron-70b",
        "FailedCreate",
        "exceeded quota: team, requested: pods=some, used: pods=3, limited: pods=3",
        1,
        "",
    )
    (command,) = _commands(find_fixes("PodsNotCreated", _situation(events=(event,))))
    assert "describe statefulset" in command


def test_crash_names_container_and_previous_log() -> None:
    logs, again = _commands(find_fixes("PodsCrashing", _situation()))
    assert logs == "kubectl -n inference logs nemotron-70b-0 -c engine --previous --tail=50"
    assert again == "kubectl -n inference delete pod nemotron-70b-0"


def test_name_conflict_names_the_foreign_object() -> None:
    message = "Service inference/nemotron-70b exists and does not belong to this deployment; it is left untouched."
    commands = _commands(find_fixes("NameConflict", _situation(message)))
    assert "kubectl -n inference delete service nemotron-70b" in commands


def test_name_conflict_of_a_fabric_asks_for_its_labels_first() -> None:
    message = "MacvlanNetwork a-inference exists and was not made for this fabric; it is left untouched."
    commands = _commands(find_fixes("NameConflict", _situation(message)))
    (label,) = [shlex.split(command) for command in commands if command.startswith("kubectl label macvlannetwork")]
    assert label[3:5] == ["a-inference", f"{names.LABEL_FABRIC}=<FABRIC>"]
    assert "kubectl delete macvlannetwork a-inference" in commands
    assert not any("delete icd" in command for command in commands)


def test_field_conflict_says_how_to_take_the_field_out() -> None:
    message = "NicClusterPolicy nic-cluster-policy: spec.rdmaSharedDevicePlugin.config belongs to helm."
    commands = _commands(find_fixes("FabricFieldConflict", _situation(message)))
    (patch,) = [shlex.split(command) for command in commands if "--type=json" in command]
    assert json.loads(patch[-1]) == [{"op": "remove", "path": "/spec/rdmaSharedDevicePlugin/config"}]


def test_resource_of_two_fabrics_is_mended_by_making_one_anew() -> None:
    message = "The older InferenceCacheFabric a makes the resource rdma/x too."
    fixes = find_fixes("DeviceClaimedTwice", _situation(message))
    assert any("another resourceName" in fix.why for fix in fixes)
    assert "kubectl delete icf '<FABRIC>'" in _commands(fixes)


def test_removed_field_of_a_list_item_becomes_a_remove_operation() -> None:
    edit = build_edit(
        _TARGET,
        build_spec({"cache.tiers.0.memory.pages": "Huge2Mi"}),
        ("cache", "tiers", 0, "memory", "pages"),
        REMOVED,
    )
    assert edit.path == "spec.cache.tiers[0].memory.pages"
    assert '[{"op":"remove","path":"/spec/cache/tiers/0/memory/pages"}]' in edit.command


def test_troubles_skip_containers_that_merely_start() -> None:
    pod = {
        "metadata": {"name": "x-0"},
        "status": {
            "initContainerStatuses": [{"name": "weights", "state": {"terminated": {"exitCode": 0}}}],
            "containerStatuses": [
                {"name": "cache", "state": {"waiting": {"reason": "PodInitializing"}}},
                {
                    "name": "engine",
                    "image": "e:1",
                    "restartCount": 4,
                    "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}},
                    "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}},
                },
            ],
        },
    }
    (found,) = project_troubles(pod)
    assert (
        str(found)
        == "Pod x-0, container engine: CrashLoopBackOff, last exit code 137 (OOMKilled), 4 restarts: back-off"
    )


def test_event_of_either_api_is_read() -> None:
    about = {"kind": "Pod", "name": "x-0"}
    old = {
        "involvedObject": about,
        "reason": "Failed",
        "message": "a  b\nc",
        "count": 3,
        "lastTimestamp": "2026-01-01T00:00:00Z",
    }
    new = {"involvedObject": about, "reason": "Failed", "message": "a b c", "eventTime": "2026-01-01T00:00:00Z", "series": {"count": 3, "lastObservedTime": "2026-01-01T00:00:00Z"}}  # fmt: skip
    assert project_event(old) == project_event(new)
