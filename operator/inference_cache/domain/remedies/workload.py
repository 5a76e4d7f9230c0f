"""Remedies for pods: images, crashes, places to run, and what keeps the StatefulSet from creating them."""

from typing import Final

from inference_cache.domain.pod_trouble import ContainerTrouble

from .fixes import Command, Fix, Situation, Step, find_field, look
from .placement import plan_placement
from .quota import plan_quota

_PULL: Final = ("ImagePullBackOff", "ErrImagePull", "InvalidImageName", "ErrImageNeverPull")


def mend_image(situation: Situation) -> tuple[Fix, ...]:
    """An image cannot be pulled."""
    trouble = next((item for item in situation.troubles if item.waiting in _PULL), None)
    image = trouble.image if trouble else find_field(situation.spec, ("engine", "image")) or "the engine image"
    steps: list[Step] = []
    if trouble:
        steps.append(look(situation.target.kubectl("describe", "pod", trouble.pod)))
    steps.append(situation.edit(("engine", "image"), "<IMAGE>"))
    why = f"{image} cannot be pulled: the name or tag does not exist, the registry refuses, or the node does not reach it. Name an image that can be pulled."
    return (Fix(why, tuple(steps)),)


def mend_crash(situation: Situation) -> tuple[Fix, ...]:
    """A container ends again and again."""
    troubles = [item for item in situation.troubles if item.waiting not in _PULL]
    if not troubles:
        logs = situation.target.kubectl("logs", f"{situation.target.name}-0", "--all-containers", "--previous")
        return (Fix("A container ended with an error. Its last words say why.", (look(logs),)),)
    fixes = []
    for trouble in troubles[:1]:
        logs = situation.target.kubectl("logs", trouble.pod, "-c", trouble.container, "--previous", "--tail=50")
        fixes.append(Fix(_explain_crash(trouble), (look(logs),)))
    again = tuple(
        Command(situation.target.kubectl("delete", "pod", name)) for name in sorted({t.pod for t in troubles})[:3]
    )
    fixes.append(
        Fix(
            "Once the cause is mended: the kubelet waits up to 5 minutes between starts; a new pod starts at once.",
            again,
        )
    )
    return tuple(fixes)


def _explain_crash(trouble: ContainerTrouble) -> str:
    name = f"Container {trouble.container} of pod {trouble.pod}"
    if trouble.ended == "OOMKilled":
        return f"{name} was killed because it used more memory than its limit. Its last words say what it was doing."
    if trouble.container == "weights":
        return f"{name} fetches the weights and fails: repository, revision, access token or the way to the hub. Its last words say which."
    code = "" if trouble.exit_code is None else f" with exit code {trouble.exit_code}"
    return f"{name} ends{code}. Its last words say why."


def mend_unschedulable(situation: Situation) -> tuple[Fix, ...]:
    """The scheduler finds no place."""
    fixes: list[Fix] = []
    # The spec passes the node checks as it is, so only what brings back a node that it means is of use.
    plans = plan_placement(situation, candidates_only=True)
    fixes += [fix for fix in plans if all(isinstance(step, Command) for step in fix.steps)]
    wanted = find_field(situation.spec, ("replicas",)) or 1
    if 0 < situation.ready < wanted:
        scale = situation.target.kubectl("scale", "icd", situation.target.name, f"--replicas={situation.ready}")
        why = f"{situation.ready} of {wanted} replicas found a place. Run these until capacity is free or added."
        fixes.append(Fix(why, (Command(scale),)))
    nodes = situation.target.kubectl_cluster("describe", "nodes", "-l", "nvidia.com/gpu.present=true")
    why = "The nodes are suitable, but what other pods hold leaves no room. This shows under 'Allocated resources' who takes what; move something away, or add nodes."
    fixes.append(Fix(why, (look(nodes),)))
    return tuple(fixes)


def mend_missing_pods(situation: Situation) -> tuple[Fix, ...]:
    """The StatefulSet controller is refused."""
    name = situation.target.name
    texts = [event.message for event in situation.events if event.about == f"StatefulSet/{name}"]
    for text in texts:
        if fix := plan_quota(situation.target, text):
            return (fix,)
    show = look(situation.target.kubectl("describe", "statefulset", name))
    why = "The StatefulSet may not create its pods. Its events name who refuses: a quota, Pod Security, or an admission webhook."
    security = next((text for text in texts if "PodSecurity" in text), None)
    if security is not None:
        namespace = situation.target.namespace
        why = f"Pod Security of namespace {namespace} refuses the pods: {security[:300]} The namespace's labels set the level."
        show = look(situation.target.kubectl_cluster("get", "namespace", namespace, "--show-labels"))
    return (Fix(why, (show,)),)


def mend_zero(situation: Situation) -> tuple[Fix, ...]:
    """Nobody serves, as specified."""
    scale = situation.target.kubectl("scale", "icd", situation.target.name, "--replicas=1")
    return (Fix("spec.replicas is 0, so nothing serves. Scale up when it should.", (Command(scale),)),)
