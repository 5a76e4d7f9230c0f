"""Examples about the model: its name, its sources and its architecture."""

from collections.abc import Mapping
from typing import Any, Final

from tests.api.rows import (
    DATA_KEY_MESSAGE,
    OBJECT_NAME_MESSAGE,
    Row,
    accept,
    enum,
    lengths,
    numbers,
    required,
    rule,
    unknown,
)

_HUB: Final = "spec.model.source.huggingFace"
_TOKEN: Final = f"{_HUB}.tokenSecretRef"
_CLAIM: Final = "spec.model.source.persistentVolumeClaim"
_IMAGE: Final = "spec.model.source.image"
_ARCHITECTURE: Final = "spec.model.architecture"
_LATENT: Final = f"{_ARCHITECTURE}.latentAttention"
_DIGEST: Final = "0" * 64
_REFERENCE: Final = f"registry.example:5000/weights/llama@sha256:{_DIGEST}"

ON_CLAIM: Final[Mapping[str, Any]] = {
    "spec.model.source": {"persistentVolumeClaim": {"claimName": "w", "revision": "1"}}
}
ON_IMAGE: Final[Mapping[str, Any]] = {"spec.model.source": {"image": {"reference": _REFERENCE}}}
WITH_TOKEN: Final[Mapping[str, Any]] = {_TOKEN: {"name": "hub"}}
SHAPED: Final[Mapping[str, Any]] = {
    _ARCHITECTURE: {"layers": 61, "attentionHeads": 128, "kvHeads": 128, "headDim": 128}
}
LATENT: Final[Mapping[str, Any]] = {**SHAPED, _LATENT: {"kvLoraRank": 512, "ropeHeadDim": 64}}

COMMIT_MESSAGE: Final = "write the 40 hexadecimal digits that the model page shows under 'Files and versions'"
_REPOSITORY_MESSAGE: Final = "must be OWNER/NAME as on the model hub; write it without URL and revision"
_FOLDER_MESSAGE: Final = "must be a relative path without '..', a leading or a trailing '/'; leave it out for the root"
_SOURCE_MESSAGE: Final = (
    "needs exactly one of huggingFace, persistentVolumeClaim, image; keep one and remove the others"
)
_SERVED_MESSAGE: Final = (
    "must consist of letters, digits, '.', '_', '-' and '/', and begin and end with a letter or digit"
)
_STATE_MESSAGE: Final = "must be a name of your choice for the files"
_DIGEST_MESSAGE: Final = "must name the image by digest, NAME@sha256:DIGEST"

_NAME_AND_SOURCE: Final = [
    required("spec.model"),
    required("spec.model.name"),
    required("spec.model.source"),
    required("spec.model.maxModelLen"),
    *numbers("spec.model.maxModelLen", 256, 10_000_000),
    *lengths("spec.model.name", 1, 128),
    accept("a served name with a slash", "spec.model.name", "owner/Model_1.5"),
    rule("a served name with a space", "spec.model.name", "my model", _SERVED_MESSAGE),
    rule("a served name that ends in a slash", "spec.model.name", "owner/", _SERVED_MESSAGE),
    accept("a claim as source", "spec.model.source", ON_CLAIM["spec.model.source"]),
    accept("an image as source", "spec.model.source", ON_IMAGE["spec.model.source"]),
    rule("a source without any field", "spec.model.source", {}, _SOURCE_MESSAGE),
    rule("two sources", _CLAIM, {"claimName": "w", "revision": "1"}, _SOURCE_MESSAGE, at="spec.model.source"),
    rule("an image beside a claim", _IMAGE, {"reference": _REFERENCE}, _SOURCE_MESSAGE, ON_CLAIM, "spec.model.source"),
]

_HUB_ROWS: Final = [
    required(f"{_HUB}.repository"),
    required(f"{_HUB}.revision"),
    *lengths(f"{_HUB}.repository", 3, 200, head="a/"),
    *lengths(f"{_HUB}.revision", 1, 64, fits=False),
    rule("a repository without an owner", f"{_HUB}.repository", "model", _REPOSITORY_MESSAGE),
    rule("a repository as URL", f"{_HUB}.repository", "https://hub/owner/model", _REPOSITORY_MESSAGE),
    accept("a commit", f"{_HUB}.revision", "f" * 40),
    rule("a branch as revision", f"{_HUB}.revision", "main", COMMIT_MESSAGE),
    rule("a commit in upper case", f"{_HUB}.revision", "F" * 40, COMMIT_MESSAGE),
    rule("a commit of 39 digits", f"{_HUB}.revision", "f" * 39, COMMIT_MESSAGE),
    accept("a token", _TOKEN, {"name": "hub", "key": "HF_TOKEN"}),
    required(f"{_TOKEN}.name", WITH_TOKEN),
    *lengths(f"{_TOKEN}.name", 1, 253, WITH_TOKEN),
    rule("a Secret name in upper case", f"{_TOKEN}.name", "Hub-Of-Us", OBJECT_NAME_MESSAGE, WITH_TOKEN, hidden="Of-Us"),
    rule(
        "the token itself as the name of its Secret",
        f"{_TOKEN}.name",
        "hf_AbCdEfGhIjKlMnOpQrSt",
        OBJECT_NAME_MESSAGE,
        WITH_TOKEN,
        hidden="AbCd",
    ),
    *lengths(f"{_TOKEN}.key", 1, 253, WITH_TOKEN),
    rule("a Secret key with a slash", f"{_TOKEN}.key", "a/b", DATA_KEY_MESSAGE, WITH_TOKEN),
]

