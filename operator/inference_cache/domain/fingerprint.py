"""The layout fingerprint: two deployments may share cached KV only if everything that changes its bytes or keys agrees.

LMCache's object keys hold the model text, the rank layout and a hash of the tokens, but neither dtype nor revision nor
KV cache type: an fp16 engine was seen to read bf16 objects of the same model and to answer other tokens, with HTTP 200
and no log line. The model text is the path of the weights, so the fingerprint goes into that path and with it into
every key.

The declared architecture is not part of it: it describes the weights, which are named by their revision, and correcting
a description must not cost the cache. Options that would change the shape (hf-overrides) enter as layout arguments.
"""

import hashlib
import json
from typing import Any, Final

from inference_cache.api.model import ModelSource
from inference_cache.api.store_plugin import ObjectNames

from .defaults import HASH_ALGORITHM, Settled
from .layout_hatches import list_layout_arguments, list_layout_variables
from .versions import VersionPair

MODELS_ROOT: Final = "/models"

LAYOUT_FACTS: Final[dict[str, str]] = {
    "weights": "other weights compute other keys and values; keys hold no revision (model.source)",
    "tensorParallelSize": "each GPU stores its share of the heads (engine.tensorParallelSize)",
    "dtype": "the same bytes mean other numbers; keys hold no type (engine.dtype)",
    "kvCacheDtype": "the same bytes mean other numbers; keys hold no type (engine.kvCacheDtype)",
    "maxModelLen": "models with LongRoPE rotate keys by other factors above their original length, and vLLM chooses by this (model.maxModelLen)",
    "blockTokens": "blocks order the bytes within a chunk (engine.blockTokens)",
    "chunkTokens": "an object holds one chunk (cache.chunkTokens)",
    "hashAlgorithm": "it names the chunks (fixed: blake3)",
    "keyFormat": "key and byte format of the version pair (engine.versions, engine.image)",
    "client": "LMCacheS3 and NIXL name objects differently, and a vendor's adapter may do so too; one that uses their names shares their objects (objectStore.client, addressing, tls, rdmaDialect, plugin)",
    "arguments": "options that are not known to leave the KV cache alone (engine.extraArgs)",
    "variables": "variables that are not known to leave the KV cache alone (engine.extraEnv)",
}
"""What enters the fingerprint, why, and the fields that it comes from."""


def list_layout_facts(settled: Settled, pair: VersionPair, namespace: str) -> dict[str, Any]:
    """Return everything that enters the fingerprint, by name."""
    engine = settled.spec.engine
    return {
        "weights": identify_weights(settled.spec.model.source, namespace),
        "tensorParallelSize": settled.tensor_parallel_size,
        "dtype": settled.dtype.value,
        "kvCacheDtype": settled.kv_cache_dtype.value,
        "maxModelLen": settled.spec.model.max_model_len,
        "blockTokens": settled.block_tokens or 0,
        "chunkTokens": settled.chunk_tokens,
        "hashAlgorithm": HASH_ALGORITHM,
        "keyFormat": pair.key_format,
        "client": identify_names(settled),
        "arguments": list_layout_arguments(engine),
        "variables": list_layout_variables(engine),
    }


def identify_weights(source: ModelSource, namespace: str) -> dict[str, str]:
    """Return what tells these weights from all others; a claim is known by its name in its namespace alone."""
    if source.hugging_face is not None:
        return {"repository": source.hugging_face.repository, "revision": source.hugging_face.revision}
    if source.persistent_volume_claim is not None:
        claim = source.persistent_volume_claim
        return {"namespace": namespace, "claim": claim.claim_name, "path": claim.path or "", "revision": claim.revision}
    if source.image is not None:
        # The same weights behind another registry name have the same digest.
        return {"digest": source.image.reference.rpartition("@")[2], "path": source.image.path or ""}
    raise AssertionError("model source without any field")  # pragma: no cover - the API refuses it


def identify_names(settled: Settled) -> str:
    """Return what tells these names of objects from all others; an adapter with names of its own is known by its class."""
    # Of a cache that is switched off too, as its objects are there when it is switched on again.
    stores = (tier.object_store for tier in settled.spec.cache.tiers or [])
    plugin = next((store.plugin for store in stores if store is not None), None)
    if plugin is None or plugin.object_names is not ObjectNames.OWN:
        return settled.object_names.value
    return f"{plugin.module_path}:{plugin.class_name}"


def compute_fingerprint(settled: Settled, pair: VersionPair, namespace: str) -> str:
    """Return 16 hexadecimal digits that change with every layout-relevant fact and with nothing else."""
    facts = json.dumps(list_layout_facts(settled, pair, namespace), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(facts.encode()).hexdigest()[:16]


def weights_path(fingerprint: str) -> str:
    """Return where the weights are mounted; it is the `--model` text and so the first part of every object key."""
    return f"{MODELS_ROOT}/kv-{fingerprint}"
