"""What engine pods hold on each node, and which of them the kubelet refused lately; both follow the pods as they are seen."""

from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from typing import Final

from inference_cache.domain.attachment import Variant
from inference_cache.domain.pod_facts import PodFacts
from inference_cache.domain.refused_pods import REMEMBERED, Refusal, build_refusal

NamespacedName = tuple[str, str]

_NOTHING: Final[Mapping[str, int]] = {}


class DeviceIndex:
    """Devices and GPUs that RDMA pods hold, by node.

    GPUs of pods on TCP are left out: where those are replaced for RDMA, their GPUs are free for their successors.

    Args:
        changed: Called with a node whose devices are used by others than before.

    Attributes:
        version: Grows with every change.
    """

    def __init__(self, changed: Callable[[str], None] = lambda _: None) -> None:
        self._changed = changed
        self.version = 0
        self._pods: dict[NamespacedName, PodFacts] = {}
        self._used: dict[str, dict[str, int]] = {}

    def used(self, node: str) -> Mapping[str, int]:
        """Return the devices of a node that RDMA pods hold, by extended resource."""
        return self._used.get(node, _NOTHING)

    def put(self, pod: PodFacts) -> None:
        """Take in a pod that was seen."""
        name = (pod.namespace, pod.name)
        before = self._pods.get(name)
        if before is not None and (before.uid, before.node, before.ended) == (pod.uid, pod.node, pod.ended):
            return
        self.drop(name)
        # A pod that has failed holds nothing, although it has a node.
        if pod.node and pod.make.variant is Variant.RDMA and not pod.ended:
            self._pods[name] = pod
            self._count(pod, 1)

    def drop(self, name: NamespacedName) -> None:
        """Forget a pod that is gone."""
        pod = self._pods.pop(name, None)
        if pod is not None:
            self._count(pod, -1)

    def _count(self, pod: PodFacts, sign: int) -> None:
        counts = dict(self._used.get(pod.node, _NOTHING))
        for name, count in pod.transport.devices:
            counts[name] = counts.get(name, 0) + sign * count
        left = {name: count for name, count in counts.items() if count > 0}
        if left:
            self._used[pod.node] = left
        else:
            self._used.pop(pod.node, None)
        self.version += 1
        self._changed(pod.node)


class RefusalIndex:
    """The latest refusals of each deployment; the pods themselves are gone within a second."""

    def __init__(self) -> None:
        self._known: dict[NamespacedName, deque[Refusal]] = defaultdict(lambda: deque(maxlen=REMEMBERED))

    def of(self, key: NamespacedName) -> tuple[Refusal, ...]:
        """Return a deployment's refusals, the oldest first."""
        return tuple(self._known.get(key, ()))

    def put(self, key: NamespacedName, pod: PodFacts) -> None:
        """Take in a pod that was seen."""
        refusal = build_refusal(pod)
        if refusal is not None and all(item.uid != refusal.uid for item in self._known.get(key, ())):
            self._known[key].append(refusal)

    def drop(self, key: NamespacedName) -> None:
        """Forget a deployment that is gone."""
        self._known.pop(key, None)
