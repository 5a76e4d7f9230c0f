"""From a reason to what mends it: every reason has its entry, and one that needs no mending says so."""

from collections.abc import Mapping
from typing import Final

from inference_cache.domain.reasons import Reason

from . import (
    authorities,
    bucket,
    compatibility,
    control,
    eligibility,
    fabric,
    networks,
    nodes,
    rdma,
    secrets,
    transport,
    workload,
)
from .eligibility import NODE_REMEDIES, Builder
from .fixes import Change, Command, Edit, Fix, Situation, Step, Target

__all__ = ["REMEDIES", "Change", "Command", "Edit", "Fix", "Situation", "Step", "Target", "find_fixes"]


def _nothing(why: str) -> Builder:
    return lambda _: (Fix(why),)


_GOOD: Final = _nothing("This is as it should be.")
_WAIT: Final = _nothing("This passes by itself.")
_ELSEWHERE: Final = _nothing("This follows from another condition, and passes when that one is mended.")
_NEWS: Final = _nothing("This is news of what the operator did, and asks for nothing.")

REMEDIES: Final[Mapping[Reason, Builder]] = {
    Reason.Ready: _GOOD,
    Reason.CacheDegraded: _ELSEWHERE,
    Reason.ScaledToZero: workload.mend_zero,
    Reason.Complete: _GOOD,
    Reason.PodsStarting: _nothing(
        "Pods are starting; large models load for minutes. kubectl logs shows how far they are."
    ),
    Reason.ReplacingPods: _WAIT,
    Reason.Scaling: _WAIT,
    Reason.ChangeHeld: _ELSEWHERE,
    Reason.Waiting: _ELSEWHERE,
    Reason.SpecAccepted: _GOOD,
    Reason.SpecInvalid: control.mend_spec,
    Reason.NotStalled: _GOOD,
    Reason.MemoryTierTooSmall: compatibility.mend_tier_size,
    Reason.ResourcesTooSmall: compatibility.mend_resources,
    Reason.VersionsCompatible: _GOOD,
    Reason.EngineVersionsUnknown: compatibility.mend_unknown_versions,
    Reason.EngineVersionsContradict: compatibility.mend_contradiction,
    Reason.KnownBadVersions: compatibility.mend_versions,
    Reason.UnsupportedVersions: compatibility.mend_versions,
    Reason.OptionUnknown: compatibility.mend_option,
    Reason.VariableUnknown: compatibility.mend_variable,
    Reason.FeatureUnsupported: compatibility.mend_feature,
    Reason.KubernetesTooOld: compatibility.mend_kubernetes,
    Reason.HybridModelInStore: compatibility.mend_hybrid,
    Reason.ChunkNotMultiple: compatibility.mend_chunk,
    Reason.ParallelismImpossible: compatibility.mend_parallelism,
    Reason.PredictedToPay: _GOOD,
    Reason.PredictedBelowBreakEven: compatibility.advise_on_link,
    Reason.CacheAddsNothing: compatibility.advise_on_tiers,
    Reason.PayoffUnknown: compatibility.advise_on_unknowns,
    Reason.NodesAvailable: _GOOD,
    Reason.NodesUnknown: nodes.mend_nodes_unknown,
    Reason.NoCandidateNodes: eligibility.mend_no_candidates,
    Reason.NoEligibleNodes: eligibility.mend_no_eligible_nodes,
    **NODE_REMEDIES,
    Reason.RDMARolloutConverging: rdma.wait_for_rollout,
    Reason.RDMAPartial: eligibility.mend_few_rdma_nodes,
    Reason.EvidenceUnavailable: eligibility.mend_unread_source,
    Reason.PlacementNotEnforced: eligibility.mend_unenforced_placement,
    Reason.PlacementPending: _WAIT,
    Reason.NetworkAttached: _GOOD,
    Reason.FabricNotFound: networks.mend_absent_fabric,
    Reason.FabricNotReady: networks.mend_fabric,
    Reason.FabricForbidden: networks.mend_forbidden_fabric,
    Reason.MultusNotInstalled: networks.mend_no_multus,
    Reason.NetworkNotFound: networks.mend_absent_network,
    Reason.NetworkNamespaceIsolated: networks.mend_isolation,
    Reason.NetworkConfigMalformed: networks.mend_network_config,
    Reason.NADResourceMismatch: networks.mend_bound_resource,
    Reason.UseSriovIBNetwork: networks.mend_cni_type,
    Reason.MacvlanOnInfiniBand: networks.mend_macvlan,
    Reason.IPAMNotClusterWide: networks.mend_ipam,
    Reason.IPAMMissing: networks.mend_ipam,
    Reason.IPPoolExhausted: networks.mend_pool,
    Reason.RailsShareSubnet: networks.mend_rails,
    Reason.MTUTooSmall: networks.mend_mtu,
    Reason.TooFewVFsRequested: networks.mend_device_count,
    Reason.DeviceClaimedTwice: networks.mend_claimed_twice,
    Reason.ResourceInjectorMissed: networks.mend_injected,
    Reason.NetworkBypassed: networks.mend_bypass,
    Reason.PodSecurityBlocked: networks.mend_pod_security,
    Reason.DRANotServed: networks.mend_no_dra,
    Reason.DeviceClassNotFound: networks.mend_no_class,
    Reason.TransportAsWanted: _GOOD,
    Reason.TransportUnknown: transport.wait_for_preflight,
    Reason.RDMAUnavailable: eligibility.mend_few_rdma_nodes,
    Reason.RDMARecovered: transport.mend_recovery,
    Reason.RDMAReturning: _WAIT,
    Reason.ClientWithoutRDMA: transport.mend_client,
    Reason.RDMARegistrationTooLarge: transport.mend_registration,
    Reason.NoObjectStoreForRDMA: transport.mend_no_store,
    Reason.PreflightFailed: transport.mend_preflight,
    Reason.NoRDMADevice: transport.mend_no_device,
    Reason.NoGIDOnInterface: transport.mend_no_gid,
    Reason.GIDIndexMismatch: transport.mend_variable,
    Reason.RDMADeviceAmbiguous: transport.mend_ambiguity,
    Reason.NoFabricAddress: transport.mend_no_address,
    Reason.MemlockTooLow: transport.mend_memlock,
    Reason.IPCLockIneffectiveNonRoot: transport.mend_capability,
    Reason.UCXDeviceNotPinned: transport.mend_variable,
    Reason.SilentTCPFallback: transport.mend_variable,
    Reason.RDMATransferUnproven: transport.mend_unproven,
    Reason.PodAdmissionFailed: transport.mend_admission,
    Reason.FailedPodRemoved: _NEWS,
    Reason.FabricReady: _GOOD,
    Reason.FabricObjectsPresent: _GOOD,
    Reason.FabricObjectsMissing: fabric.mend_missing_objects,
    Reason.FabricObjectFaulty: fabric.mend_faulty_object,
    Reason.FabricCRDMissing: fabric.mend_missing_crd,
    Reason.FabricFieldConflict: fabric.mend_conflict,
    Reason.NodeDrainNotAcknowledged: fabric.mend_drain,
    Reason.FabricInUse: fabric.mend_use,
    Reason.FabricRuleBroken: fabric.mend_rule,
    Reason.FabricNoNodes: fabric.mend_no_nodes,
    Reason.NamespaceNotFound: fabric.mend_absent_namespace,
    Reason.FabricNodesReady: _GOOD,
    Reason.FabricDeleting: fabric.show_progress,
    Reason.FabricApplied: _NEWS,
    Reason.FabricRemoved: _NEWS,
    Reason.CredentialsFound: _GOOD,
    Reason.CredentialsNotNeeded: _GOOD,
    Reason.SecretNotFound: secrets.mend_absent_secret,
    Reason.SecretKeyMissing: secrets.mend_bad_key,
    Reason.SecretKeyMalformed: secrets.mend_bad_key,
    Reason.SecretForbidden: secrets.mend_unreadable_secret,
    Reason.BucketReachable: _GOOD,
    Reason.NoObjectStore: _GOOD,
    Reason.NotChecked: _ELSEWHERE,
    Reason.BucketNotFound: bucket.mend_absent_bucket,
    Reason.AccessDenied: bucket.mend_denied,
    Reason.AccessKeyUnknown: secrets.mend_unknown_access_key,
    Reason.SignatureMismatch: secrets.mend_signature,
    Reason.ClockSkew: bucket.mend_clock,
    Reason.WrongRegion: bucket.mend_region,
    Reason.HostNotFound: bucket.mend_host,
    Reason.CANotFound: authorities.mend_absent_authorities,
    Reason.CAKeyMissing: authorities.mend_bad_authorities,
    Reason.CAMalformed: authorities.mend_bad_authorities,
    Reason.CertificateUntrusted: bucket.mend_certificate,
    Reason.StoreUnreachable: bucket.mend_unreachable,
    Reason.StoreError: bucket.mend_store_error,
    Reason.PodsReady: _GOOD,
    Reason.PodsUnschedulable: workload.mend_unschedulable,
    Reason.PodsCrashing: workload.mend_crash,
    Reason.ImagePullFailing: workload.mend_image,
    Reason.PodsNotCreated: workload.mend_missing_pods,
    Reason.WorkloadHeld: _ELSEWHERE,
    Reason.NameConflict: control.mend_name_conflict,
    Reason.ChildTerminating: control.wait_for_deletion,
    Reason.Forbidden: control.mend_rights,
    Reason.WriteRefused: control.mend_refusal,
    Reason.RequestsFailing: control.mend_failing_requests,
    Reason.RunningConfigLost: control.mend_lost_config,
    Reason.InternalError: control.read_operator_log,
    Reason.Created: _NEWS,
    Reason.Updated: _NEWS,
    Reason.DriftCorrected: _NEWS,
    Reason.Pruned: _NEWS,
    Reason.PodReplaced: _NEWS,
}


def find_fixes(reason: str, situation: Situation) -> tuple[Fix, ...]:
    """Return the ways to mend a reason, the best first; each of them is enough on its own."""
    known = Reason.__members__.get(reason)
    builder = REMEDIES.get(known) if known else None
    if builder is None:
        return (
            Fix(
                f"This icd does not know the reason {reason}; the operator is of another version. Its message says what to do."
            ),
        )
    return builder(situation)
