"""From a valid spec and what the operator knows of itself to the scope of a pass: versions, image, fingerprint.

The operator and the command line both come this way, so that what `icd render` and `icd plan` show is what is applied.
"""

from dataclasses import dataclass

from inference_cache.api.v1alpha1 import InferenceCacheDeploymentSpec

from .compatibility import KubernetesVersion, check_compatibility
from .defaults import Settled, settle
from .fingerprint import compute_fingerprint
from .reasons import Reason
from .scope import Identity, Scope
from .sizing import list_size_problems
from .verdict import ConditionType, Verdict, bad, ok, refuse
from .version_choice import choose_versions
from .versions import BUILT_IN_TABLE, VersionPair, VersionTable


@dataclass(frozen=True)
class Platform:
    """What a pass needs to know of the operator and the cluster.

    Attributes:
        namespace: Where the operator runs.
        engine_image: The operator's image for deployments that name none.
        versions: Supported pairs of versions.
        kubernetes: Version of the API server; None where it is not known.
        version_faults: What is wrong with the extension of the table, if there is one.
    """

    namespace: str
    engine_image: str | None = None
    versions: VersionTable = BUILT_IN_TABLE
    kubernetes: KubernetesVersion | None = None
    version_faults: tuple[str, ...] = ()


@dataclass(frozen=True)
class Assembly:
    """What a spec comes to.

    Attributes:
        scope: None where no versions could be chosen, so that no pod can be rendered.
        checks: The conditions SpecValid and Compatible, in this order.
        stand_in: Where there is no scope, one with the newest pair: good for what does not depend on versions (Services,
            disruption budget, scale), and only while every change of pods is held.
    """

    scope: Scope | None
    checks: tuple[Verdict, Verdict]
    stand_in: Scope | None = None


def assemble(identity: Identity, spec: InferenceCacheDeploymentSpec, platform: Platform) -> Assembly:
    """Return the scope and what is wrong with the spec beyond its own rules."""
    settled = settle(spec)
    problems = list_size_problems(settled)
    valid = ok(ConditionType.SPEC_VALID, Reason.SpecAccepted)
    if problems:
        valid = refuse(ConditionType.SPEC_VALID, problems[0][0], *(text for _, text in problems))
    choice = choose_versions(spec.engine, platform.engine_image, platform.versions)
    if choice.pair is None:
        reason, text = choice.problem or (Reason.UnsupportedVersions, "")
        if platform.version_faults:
            text += f" The table's extension is not used: {platform.version_faults[0]}."
        stand_in = _build_scope(identity, settled, platform.versions.default, "", platform)
        return Assembly(None, (valid, bad(ConditionType.COMPATIBLE, reason, text)), stand_in)
    scope = _build_scope(identity, settled, choice.pair, choice.image, platform)
    return Assembly(scope, (valid, check_compatibility(settled, choice.pair, platform.kubernetes)))


def _build_scope(identity: Identity, settled: Settled, pair: VersionPair, image: str, platform: Platform) -> Scope:
    fingerprint = compute_fingerprint(settled, pair, identity.namespace)
    return Scope(identity, settled, pair, fingerprint, image or pair.default_image, platform.namespace)