_CLAIM_ROWS: Final = [
    required(f"{_CLAIM}.claimName", ON_CLAIM),
    required(f"{_CLAIM}.revision", ON_CLAIM),
    *lengths(f"{_CLAIM}.claimName", 1, 253, ON_CLAIM),
    rule("a claim name with an underscore", f"{_CLAIM}.claimName", "my_claim", OBJECT_NAME_MESSAGE, ON_CLAIM),
    *lengths(f"{_CLAIM}.revision", 1, 63, ON_CLAIM),
    rule("a claim revision with a slash", f"{_CLAIM}.revision", "a/b", _STATE_MESSAGE, ON_CLAIM),
]

_IMAGE_ROWS: Final = [
    required(f"{_IMAGE}.reference", ON_IMAGE),
    *lengths(f"{_IMAGE}.reference", 1, 512, ON_IMAGE, fits=False),
    rule("weights by tag", f"{_IMAGE}.reference", "registry.example/weights:v1", _DIGEST_MESSAGE, ON_IMAGE),
    rule("a digest of 63 digits", f"{_IMAGE}.reference", f"w@sha256:{'0' * 63}", _DIGEST_MESSAGE, ON_IMAGE),
    accept("weights by tag and digest", f"{_IMAGE}.reference", f"weights:v1@sha256:{_DIGEST}", ON_IMAGE),
    *enum(f"{_IMAGE}.pullPolicy", ("IfNotPresent", "Always", "Never"), ON_IMAGE),
]


def _folders(path: str, title: str, base: Mapping[str, Any]) -> list[Row]:
    return [
        *lengths(path, 1, 512, base),
        accept(f"a folder within {title}", path, "models/nemotron..v2", base),
        rule(f"a path out of {title}", path, "models/../secret", _FOLDER_MESSAGE, base),
        rule(f"an absolute path in {title}", path, "/models", _FOLDER_MESSAGE, base),
        rule(f"a path in {title} with a trailing slash", path, "models/", _FOLDER_MESSAGE, base),
    ]


_SHAPE_ROWS: Final = [
    *(required(f"{_ARCHITECTURE}.{name}", SHAPED) for name in ("layers", "attentionHeads", "kvHeads", "headDim")),
    *numbers(f"{_ARCHITECTURE}.layers", 1, 1000, base=SHAPED),
    *numbers(f"{_ARCHITECTURE}.attentionHeads", 1, 1024, base=SHAPED),
    *numbers(f"{_ARCHITECTURE}.kvHeads", 1, 1024, base=SHAPED),
    *numbers(f"{_ARCHITECTURE}.headDim", 1, 4096, base=SHAPED),
    *numbers(f"{_ARCHITECTURE}.parameters", 10**6, 10**14, base=SHAPED),
    *numbers(f"{_ARCHITECTURE}.activeParameters", 10**6, 10**14, base=SHAPED),
    *enum(f"{_ARCHITECTURE}.attentionLayers", ("Full", "Hybrid"), SHAPED),
    *enum(f"{_ARCHITECTURE}.weightDtype", ("BFloat16", "Float16", "Float32"), SHAPED),
    required(f"{_LATENT}.kvLoraRank", LATENT),
    required(f"{_LATENT}.ropeHeadDim", LATENT),
    *numbers(f"{_LATENT}.kvLoraRank", 1, 65536, base=LATENT),
    *numbers(f"{_LATENT}.ropeHeadDim", 1, 4096, base=LATENT),
]

_UNKNOWN: Final = [
    *(unknown(parent) for parent in ("spec.model", "spec.model.source", _HUB)),
    unknown(_TOKEN, WITH_TOKEN, hidden=True),
    unknown(_CLAIM, ON_CLAIM),
    unknown(_IMAGE, ON_IMAGE),
    unknown(_ARCHITECTURE, SHAPED),
    unknown(_LATENT, LATENT),
]

MODEL_ROWS: Final = [
    *_NAME_AND_SOURCE,
    *_HUB_ROWS,
    *_CLAIM_ROWS,
    *_folders(f"{_CLAIM}.path", "the claim", ON_CLAIM),
    *_IMAGE_ROWS,
    *_folders(f"{_IMAGE}.path", "the image", ON_IMAGE),
    *_SHAPE_ROWS,
    *_UNKNOWN,
]
