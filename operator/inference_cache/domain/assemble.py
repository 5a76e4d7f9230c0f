"""From a valid spec and what the operator knows of itself to the scope of a pass: versions, image, fingerprint.

The operator and the command line both come this way, so that what `icd render` and `icd plan` show is what is applied.
"""

from dataclasses import dataclass

from inference_cache.api.v1alpha1 import InferenceCacheDeploymentSpec

from .compatibility import KubernetesVersion, check_compatibility
from .defaults import settle
from .fingerprint import compute_fingerprint
from .reasons import Reason
from .scope import Identity, Scope
from .sizing import list_size_problems
from .verdict import ConditionType, Verdict, bad, ok, refuse
from .version_choice import choose_versions
from .versions import BUILT_IN_TABLE, VersionTable


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
        scope: None where no versions could be chosen, so that nothing can be rendered.
        checks: The conditions SpecValid and Compatible, in this order.
    """

    scope: Scope | None
    checks: tuple[Verdict, Verdict]


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
        return Assembly(None, (valid, bad(ConditionType.COMPATIBLE, reason, text)))
    fingerprint = compute_fingerprint(settled, choice.pair, identity.namespace)
    scope = Scope(identity, settled, choice.pair, fingerprint, choice.image, platform.namespace)
    return Assembly(scope, (valid, check_compatibility(settled, choice.pair, platform.kubernetes)))
