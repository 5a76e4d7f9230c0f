"""Remedies for specs whose parts do not go together: versions, options, sizes, model and tiers.

Where a value can be computed, the checks themselves confirm it before it is offered.
"""

import re
from typing import Any, Final

from inference_cache.api.hatches import split_flag
from inference_cache.api.parsing import parse_spec
from inference_cache.domain.assemble import Platform, assemble
from inference_cache.domain.reasons import Reason
from inference_cache.domain.scope import Identity
from inference_cache.domain.versions import BUILT_IN_TABLE

from .fixes import REMOVED, Change, Edit, Fix, Path, Situation, Step, apply_change, find_field, look

_IMAGE: Final[Path] = ("engine", "image")
_VERSIONS: Final[Path] = ("engine", "versions")
_GPUS: Final[Path] = ("engine", "tensorParallelSize")


def mend_unknown_versions(situation: Situation) -> tuple[Fix, ...]:
    """Nobody says what the image holds."""
    image = find_field(situation.spec, _IMAGE) or "<IMAGE>"
    ask = f"docker run --rm --entrypoint python3 '{image}' -c 'import vllm, lmcache; print(vllm.__version__, lmcache.__version__)'"
    why = (
        "Say which versions the image holds; options and the cache's key format depend on them. The image itself knows:"
    )
    versions = {"vllm": "<VLLM_VERSION>", "lmcache": "<LMCACHE_VERSION>"}
    return (Fix(why, (look(ask), situation.edit(_VERSIONS, versions))),)


def mend_contradiction(situation: Situation) -> tuple[Fix, ...]:
    """Tag and declaration differ."""
    why = "The tag of the image and engine.versions differ. If the tag is right, remove the declaration; if not, name the right image."
    return (
        Fix(why, (situation.edit(_VERSIONS, REMOVED),)),
        Fix(
            "If the declaration is right: name the image that holds these versions.",
            (situation.edit(_IMAGE, "<IMAGE>"),),
        ),
    )


def mend_versions(situation: Situation) -> tuple[Fix, ...]:
    """The versions are bad or not supported."""
    supported = " or ".join(str(pair) for pair in BUILT_IN_TABLE.pairs)
    present = [path for path in (_IMAGE, _VERSIONS) if find_field(situation.spec, path) is not None]
    fixes = []
    if present:
        why = f"Go back to the image of the operator, which holds a supported pair ({supported}). Pods are replaced."
        fixes.append(Fix(why, tuple(situation.edit(path, REMOVED) for path in present)))
    own = (
        "Name an image that holds a supported pair; its tag tells the versions, for instance vllm-0.32.0-lmcache-0.5.6."
    )
    image = [situation.edit(_IMAGE, "<IMAGE>")]
    if find_field(situation.spec, _VERSIONS) is not None:
        image.append(situation.edit(_VERSIONS, REMOVED))
    return (*fixes, Fix(own, tuple(image)))


def mend_option(situation: Situation) -> tuple[Fix, ...]:
    """An extra option is unknown."""
    path: Path = ("engine", "extraArgs")
    known: list[str] = find_field(situation.spec, path) or []
    kept = [item for item in known if not _is_named(split_flag(item), situation.message)]
    why = "vLLM of this version would refuse the option and not start. Leave it out, or correct it."
    return (Fix(why, (situation.edit(path, kept or REMOVED),)),)


def _is_named(flag: str, message: str) -> bool:
    """Whether a message finds fault with an option, and does not just propose it."""
    faults = (f"{flag} is no option", f"{flag} is a switch", f"{flag} needs a value", f"the value of {flag} must")
    return any(fault in message for fault in faults)


def mend_variable(situation: Situation) -> tuple[Fix, ...]:
    """A variable that may change the cache comes from a Secret."""
    path: Path = ("engine", "extraEnv")
    known: list[dict[str, object]] = find_field(situation.spec, path) or []
    kept = [item for item in known if f"extraEnv {item.get('name')} comes from" not in situation.message]
    why = "Its value decides about the bytes of the cache and cannot be seen. Leave it out, or write it as value."
    return (Fix(why, (situation.edit(path, kept or REMOVED),)),)


def mend_feature(situation: Situation) -> tuple[Fix, ...]:
    """The pair cannot do what a field asks for."""
    tiers = find_field(situation.spec, ("cache", "tiers")) or []
    memory = next((number for number, tier in enumerate(tiers) if "memory" in tier), None)
    fields: list[Path] = [
        ("cache", "tiers", memory, "memory", key) for key in ("evictionPolicy", "pages") if memory is not None
    ]
    fixes = [
        Fix(f"These versions cannot do what {path[-1]} asks for. Remove it.", (situation.edit(path, REMOVED),))
        for path in fields
        if str(path[-1]) in situation.message
    ]
    present = [path for path in (_IMAGE, _VERSIONS) if find_field(situation.spec, path) is not None]
    why = f"Use {BUILT_IN_TABLE.default}, which can do it; pods are replaced."
    steps = tuple(situation.edit(path, REMOVED) for path in present) or (situation.edit(_IMAGE, "<IMAGE>"),)
    return (*fixes, Fix(why, steps))


