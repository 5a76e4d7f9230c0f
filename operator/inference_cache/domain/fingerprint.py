"""The layout fingerprint: two deployments may share cached KV only if everything that changes its bytes or keys agrees.

LMCache's object keys hold the model text, the rank layout and a hash of the tokens, but neither dtype nor revision nor
KV cache type: an fp16 engine was seen to read bf16 objects of the same model and to answer other tokens, with HTTP 200
and no log line. The model text is the path of the weights, so the fingerprint goes into that path and with it into
every key.
"""

import hashlib
import json
from typing import Any, Final

from .defaults import HASH_ALGORITHM, Settled
from .versions import VersionPair

MODELS_ROOT: Final = "/models"


def list_layout_facts(settled: Settled, pair: VersionPair) -> dict[str, Any]:
    """Return everything that enters the fingerprint, by name."""
    source = settled.spec.model.source
    if source.hugging_face is not None:
        weights = {"repository": source.hugging_face.repository, "revision": source.hugging_face.revision}
    elif source.persistent_volume_claim is not None:
        claim = source.persistent_volume_claim
        weights = {"claim": claim.claim_name, "path": claim.path or "", "revision": claim.revision}
    else:  # pragma: no cover - the API refuses a source without any field
        raise AssertionError("model source without any field")
    return {
        "weights": weights,
        "tensorParallelSize": settled.tensor_parallel_size,
        "kvCacheDtype": settled.kv_cache_dtype.value,
        "chunkTokens": settled.chunk_tokens,
        "hashAlgorithm": HASH_ALGORITHM,
        "keyFormat": pair.key_format,
    }


def compute_fingerprint(settled: Settled, pair: VersionPair) -> str:
    """Return 16 hexadecimal digits that change with every layout-relevant fact and with nothing else."""
    facts = json.dumps(list_layout_facts(settled, pair), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(facts.encode()).hexdigest()[:16]


def weights_path(fingerprint: str) -> str:
    """Return where the weights are mounted; it is the `--model` text and so the first part of every object key."""
    return f"{MODELS_ROOT}/kv-{fingerprint}"
