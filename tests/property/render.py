"""Renders specs; as a program it prints a digest for each spec of a file, so that processes can be compared."""

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

from inference_cache.domain.desired import build_desired
from tests.support.builders import build_scope, settle_spec


def render_spec(spec: dict[str, Any]) -> str:
    """Return the objects of a spec as text, in the order in which their fields were made."""
    return json.dumps([manifest.body for manifest in build_desired(build_scope(settle_spec(spec)))])


def main() -> None:
    """Print one digest a line."""
    for spec in json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")):
        sys.stdout.write(hashlib.sha256(render_spec(spec).encode()).hexdigest() + "\n")


if __name__ == "__main__":
    main()