def mend_kubernetes(situation: Situation) -> tuple[Fix, ...]:
    """The cluster is too old."""
    why = "The pods need a feature that this Kubernetes lacks; upgrade it. What it is:"
    return (Fix(why, (look(situation.target.kubectl_cluster("version")),)),)


def mend_hybrid(situation: Situation) -> tuple[Fix, ...]:
    """The model must not use the store."""
    why = "Stored KV of such models led to wrong answers upstream. Serve it without the object store; the memory tier stays."
    return (Fix(why, _drop_store(situation)),)


def mend_chunk(situation: Situation) -> tuple[Fix, ...]:
    """The chunk is no multiple of the block."""
    why = "The engine's blocks must fit into a chunk evenly. The cache begins cold, as its layout changes."
    return (Fix(why, (situation.edit(("cache", "chunkTokens"), 256),)),)


def mend_parallelism(situation: Situation) -> tuple[Fix, ...]:
    """The heads do not divide."""
    now = find_field(situation.spec, _GPUS) or 1
    count = next(
        (n for n in range(now - 1, 0, -1) if not _meets(situation, Change(_GPUS, n), Reason.ParallelismImpossible)), 1
    )
    why = f"vLLM starts only if the model's heads divide among the GPUs; {count} is the next lower number that works. See that the model fits into so many."
    return (Fix(why, (situation.edit(_GPUS, count),)),)


def mend_tier_size(situation: Situation) -> tuple[Fix, ...]:
    """The memory tier is too small for what is loaded at a time."""
    tiers = find_field(situation.spec, ("cache", "tiers")) or []
    fixes = []
    for index, tier in enumerate(tiers):
        size = re.search(r"memory\.size of at least ([0-9]+[A-Z]i)", situation.message)
        loads = re.search(r"maxInFlightLoads of at most ([0-9]+)", situation.message)
        if "memory" in tier and size:
            path: Path = ("cache", "tiers", index, "memory", "size")
            fixes.append(Fix("Enlarge the memory tier; nodes must have as much.", (situation.edit(path, size[1]),)))
        if "objectStore" in tier and loads:
            path = ("cache", "tiers", index, "objectStore", "maxInFlightLoads")
            fixes.append(Fix("Load less at a time.", (situation.edit(path, int(loads[1])),)))
    shorter = (situation.edit(("model", "maxModelLen"), "<TOKENS>"),)
    return tuple(fixes) or (Fix("Shorten the longest context until loads fit into the memory tier.", shorter),)


def mend_resources(situation: Situation) -> tuple[Fix, ...]:
    """An override is too small."""
    part = "cache" if situation.message.startswith("cache.resources") else "engine"
    why = f"The override {part}.resources is less than the processes need. Remove it, and the computed values hold; or raise what the message names."
    return (Fix(why, (situation.edit((part, "resources"), REMOVED),)),)


def advise_on_link(situation: Situation) -> tuple[Fix, ...]:
    """The store is slower than computing again."""
    why = "Loading from the store would take longer than computing again, so the tier makes serving slower. Leave it out until the link is wider."
    return (Fix(why, _drop_store(situation)),)


def advise_on_tiers(situation: Situation) -> tuple[Fix, ...]:
    """The cache adds nothing."""
    why = "The tiers hold nothing that the GPUs' own memory does not hold. Enlarge the memory tier several times, or run without cache server:"
    return (Fix(why, (situation.edit(("cache", "mode"), "Disabled"),)),)


def advise_on_unknowns(_: Situation) -> tuple[Fix, ...]:
    """Figures are missing."""
    why = "Nothing is wrong. Declare what the message names, and the capacity plan can tell whether the cache pays off."
    fields = ("spec.workload", "spec.model.architecture", "spec.cache.tiers[].objectStore.link")
    return (Fix(why, tuple(Edit(field, how="Optional; docs/api.md describes it.") for field in fields)),)


def _drop_store(situation: Situation) -> tuple[Step, ...]:
    tiers: list[Any] = find_field(situation.spec, ("cache", "tiers")) or []
    return tuple(
        situation.edit(("cache", "tiers", index), REMOVED) for index, tier in enumerate(tiers) if "objectStore" in tier
    )


def _meets(situation: Situation, change: Change, reason: Reason) -> bool:
    """Whether the checks of the changed spec still find the reason."""
    parsed = parse_spec(situation.target.name, apply_change(situation.spec, change))
    if isinstance(parsed, list):
        return True
    identity = Identity(situation.target.name, situation.target.namespace, "")
    found = assemble(identity, parsed, Platform(situation.target.operator_namespace))
    return any(check.reason is reason for check in found.checks)
