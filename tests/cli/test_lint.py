"""`icd lint`: all violations of all documents in one go, each with its line."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from inference_cache.cli.app import build_app
from tests.support.builders import REMOVED, SAMPLE, change, load_sample


def _lint(path: Path, *words: str) -> Result:
    return CliRunner().invoke(build_app(), ["lint", "-f", str(path), *words])


def _write(folder: Path, *changes: dict[str, Any]) -> Path:
    documents = []
    for items in changes:
        body = load_sample()
        for path, value in items.items():
            change(body, path, value)
        documents.append(body)
    file = folder / "x.yaml"
    file.write_text(yaml.safe_dump_all(documents, sort_keys=False), encoding="utf-8")
    return file


def test_sample_is_accepted_in_silence() -> None:
    out = _lint(SAMPLE)
    assert (out.exit_code, out.stdout) == (0, "")
    assert out.stderr == "1 deployment read, 0 with violations, 0 in all.\n"


def test_every_violation_of_every_document_is_told_at_once(tmp_path: Path) -> None:
    path = _write(
        tmp_path,
        {"spec.replicas": -2, "spec.cache.chunkTokens": 100},
        {"metadata.name": "UPPER"},
        {"metadata.name": "good"},
    )
    out = _lint(path)
    assert out.exit_code == 1
    lines = out.stdout.splitlines()
    assert len(lines) == 3
    text = path.read_text(encoding="utf-8").splitlines()
    for line, (field, written) in zip(
        lines, [("spec.replicas", "replicas: -2"), ("spec.cache.chunkTokens", "chunkTokens: 100"), ("metadata.name", "name: UPPER")], strict=True
    ):  # fmt: skip
        place, number, _ = line.split(":", 2)
        assert place == str(path)
        assert field in line
        assert text[int(number) - 1].strip() == written


def test_json_has_the_same_findings(tmp_path: Path) -> None:
    path = _write(tmp_path, {"spec.replicas": -2})
    found = json.loads(_lint(path, "-o", "json").stdout)
    (finding,) = found["violations"]
    assert (found["deployments"], finding["field"], finding["name"]) == (1, "spec.replicas", "nemotron-70b")
    assert yaml.safe_load(_lint(path, "-o", "yaml").stdout) == found


@pytest.mark.parametrize("size", ["999999999999999Gi", "999999999999999Pi", "9999Ti"])
@pytest.mark.parametrize("field", ["spec.cache.tiers.0.memory.size", "spec.engine.resources.limits.memory"])
def test_size_of_no_machine_is_a_violation_and_no_fault_of_ours(tmp_path: Path, field: str, size: str) -> None:
    out = _lint(_write(tmp_path, {"spec.engine": {"resources": {"limits": {}}}, field: size}))
    assert out.exit_code == 1
    assert f"{field.rpartition('.')[0].replace('.0', '[0]')}" in out.stdout
    assert size in out.stdout
    assert "icd failed" not in out.stderr


MISTAKES: dict[str, tuple[dict[str, Any], str]] = {
    "a field outside spec": ({"replicas": 3}, "replicas: is no field of a deployment"),
    "no name": ({"metadata.name": REMOVED}, "metadata.name: is missing"),
    "a text as metadata": ({"metadata": "x"}, "metadata.name: is missing"),
    "a number as field": ({"spec.0": 3}, "spec.0: "),
    "no spec": ({"spec": REMOVED}, "spec: is missing"),
    "a list as spec": ({"spec": []}, "spec: is missing or no mapping"),
    "an unknown field": ({"spec.replica": 3}, "spec.replica: "),
    "versions that nobody knows": ({"spec.engine.image": "registry.example/engine:1"}, "spec.engine: EngineVersionsUnknown: "),
    "a memory tier that is too small": ({"spec.cache.resources": {"limits": {"memory": "1Gi"}}}, "spec: ResourcesTooSmall: "),
}  # fmt: skip


@pytest.mark.parametrize("case", MISTAKES)
def test_mistake_is_told_with_its_field(tmp_path: Path, case: str) -> None:
    changes, message = MISTAKES[case]
    out = _lint(_write(tmp_path, changes))
    assert out.exit_code == 1
    assert message in out.stdout
