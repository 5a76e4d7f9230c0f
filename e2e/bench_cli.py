"""What planning and rendering cost: process time of `icd plan` and time in process of one rendering. Not part of the tests.

Run as `python -m e2e.bench_cli`; exits with 1 if a figure misses its target.
"""

import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import yaml

from inference_cache.api.parsing import parse_spec
from inference_cache.domain.assemble import Platform, assemble
from inference_cache.domain.desired import build_desired
from inference_cache.domain.scope import Identity

ROOT: Final = Path(__file__).resolve().parents[1]
SAMPLE: Final = ROOT / "manifests" / "samples" / "published-setup.yaml"
PLAN_SECONDS: Final = 1.0
RENDER_SECONDS: Final = 0.005
_PROCESSES: Final = 10
_ROUNDS: Final = 200


def measure_process(*arguments: str) -> list[float]:
    """Return the CPU seconds, user and system, of each of some runs of `icd`."""
    found = []
    for _ in range(_PROCESSES):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = [sys.executable, "-m", "inference_cache.cli.app", *arguments]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        found.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return found


def measure_call(call: Callable[[], object]) -> list[float]:
    """Return the seconds of each of some calls."""
    found = []
    for _ in range(_ROUNDS):
        start = time.perf_counter()
        call()
        found.append(time.perf_counter() - start)
    return found


def render_sample() -> object:
    """Do what the operator does for one deployment between reading and writing."""
    body = yaml.safe_load(_TEXT)
    name = body["metadata"]["name"]
    spec = parse_spec(name, body["spec"])
    if isinstance(spec, list):
        raise TypeError(spec)
    scope = assemble(Identity(name, "default", "uid"), spec, Platform("system")).scope
    if scope is None:
        raise TypeError("no versions")
    return build_desired(scope)


def render_parsed() -> object:
    """Do the same without reading YAML and checking the spec again."""
    return build_desired(_SCOPE)


_TEXT: Final = SAMPLE.read_text(encoding="utf-8")
_BODY: Final = yaml.safe_load(_TEXT)
_PARSED: Final = parse_spec(_BODY["metadata"]["name"], _BODY["spec"])
assert not isinstance(_PARSED, list)
_ASSEMBLY: Final = assemble(Identity(_BODY["metadata"]["name"], "default", "uid"), _PARSED, Platform("system"))
assert _ASSEMBLY.scope is not None
_SCOPE: Final = _ASSEMBLY.scope


def report(label: str, seconds: list[float], target: float) -> bool:
    """Print median and greatest value against the target; returns whether the median meets it."""
    median = statistics.median(seconds)
    met = median < target
    unit, factor = ("s", 1.0) if target >= 1 else ("ms", 1000.0)
    print(
        f"{label:<44} median {median * factor:7.3f} {unit}   worst {max(seconds) * factor:7.3f} {unit}   "
        f"target {target * factor:g} {unit}   {'met' if met else 'MISSED'}"
    )
    return met


def main() -> int:
    """Measure everything; returns the exit code."""
    file = str(SAMPLE)
    results = [
        report(
            "icd plan --offline, CPU time of the process",
            measure_process("plan", "-f", file, "--offline"),
            PLAN_SECONDS,
        ),
        report("icd lint, CPU time of the process", measure_process("lint", "-f", file), PLAN_SECONDS),
        report("icd render, CPU time of the process", measure_process("render", "-f", file), PLAN_SECONDS),
        report("render one deployment, in process", measure_call(render_parsed), RENDER_SECONDS),
    ]
    # Reading YAML is not the operator's work: it gets objects from the API server. Shown without a target.
    whole = statistics.median(measure_call(render_sample))
    print(f"{'read YAML, check, assemble and render':<44} median {whole * 1000:7.3f} ms")
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
