"""Where `icd plan` reads a model's config.json: a file that is named, or the Hugging Face cache of this machine."""

import json
import os
from pathlib import Path
from typing import Final

from inference_cache.api.model import ModelSource
from inference_cache.domain.model_shape import ModelShape, ShapeUnknown, parse_model_config

from .failure import CommandError

_MAX_BYTES: Final = 4 * 2**20


def read_model_config(path: Path) -> ModelShape | ShapeUnknown:
    """Return the shape that a config.json tells; a folder stands for the config.json in it.

    Raises:
        CommandError: The file cannot be read or is no JSON.
    """
    file = path / "config.json" if path.is_dir() else path
    try:
        if file.stat().st_size > _MAX_BYTES:
            raise CommandError(f"{file} is larger than any config.json", "Name the model's config.json.")
        document = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CommandError(
            f"{file} does not exist", "Name the model's config.json, or the folder that holds it."
        ) from error
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise CommandError(f"{file} cannot be read as JSON: {error}", "Name the model's config.json.") from error
    return parse_model_config(document)


def find_cached_config(source: ModelSource, hub_cache: Path | None = None) -> Path | None:
    """Return the config.json of exactly this repository and commit in the Hugging Face cache, if it is there."""
    hub = source.hugging_face
    if hub is None:
        return None
    folder = f"models--{hub.repository.replace('/', '--')}"
    file = (hub_cache or _find_hub_cache()) / folder / "snapshots" / hub.revision / "config.json"
    return file if file.is_file() else None


def _find_hub_cache() -> Path:
    if direct := os.environ.get("HF_HUB_CACHE"):
        return Path(direct)
    home = os.environ.get("HF_HOME")
    return (Path(home) if home else Path.home() / ".cache" / "huggingface") / "hub"
