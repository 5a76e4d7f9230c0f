"""From a reason to what mends it: every reason has its entry, and one that needs no mending says so."""

from collections.abc import Callable, Mapping
from typing import Final

from inference_cache.domain.reasons import Reason

from . import authorities, bucket, compatibility, control, nodes, secrets, workload
from .fixes import Change, Command, Edit, Fix, Situation, Step, Target

__all__ = ["REMEDIES", "Change", "Command", "Edit", "Fix", "Situation", "Step", "Target", "find_fixes"]

Builder = Callable[[Situation], tuple[Fix, ...]]


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
    Reason.NoCandidateNodes: nodes.mend_no_candidates,
    Reason.NoEligibleNodes: nodes.mend_no_eligible_nodes,
    Reason.NodeNotReady: nodes.mend_not_ready,
    Reason.NodeUnschedulable: nodes.mend_cordoned,
    Reason.GPUProductUnknown: nodes.mend_unknown_product,
    Reason.GPUProductMismatch: nodes.mend_other_product,
    Reason.GPUNotAdvertised: nodes.mend_no_gpus,
    Reason.GPUCountTooLow: nodes.mend_few_gpus,
    Reason.GPUMemoryUnknown: nodes.mend_unknown_gpu_memory,
    Reason.GPUMemoryTooSmall: nodes.mend_little_gpu_memory,
    Reason.DriverUnknown: nodes.mend_unknown_driver,
    Reason.DriverTooOld: nodes.mend_old_driver,
    Reason.CPUsTooFew: nodes.mend_few_cpus,
    Reason.HugePagesTooFew: nodes.mend_few_huge_pages,
    Reason.MemoryTooSmall: nodes.mend_little_memory,
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
