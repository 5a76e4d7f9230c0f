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

    # Nodes: kernel, GPU sharing, NIC, RDMA, DPU, NUMA
    ComputeCapabilityUnknown = Explanation(
        "The node has no labels nvidia.com/gpu.compute.major and minor.",
        "Install GPU Feature Discovery (part of the NVIDIA GPU operator).",
    )
    ComputeCapabilityTooLow = Explanation(
        "The node's GPUs have a lower CUDA compute capability than required.",
        "Lower nodes.requirements.gpu.computeCapabilityAtLeast, or use other nodes.",
    )
    GPUPartitioned = Explanation(
        "The node's GPUs are cut by MIG or shared by time slicing or MPS, so a pod would not get whole ones.",
        "Switch MIG and sharing off on the node, or set nodes.requirements.gpu.partitioning to Accept.",
    )
    GPUOperandNotReady = Explanation(
        "The node is set up for virtual machines (nvidia.com/gpu.workload.config), so containers get no GPUs.",
        "Set the label nvidia.com/gpu.workload.config to container.",
    )
    KernelUnknown = Explanation("The node does not tell its kernel version.", "Repair the kubelet of the node.")
    KernelTooOld = Explanation(
        "The node's kernel is older than required.",
        "Upgrade the kernel, or lower nodes.requirements.kernelAtLeast.",
    )
    GPUDirectUnavailable = Explanation(
        "The node cannot share GPU memory with the NIC: DMA-BUF needs kernel 5.12, driver 515 and a Turing GPU or newer.",
        "Upgrade kernel and driver, or set nodes.requirements.rdma.gpuDirect to Ignore: LMCache moves KV between DRAM and the store.",
    )
    NICModelUnknown = Explanation(
        "Nothing tells which network adapters the node has.",
        "Run the node validator, or install the NIC configuration operator or the SR-IOV network operator.",
    )
    NICModelMismatch = Explanation(
        "The node has no network adapter of an accepted model.", "Adapt nodes.requirements.rdma.nicModels."
    )
    NICSpeedUnknown = Explanation(
        "Nothing tells the speed of the node's network adapters.",
        "Run the node validator, or install the SR-IOV network operator.",
    )
    NICSpeedTooLow = Explanation(
        "The node's network adapters are slower than required.",
        "Check cable, switch port and speed of the adapter, or lower nodes.requirements.rdma.minSpeedGbps.",
    )
    NICFirmwareUnknown = Explanation(
        "Nothing tells the firmware of the node's network adapters.",
        "Run the node validator, or install the NIC configuration operator.",
    )
    NICFirmwareTooOld = Explanation(
        "The firmware of the node's network adapters is older than required.",
        "Upgrade the firmware, or lower nodes.requirements.rdma.firmwareAtLeast.",
    )
    LinkTypeUnknown = Explanation(
        "Nothing tells whether the node's network adapters speak Ethernet or InfiniBand.",
        "Run the node validator, or install the SR-IOV network operator.",
    )
    LinkTypeMismatch = Explanation(
        "The node's network adapters have the other link layer (Ethernet or InfiniBand).",
        "Set LINK_TYPE in the adapter's firmware, or correct the link type of fabric, policy or requirements.",
    )
    LinkDown = Explanation(
        "The port that should carry RDMA is down.", "Check cable, switch port and the interface of the node."
    )
    NoSubnetManager = Explanation(
        "The InfiniBand port is up, and no subnet manager has configured it.", "Start a subnet manager on the fabric."
    )
    RDMAResourceNotAdvertised = Explanation(
        "The node does not advertise the RDMA resource.",
        "Install the RDMA shared device plugin or the SR-IOV network operator with a policy for the node, and compare the resource's name and prefix.",
    )
    RDMAResourceZero = Explanation(
        "The node advertises the RDMA resource with 0 devices: selectors of the device plugin match nothing, the link type is another, character devices are missing, or the kubelet was restarted.",
        "Read the log of the device plugin on the node; restart it after a restart of the kubelet.",
    )
    RDMAResourceTooFew = Explanation(
        "The node advertises fewer RDMA devices than one pod needs.",
        "Raise numVfs or rdmaHcaMax, or use fewer networks.",
    )
    RDMAResourceExhausted = Explanation(
        "All RDMA devices of the node are taken by pods.", "Free devices, raise numVfs or rdmaHcaMax, or add nodes."
    )
    NICDriverNotReady = Explanation(
        "The NIC driver container of the node is not ready (network.nvidia.com/operator.mofed.wait), so device plugins are held back.",
        "Wait; read the log of the driver's pod (mofed) on the node if it lasts.",
    )
    NICDriverUpgrading = Explanation(
        "The NIC driver of the node is being upgraded.",
        "Wait until nvidia.com/ofed-driver-upgrade-state is upgrade-done.",
    )
    NICDriverBlockedByModule = Explanation(
        "A kernel module that uses the RDMA stack keeps the NIC driver from being loaded.",
        "Unload the module on the node, or allow the driver container to unload storage modules.",
    )
    RDMAModulesMissing = Explanation(
        "The kernel modules for RDMA are not loaded on the node.",
        "Load ib_uverbs, rdma_ucm and mlx5_ib, or install the NIC driver.",
    )
    RDMANetnsModeMismatch = Explanation(
        "The RDMA subsystem of the node is in exclusive mode, in which the shared device plugin ends at once.",
        "Set rdmaMode to shared in SriovNetworkPoolConfig (the node reboots), or use a fabric of type SRIOVEthernet or SRIOVInfiniBand.",
    )
    SRIOVNodeDraining = Explanation(
        "The SR-IOV network operator drains or reconfigures the node.",
        "Wait; if it lasts, look for a PodDisruptionBudget that blocks the drain.",
    )
    SRIOVConfigFailed = Explanation(
        "The SR-IOV network operator could not configure the node.",
        "Read status.lastSyncError of the node's SriovNetworkNodeState; totalvfs 0 means that SRIOV_EN is off in the firmware.",
    )
    DevicePluginCountMismatch = Explanation(
        "The node advertises another number of devices than its policy has made virtual functions.",
        "Restart the SR-IOV device plugin on the node.",
    )
    VFGuidUnset = Explanation(
        "Virtual functions of the InfiniBand adapter have no GUID, so their ports stay down.",
        "Run ib-kubernetes, or switch virtualisation on in the subnet manager.",
    )
    NoDPU = Explanation(
        "The node has no DPU of an accepted model.", "Adapt nodes.requirements.dpu, or use other nodes."
    )
    DPUModeUnknown = Explanation(
        "Nothing tells whether the node's BlueField works as DPU or as plain adapter.",
        "Run the node validator, or install the NIC configuration operator.",
    )
    DPUModeMismatch = Explanation(
        "The node's BlueField works in the other mode (DPU or NIC).",
        "Set INTERNAL_CPU_OFFLOAD_ENGINE in its firmware and power-cycle the node, or adapt nodes.requirements.dpu.mode.",
    )
    DPUNotReady = Explanation(
        "The DOCA Platform Framework has not brought the DPU of the node to Ready.",
        "kubectl describe dpu names the phase that it is in.",
    )
    NUMAUnknown = Explanation(
        "No NodeResourceTopology tells the NUMA zones of the node.", "Install the topology updater of NFD."
    )
    NUMAAlignmentImpossible = Explanation(
        "No NUMA zone of the node has all GPUs and RDMA devices of one pod; the kubelet would end the pod with TopologyAffinityError.",
        "Use fewer GPUs per pod, set excludeTopology on the SR-IOV policy, or set nodes.requirements.numa.alignment to None.",
    )
    NodeNotInFabric = Explanation(
        "The node does not carry the labels of the fabric's nodeSelector, so it does not belong to the fabric.",
        "Label the node, or correct spec.nodeSelector of the fabric.",
    )
    RDMARolloutConverging = Explanation(
        "The RDMA resource is there on a part of the nodes and drivers are still being rolled out on others.",
        "Wait; drivers take minutes per node.",
    )
    RDMAPartial = Explanation(
        "The RDMA resource is there on a part of the nodes only.", "See status.nodes.withoutRdma for the others."
    )
    ReportStale = Explanation(
        "The report of the node validator is too old to count.", "Look after the node validator's pod on the node."
    )
    EvidenceUnavailable = Explanation(
        "A source of facts about nodes cannot be read.",
        "Grant the operator the optional ClusterRole for it, or remove the CRD if it is not in use.",
    )
    PlacementNotEnforced = Explanation(
        "Requirements that node labels cannot express are checked, but pods are not kept away from nodes that miss them.",
        "Install Node Feature Discovery, or apply the optional ClusterRole for node labels.",
    )
    PlacementPending = Explanation(
        "Labels that keep pods away from nodes that miss a requirement are still being written.",
        "Wait; it takes seconds, and a minute at most.",
    )

    # Networks and attachment
    NetworkAttached = Explanation("Fabric, networks and devices are as the deployment needs them.")
    FabricNotFound = Explanation(
        "The InferenceCacheFabric does not exist.", "Create it, or correct transport.fabricRef.name."
    )
    FabricNotReady = Explanation("The InferenceCacheFabric is not ready.", "kubectl describe icf names the cause.")
    FabricForbidden = Explanation(
        "The fabric does not serve this namespace.", "Add the namespace to spec.namespaces of the fabric."
    )
    MultusNotInstalled = Explanation(
        "NetworkAttachmentDefinition is not served, so pods cannot be attached to networks.", "Install Multus."
    )
    NetworkNotFound = Explanation(
        "A NetworkAttachmentDefinition does not exist.",
        "Create it in the namespace of the deployment, or correct its name.",
    )
    NetworkNamespaceIsolated = Explanation(
        "The network is in another namespace, which Multus refuses where it isolates namespaces.",
        "Make the NetworkAttachmentDefinition in the deployment's namespace.",
    )
    NetworkConfigMalformed = Explanation(
        "The configuration of a NetworkAttachmentDefinition is no CNI configuration in JSON.",
        "Correct spec.config; it needs cniVersion and type.",
    )
    NADResourceMismatch = Explanation(
        "The network is bound to another extended resource than the one that pods request.",
        "Make the annotation k8s.v1.cni.cncf.io/resourceName and the fabric's resourceName the same, prefix included.",
    )
    UseSriovIBNetwork = Explanation(
        "The network uses the CNI plugin sriov, which cannot configure InfiniBand.", "Use SriovIBNetwork (ib-sriov)."
    )
    MacvlanOnInfiniBand = Explanation(
        "Macvlan does not work on an InfiniBand interface.", "Use a fabric of type SharedIPoIB."
    )
    IPAMNotClusterWide = Explanation(
        "The network's IPAM is host-local, which gives the same address on several nodes.",
        "Use nv-ipam or whereabouts.",
    )
    IPAMMissing = Explanation("The network has no IPAM, so pods get no address on it.", "Add ipam to the network.")
    IPPoolExhausted = Explanation(
        "The address pool of the network has no room for a node or pod.", "Enlarge the pool, or free blocks."
    )
    RailsShareSubnet = Explanation(
        "Two networks of the fabric have one subnet, so traffic goes one way only.", "Give each network its own subnet."
    )
    MTUTooSmall = Explanation(
        "The MTU of the interface is too small for the RoCE MTU of 4096.", "Set 4200 or more on interface and switch."
    )
    TooFewVFsRequested = Explanation(
        "The pod requests fewer devices than it has networks that need one.", "Raise transport.rdma.count."
    )
    DeviceClaimedTwice = Explanation(
        "Two fabrics or plugins claim the same device.", "Take the device out of one of them."
    )
    ResourceInjectorMissed = Explanation(
        "A pod has the network's annotation, and its container has not the resource.",
        "Delete the pod; do not rely on the network resources injector.",
    )
    NetworkBypassed = Explanation(
        "A pod runs without an entry for its network in network-status: Multus did not attach it.",
        "Look after Multus on the node, and delete the pod.",
    )
    PodSecurityBlocked = Explanation(
        "The namespace's Pod Security refuses IPC_LOCK, so no pod would be created.",
        "Label the namespace pod-security.kubernetes.io/enforce=privileged.",
    )
    DRANotServed = Explanation(
        "The API server does not serve resource.k8s.io/v1.", "Upgrade to Kubernetes 1.34, or use resourceName."
    )
    DRANoMatchingDevices = Explanation(
        "No ResourceSlice offers an RDMA device of the DeviceClass.",
        "Install the DRA driver on the nodes, or use resourceName.",
    )
    DeviceClassNotFound = Explanation("The DeviceClass does not exist.", "Create it, or correct its name.")

    # Transport
    TransportAsWanted = Explanation("Every pod uses the transport that the policy prefers.")
    TransportUnknown = Explanation("Pods have not told yet which transport they use.", "Wait for their preflight.")
    RDMAUnavailable = Explanation(
        "Too few nodes can carry RDMA, so pods are rendered for TCP.", "See status.nodes.withoutRdma."
    )
    RDMARecovered = Explanation(
        "The fabric can carry RDMA again; pods on TCP take it up at their next restart.",
        "Restart pods, or set transport.recovery to Immediate.",
    )
    RDMAReturning = Explanation(
        "RDMA can be had again; new pods use it once that has lasted for a minute.", "Wait; it takes a minute."
    )
    ClientWithoutRDMA = Explanation(
        "The client of the store speaks TCP only.",
        "Use client Plugin, or client NIXL with rdmaDialect, where the store has one.",
    )
    RDMARegistrationTooLarge = Explanation(
        "The NIXL engine of this dialect registers the memory tier in one piece, of which it takes 4 GiB at most.",
        "Write at most 4095Mi for the memory tier, or use client Plugin.",
    )
    NoObjectStoreForRDMA = Explanation(
        "RDMA is asked for, and there is no object store tier that could use it.",
        "Add an objectStore tier, or remove transport.",
    )
    PreflightFailed = Explanation(
        "The preflight of a pod ended without a verdict.", "Read the log of the container preflight."
    )
    NoRDMADevice = Explanation(
        "The pod sees no RDMA device that it can open.", "Look after the device plugin on the node, and delete the pod."
    )
    NoGIDOnInterface = Explanation(
        "The RDMA device has no GID in the pod, as with the default network alone.", "Attach a secondary network."
    )
    GIDIndexMismatch = Explanation(
        "The RoCE v2 GID of the device is not at the index that UCX_IB_GID_INDEX names.",
        "Remove UCX_IB_GID_INDEX; UCX finds the index by itself.",
    )
    RDMADeviceAmbiguous = Explanation(
        "Several RDMA devices are open to the pod and none belongs to its network.",
        "Use a fabric whose networks carry the resource's name, or one network.",
    )
    NoFabricAddress = Explanation(
        "The interface of the fabric has no address in the pod.", "Look after the IPAM of the network."
    )
    MemlockTooLow = Explanation(
        "The limit of locked memory in the pod is lower than the memory tier needs.",
        "Set LimitMEMLOCK=infinity for the container runtime of the node, or transport.lockedMemory to IPCLock.",
    )
    IPCLockIneffectiveNonRoot = Explanation(
        "The pod asked for IPC_LOCK, which is not effective for its user.",
        "Run the image as root, or set LimitMEMLOCK=infinity for the container runtime and transport.lockedMemory to NodeUnlimited.",
    )
    UCXDeviceNotPinned = Explanation(
        "The pod sees RDMA devices that do not belong to the fabric, and nothing pins the right one.",
        "Leave UCX_NET_DEVICES to the operator.",
    )
    SilentTCPFallback = Explanation(
        "The pod has RDMA, and its bytes go over TCP: a variable makes UCX do so, or the client fell back by itself.",
        "Remove UCX_TLS, or leave tcp out of it; otherwise ask the store's vendor whether client and store speak RDMA with each other.",
    )
    RDMATransferUnproven = Explanation(
        "No bytes went over RDMA in the preflight: the client has none of its own to try, or the counters of the port did not move.",
        "Read the log of the container preflight; ask the store's vendor for the client.",
    )
    PodAdmissionFailed = Explanation(
        "The kubelet refused a pod for good; Kubernetes makes a new one at once, however often that repeats.",
        "See the message: TopologyAffinityError is a matter of NUMA zones, UnexpectedAdmissionError of a device plugin that was not ready. Cordon the node that it names, or scale down, to end the repetition.",
    )
    FailedPodRemoved = Explanation(
        "A pod that the kubelet had refused for good was deleted so that a new one takes its place."
    )

    # Fabric
    FabricReady = Explanation("The fabric exists as specified, and nodes can carry it.")
    FabricObjectsPresent = Explanation("Every object of the fabric is there.")
    FabricObjectsMissing = Explanation("Objects of the fabric are missing.", "Create them, or set mode to Manage.")
    FabricObjectFaulty = Explanation(
        "An object of the fabric exists and its own controller says that it is not ready.", "See the message."
    )
    FabricCRDMissing = Explanation(
        "A CustomResourceDefinition that the fabric's type needs is not installed.",
        "Install the operator that is named in the message.",
    )
    FabricFieldConflict = Explanation(
        "Someone else manages a field of an object that the fabric shares; nothing is forced.",
        "Take the field out of the other manager's manifest, or set mode to Reference.",
    )
    NodeDrainNotAcknowledged = Explanation(
        "The fabric needs a SriovNetworkNodePolicy, for which nodes are drained and may reboot.",
        "Set spec.nodeDrain to Acknowledged when that is fine, or mode to Reference.",
    )
    FabricInUse = Explanation(
        "Pods still use the fabric, so none of its objects is deleted.",
        "Delete the deployments that refer to it, or take transport out of them.",
    )
    FabricRuleBroken = Explanation(
        "The fabric breaks a rule of the operators that would have to carry it out.", "See the message."
    )
    FabricNoNodes = Explanation(
        "No node matches spec.nodeSelector of the fabric.", "Correct spec.nodeSelector, or label nodes."
    )
    NamespaceNotFound = Explanation(
        "A namespace that the fabric needs does not exist.",
        "Create the namespace, or take it out of spec.namespaces of the fabric.",
    )
    FabricNodesReady = Explanation("Nodes of the fabric advertise its resource.")
    FabricDeleting = Explanation(
        "The fabric is being deleted; its objects go when no pod uses them.",
        "Wait; deployments that refer to it need another fabric, or none.",
    )
    FabricApplied = Explanation("Objects of the fabric were created or changed.")
    FabricRemoved = Explanation("Objects of the fabric were deleted.")

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
