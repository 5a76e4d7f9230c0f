"""The one list of reasons that conditions, events and tests use, each with its meaning and its remedy.

Reasons are API: automation branches on them, so a released one is never renamed. The reference page is generated from
this file.
"""

from dataclasses import dataclass
from enum import Enum, unique


@dataclass(frozen=True)
class Explanation:
    """What a reason means and what mends it."""

    meaning: str
    remedy: str = ""


@unique
class Reason(Enum):
    """Why a condition has its status. The member's name is the reason in the API."""

    # Summary
    Ready = Explanation("All replicas run the current specification and answer as ready.")
    CacheDegraded = Explanation(
        "The engines serve, but a cache tier has trouble; requests cost prefill time instead of cache hits.",
        "See ObjectStoreReady and CredentialsReady for the cause.",
    )
    ScaledToZero = Explanation("spec.replicas is 0, so no pods run.", "Scale up to serve.")

    # Progress
    Complete = Explanation("Nothing is in progress.")
    PodsStarting = Explanation("Pods exist and are not ready yet.", "Wait; large models load for minutes.")
    ReplacingPods = Explanation("Pods of an older specification are being replaced.", "Wait.")
    Scaling = Explanation("Pods are being added or removed.", "Wait.")
    ChangeHeld = Explanation(
        "A new specification is not rolled out because a check fails; pods keep running as they are.",
        "Mend the condition named in the message; the change follows by itself.",
    )
    Waiting = Explanation("A check failed for a cause that may pass; it is repeated.", "See the named condition.")

    # Spec
    SpecAccepted = Explanation("The spec obeys every rule.")
    SpecInvalid = Explanation(
        "The spec breaks a rule; the CRD in the cluster is probably older than the operator.",
        "Correct the named fields, and install the CRDs of this operator version.",
    )
    NotStalled = Explanation("No one needs to act.")
    MemoryTierTooSmall = Explanation(
        "The memory tier cannot hold the contexts that are loaded from the store at a time, so loads would starve.",
        "Enlarge cache.tiers[].memory.size, or lower objectStore.maxInFlightLoads or model.maxModelLen.",
    )
    ResourcesTooSmall = Explanation(
        "A resource override is less than the processes need, or a request exceeds its limit.",
        "Raise the named value, or remove it to get the computed one.",
    )

    # Compatible
    VersionsCompatible = Explanation("Versions, options, model and Kubernetes go together.")
    EngineVersionsUnknown = Explanation(
        "Nobody says which vLLM and LMCache versions the image holds, so neither options nor the cache's key format are known.",
        "Set engine.versions {vllm, lmcache}, or use a tag such as vllm-0.32.0-lmcache-0.5.6.",
    )
    EngineVersionsContradict = Explanation(
        "engine.versions and the tag of the image name different versions.", "Correct one of them."
    )
    KnownBadVersions = Explanation(
        "These versions are known to fail or to corrupt answers together; the message names the upstream issue.",
        "Use a supported pair.",
    )
    UnsupportedVersions = Explanation(
        "The pair of versions is not in the compatibility table.",
        "Use a supported pair, or add yours to the ConfigMap inference-cache-versions in the operator's namespace.",
    )
    OptionUnknown = Explanation(
        "An entry of engine.extraArgs is no option of this vLLM version, or its value is not of the option's type.",
        "Correct the entry; vllm serve --help of that version lists the options.",
    )
    VariableUnknown = Explanation(
        "A variable that may change the KV cache comes from a Secret, so its value cannot be part of the layout fingerprint.",
        "Write it as value, or leave it out.",
    )
    FeatureUnsupported = Explanation(
        "The version pair cannot do what a field asks for.", "Use a pair that can, or remove the field."
    )
    KubernetesTooOld = Explanation(
        "The cluster's Kubernetes version lacks a feature that the pods need.", "Upgrade the cluster."
    )
    HybridModelInStore = Explanation(
        "Models with sliding-window, linear or state-space layers answered wrongly after a restart with stored KV (LMCache#4492, LMCache#4674).",
        "Remove the objectStore tier, or serve a model with full attention.",
    )
    ChunkNotMultiple = Explanation(
        "cache.chunkTokens is no multiple of the engine's block size for this kind of attention.",
        "Write a multiple of 128; 256 suits most models.",
    )
    ParallelismImpossible = Explanation(
        "The model's attention heads cannot be divided among that many GPUs; vLLM would not start.",
        "Choose an engine.tensorParallelSize that divides the number of attention heads.",
    )

    # CachePaysOff
    PredictedToPay = Explanation("By the capacity plan, loading from the tiers is faster than computing again.")
    PredictedBelowBreakEven = Explanation(
        "By the capacity plan, the link to the store is slower than computing again: the object store tier would make serving slower.",
        "Widen the link, enlarge the memory tier, or remove the objectStore tier.",
    )
    CacheAddsNothing = Explanation(
        "By the capacity plan, the tiers give nothing that HBM does not give already.",
        "See the message: a larger memory tier, or no cache at all.",
    )
    PayoffUnknown = Explanation(
        "Whether the cache pays off is not known.",
        "Declare what the message names: model.architecture, workload, objectStore.link, nodes.requirements.gpu.products.",
    )

    # Nodes
    NodesAvailable = Explanation("Enough nodes meet the requirements.")
    NodesUnknown = Explanation(
        "The operator could not read the nodes yet.", "Wait; check the operator's RBAC if it lasts."
    )
    NoCandidateNodes = Explanation(
        "No node matches spec.nodes.selector with its taints tolerated.",
        "Correct spec.nodes.selector and spec.nodes.tolerations, or label nodes.",
    )
    NoEligibleNodes = Explanation(
        "Candidate nodes exist, but none meets every requirement.",
        "Read status.nodes.ineligible; relax spec.nodes.requirements, lower engine.tensorParallelSize or cache.tiers sizes, or add nodes.",
    )
    NodeNotReady = Explanation("The node does not report Ready.", "Repair the node.")
    NodeUnschedulable = Explanation("The node is cordoned.", "Uncordon the node.")
    GPUProductUnknown = Explanation(
        "The node has no label nvidia.com/gpu.product, so its GPU model is unknown.",
        "Install GPU Feature Discovery (part of the NVIDIA GPU operator).",
    )
    GPUProductMismatch = Explanation(
        "The node's GPUs are of another model.", "Adapt spec.nodes.requirements.gpu.products."
    )
    GPUNotAdvertised = Explanation(
        "The node has no resource nvidia.com/gpu.", "Install or repair the NVIDIA device plugin on the node."
    )
    GPUCountTooLow = Explanation(
        "The node has fewer GPUs than one replica needs.", "Lower engine.tensorParallelSize, or use larger nodes."
    )
    GPUMemoryUnknown = Explanation(
        "The node has no label nvidia.com/gpu.memory, so the memory of its GPUs is unknown.",
        "Install GPU Feature Discovery (part of the NVIDIA GPU operator).",
    )
    GPUMemoryTooSmall = Explanation(
        "The node's GPUs have less memory than required.",
        "Lower nodes.requirements.gpu.minMemoryPerGPU, or use other nodes.",
    )
    DriverUnknown = Explanation(
        "The node has no label nvidia.com/cuda.driver-version.major, so its driver is unknown.",
        "Install GPU Feature Discovery (part of the NVIDIA GPU operator).",
    )
    DriverTooOld = Explanation(
        "The node's NVIDIA driver is older than required.",
        "Upgrade the driver, or lower nodes.requirements.gpu.driverMajorAtLeast.",
    )
    CPUsTooFew = Explanation(
        "The node has fewer CPUs than one replica requests.", "Lower the cpu of engine.resources, or use larger nodes."
    )
    HugePagesTooFew = Explanation(
        "The node has fewer huge pages of 2Mi than the memory tier needs.",
        "Reserve them on the node (vm.nr_hugepages, then restart the kubelet), or set memory.pages to Standard.",
    )
    MemoryTooSmall = Explanation(
        "The node has less memory than one replica requests or than nodes.requirements.memory.",
        "Lower the memory tier's size, or use larger nodes.",
    )

    # Credentials
    CredentialsFound = Explanation("Every referenced Secret exists and has the needed keys.")
    CredentialsNotNeeded = Explanation("The spec refers to no Secret.")
    SecretNotFound = Explanation("A referenced Secret does not exist.", "Create it in the deployment's namespace.")
    SecretKeyMissing = Explanation("A referenced Secret lacks a key.", "Add the key named in the message.")
    SecretKeyMalformed = Explanation(
        "A key of a referenced Secret is empty or has white space around its value.",
        "Write the Secret again, without a trailing newline (kubectl create secret, or printf instead of echo).",
    )
    SecretForbidden = Explanation(
        "The operator may not read the Secret.", "Grant the operator get on Secrets in the namespace."
    )

    # Object store
    BucketReachable = Explanation("The bucket answered a signed request.")
    NoObjectStore = Explanation("The spec has no object store tier.")
    NotChecked = Explanation("The bucket was not asked, because an earlier check failed.", "See CredentialsReady.")
    BucketNotFound = Explanation(
        "The store says that the bucket does not exist.", "Create the bucket, or correct its name."
    )
    AccessDenied = Explanation(
        "The store knows the key but denies access to the bucket.",
        "Grant the key list, get, put and delete on the bucket.",
    )
    AccessKeyUnknown = Explanation(
        "The store does not know the access key.", "Correct AWS_ACCESS_KEY_ID in the Secret."
    )
    SignatureMismatch = Explanation(
        "The store refuses the signature.", "Correct AWS_SECRET_ACCESS_KEY in the Secret, and check the region."
    )
    ClockSkew = Explanation("The store's clock differs from the operator's by too much.", "Synchronise the clocks.")
    WrongRegion = Explanation("The bucket is in another region.", "Correct spec.cache.tiers[].objectStore.region.")
    HostNotFound = Explanation(
        "The host name BUCKET.ENDPOINT does not resolve.",
        "Add wildcard DNS for the endpoint; LMCache reaches buckets by host name only.",
    )
    CANotFound = Explanation(
        "The ConfigMap with the store's authorities does not exist.", "Create it in the deployment's namespace."
    )
    CAKeyMissing = Explanation(
        "The ConfigMap with the store's authorities lacks the key.",
        "Add the key named in the message, or correct tls.caRef.key.",
    )
    CAMalformed = Explanation(
        "The store's authorities are no certificates in PEM form.",
        "Write the PEM text, beginning with -----BEGIN CERTIFICATE-----.",
    )
    CertificateUntrusted = Explanation(
        "The store's TLS certificate is not trusted.", "Correct the certificate or its names."
    )
    StoreUnreachable = Explanation(
        "The store does not answer.", "Check endpoint, port, network policies and the store."
    )
    StoreError = Explanation("The store answered with an unexpected error.", "See the message; check the store.")

    # Workload
    PodsReady = Explanation("Every wanted pod answers as ready.")
    PodsUnschedulable = Explanation("The scheduler finds no place for a pod.", "See the message; free or add capacity.")
    PodsCrashing = Explanation("A container ends again and again.", "Read the logs of the named container.")
    ImagePullFailing = Explanation("An image cannot be pulled.", "Correct the image name or its pull credentials.")
    PodsNotCreated = Explanation(
        "The StatefulSet has not created all pods.",
        "kubectl describe statefulset names the refusal (quota, Pod Security, admission webhooks).",
    )
    WorkloadHeld = Explanation("No pods are created because a check fails.", "Mend the condition named in the message.")

    # Writes
    NameConflict = Explanation(
        "An object of the wanted name exists and belongs to someone else; it is left untouched.",
        "Delete or rename that object, or rename the deployment.",
    )
    ChildTerminating = Explanation(
        "An older object of the same name is still being deleted.", "Wait; look for finalizers if it lasts."
    )
    Forbidden = Explanation(
        "The API server denies the operator a request.", "Install the operator's RBAC of this version."
    )
    WriteRefused = Explanation(
        "The API server refuses an object (admission webhook, quota, policy).",
        "Read the message; change the policy or the spec.",
    )
    RequestsFailing = Explanation(
        "The API server fails the operator's requests again and again; they are repeated.",
        "See the message: an admission webhook that does not answer, or an API server in trouble.",
    )
    RunningConfigLost = Explanation(
        "A ConfigMap of the running pods is gone while a change is held, and only the old specification could render it; pods that restart cannot start.",
        "Mend the condition that holds the change, or undo the change of the spec.",
    )
    InternalError = Explanation("The operator failed; it tries again.", "Read the operator's log; report the error.")

    # Events only
    Created = Explanation("Objects of the deployment were created.")
    Updated = Explanation("Objects of the deployment were changed to a new specification.")
    DriftCorrected = Explanation("An object that someone else had changed or deleted was restored.")
    Pruned = Explanation("Objects that are no longer needed were deleted.")
    PodReplaced = Explanation("A pod of an older specification was deleted so that a new one takes its place.")

    @property
    def meaning(self) -> str:
        """What the reason means."""
        return self.value.meaning

    @property
    def remedy(self) -> str:
        """What mends it; empty where nothing needs mending."""
        return self.value.remedy
