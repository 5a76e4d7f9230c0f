"""`icd plan` without a cluster: the published set-up as golden text, comparison of files, exit codes, and what cannot be read.

The golden texts are written anew by `UPDATE_PLANS=1 uv run pytest tests/cli/test_plan.py`; read the difference.
"""

import json
import os
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from typer.testing import CliRunner, Result

from inference_cache.cli.app import build_app
from tests.support.builders import ROOT, change

PUBLISHED: Final = ROOT / "manifests" / "samples" / "published-setup.yaml"
PLANS: Final = Path(__file__).parent / "plans"
CASES: Final[dict[str, tuple[str, ...]]] = {
    "published": (),
    "published-1300G": ("--memory", "1300G"),
    "published-1800G": ("--memory", "1800G"),
    "published-25-gigabits": ("--network-gigabits", "25"),
    "published-unknown-gpu": ("--gpu", "NVIDIA-NEXT"),
}


def invoke(*arguments: str) -> Result:
    """Run `icd` in this process."""
    return CliRunner().invoke(build_app(), list(arguments))


def read(*arguments: str) -> Any:
    """Return the document that `icd plan` prints."""
    result = invoke("plan", *arguments, "-o", "json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def write(folder: Path, changes: dict[str, Any] | None = None, name: str = "deployment.yaml") -> str:
    """Write the published set-up with changes; returns the path."""
    body = yaml.safe_load(PUBLISHED.read_text(encoding="utf-8"))
    for path, value in (changes or {}).items():
        change(body, path, value)
    file = folder / name
    file.write_text(yaml.safe_dump(body), encoding="utf-8")
    return str(file)


@pytest.mark.parametrize("case", CASES)
def test_published_set_up_reads_as_its_golden_text(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", "/nowhere")
    result = invoke("plan", "-f", str(PUBLISHED), "--offline", *CASES[case])
    assert result.exit_code == 0, result.output
    golden = PLANS / f"{case}.txt"
    if os.environ.get("UPDATE_PLANS"):
        golden.write_text(result.stdout, encoding="utf-8")
    assert golden.read_text(encoding="utf-8") == result.stdout


def test_published_set_up_has_the_figures_of_the_measurement() -> None:
    capacity = read("-f", str(PUBLISHED), "--offline")["capacity"]
    assert (capacity["workingSet"], capacity["bytesPerToken"]) == ("1.573 TB", 327680)
    assert (capacity["limit"], capacity["memoryFitPercent"]) == ("dram-capacity", 95)
    assert "CyclicCliffRisk" in {item["reason"] for item in capacity["findings"]}
    assert capacity["paysOff"]["status"] == "True"


@pytest.mark.parametrize(
    ("arguments", "limit", "pays_off"),
    [
        (("--memory", "1300G"), "dram-capacity", "True"),
        (("--memory", "1800G"), "dram-capacity", "True"),
        (("--network-gigabits", "25"), "s3-link", "Unknown"),
        # Without a watermark 1.8 TB would hold everything; with LMCache's defaults it takes 2.458 TB.
        (("--memory", "2500G"), "decode", "True"),
    ],
    ids=["less memory", "more memory", "slow link", "memory holds everything"],
)
def test_other_figures_change_limit_and_verdict(arguments: tuple[str, ...], limit: str, pays_off: str) -> None:
    capacity = read("-f", str(PUBLISHED), "--offline", *arguments)["capacity"]
    assert (capacity["limit"], capacity["paysOff"]["status"]) == (limit, pays_off)


def test_slow_link_is_a_warning_that_a_pipeline_can_fail_on() -> None:
    arguments = ("plan", "-f", str(PUBLISHED), "--offline", "--network-gigabits", "25")
    assert invoke(*arguments, "--fail-on", "CacheBreaking").exit_code == 0
    result = invoke(*arguments, "--fail-on", "Warning")
    assert result.exit_code == 3
    assert "hits from S3 are slower than prefill" in result.stdout


def test_model_config_takes_the_place_of_a_declared_architecture(tmp_path: Path) -> None:
    config = {
        "model_type": "llama", "hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32,
        "num_key_value_heads": 8, "intermediate_size": 14336, "vocab_size": 128256, "torch_dtype": "bfloat16",
    }  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    for path in (tmp_path, tmp_path / "config.json"):
        document = read("-f", str(PUBLISHED), "--offline", "--model-config", str(path))
        assert document["capacity"]["bytesPerToken"] == 131072
        assert any(str(tmp_path) in note for note in document["notes"])


def test_config_of_exactly_this_commit_is_found_in_the_hub_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    body = yaml.safe_load(PUBLISHED.read_text(encoding="utf-8"))
    del body["spec"]["model"]["architecture"]
    file = tmp_path / "deployment.yaml"
    file.write_text(yaml.safe_dump(body), encoding="utf-8")
    before = read("-f", str(file), "--offline")["capacity"]
    assert "workingSet" not in before
    assert "bytes per token" in {item["what"] for item in before["unknown"]}
    hub = body["spec"]["model"]["source"]["huggingFace"]
    folder = tmp_path / f"models--{hub['repository'].replace('/', '--')}" / "snapshots" / hub["revision"]
    folder.mkdir(parents=True)
    config = {
        "model_type": "llama", "hidden_size": 8192, "num_hidden_layers": 80, "num_attention_heads": 64,
        "num_key_value_heads": 8, "intermediate_size": 28672, "vocab_size": 128256, "torch_dtype": "bfloat16",
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    assert read("-f", str(file), "--offline")["capacity"]["workingSet"] == "1.573 TB"


@pytest.mark.parametrize(
    ("changes", "expected", "restarted"),
    [
        ({}, "None", 0),
        ({"spec.workload.conversations": 5}, "Hot", 0),
        ({"spec.rollout.drainSeconds": 60}, "Rolling", 1),
        ({"spec.cache.chunkTokens": 512}, "CacheBreaking", 1),
    ],
    ids=["none", "hot", "rolling", "cache breaking"],
)
def test_two_files_are_compared(tmp_path: Path, changes: dict[str, Any], expected: str, restarted: int) -> None:
    old, new = write(tmp_path, name="old.yaml"), write(tmp_path, changes, "new.yaml")
    document = read("-f", new, "--against", old)
    assert (document["changeClass"], document["pods"]["restarted"]) == (expected, restarted)
    assert len(document["spec"]) == len(changes)
    cold = document["fingerprint"]["before"] != document["fingerprint"]["after"]
    assert cold == (expected == "CacheBreaking")


@pytest.mark.parametrize(
    ("level", "changes", "code"),
    [
        ("Rolling", {"spec.rollout.drainSeconds": 60}, 3),
        ("Rolling", {"spec.cache.chunkTokens": 512}, 3),
        ("Rolling", {"spec.workload.conversations": 5}, 0),
        ("CacheBreaking", {"spec.rollout.drainSeconds": 60}, 0),
        ("CacheBreaking", {"spec.cache.chunkTokens": 512}, 3),
    ],
)
def test_fail_on_includes_costlier_classes(tmp_path: Path, level: str, changes: dict[str, Any], code: int) -> None:
    old, new = write(tmp_path, name="old.yaml"), write(tmp_path, changes, "new.yaml")
    assert invoke("plan", "-f", new, "--against", old, "--fail-on", level).exit_code == code


def test_markdown_names_the_field_and_hides_the_rest(tmp_path: Path) -> None:
    old, new = write(tmp_path, name="old.yaml"), write(tmp_path, {"spec.cache.chunkTokens": 512}, "new.yaml")
    text = invoke("plan", "-f", new, "--against", old, "-o", "markdown").stdout
    assert text.startswith("### `default/nemotron-published`\n")
    assert "| `spec" not in text
    assert "| `cache.chunkTokens` | `256` | `512` | CacheBreaking |" in text
    assert text.count("<details>") == text.count("</details>") == 2


def test_refused_spec_ends_with_1_and_every_violation(tmp_path: Path) -> None:
    file = write(tmp_path, {"spec.cache.chunkTokens": 100, "spec.model.maxModelLen": 1})
    result = invoke("plan", "-f", file, "--offline")
    assert result.exit_code == 1
    assert "spec.cache.chunkTokens" in result.stdout
    assert "spec.model.maxModelLen" in result.stdout


def test_spec_that_cannot_work_ends_with_1_and_its_arithmetic(tmp_path: Path) -> None:
    file = write(tmp_path, {"spec.cache.tiers.0.memory.size": "16Gi"})
    result = invoke("plan", "-f", file, "--offline")
    assert result.exit_code == 1
    assert "MemoryTierTooSmall" in result.stdout
    assert "61440 tokens x 327680 B" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (("--offline", "--against", "x.yaml"), 2, "leave --offline out"),
        (("--offline", "--memory", "1.5TB"), 2, "is not a quantity"),
        (("--offline", "--model-config", "/nowhere/config.json"), 1, "does not exist"),
        (("--kubeconfig", "/nowhere/kubeconfig"), 1, "--offline plans without a cluster"),
    ],
    ids=["two ways at once", "no quantity", "no config", "no kubeconfig"],
)
def test_what_cannot_be_read_is_one_clear_line(arguments: tuple[str, ...], code: int, text: str) -> None:
    result = invoke("plan", "-f", str(PUBLISHED), *arguments)
    assert result.exit_code == code
    assert text in " ".join(result.output.split())
    assert "Traceback" not in result.output


def test_output_has_no_colours_where_it_is_no_terminal() -> None:
    assert "\x1b" not in invoke("plan", "-f", str(PUBLISHED), "--offline").output


def test_change_from_what_cannot_be_rendered_counts_as_the_worst(tmp_path: Path) -> None:
    bad = {"spec.engine.versions": {"vllm": "0.31.0", "lmcache": "0.5.5"}}
    old, new = write(tmp_path, bad, "old.yaml"), write(tmp_path, {"spec.rollout.drainSeconds": 60}, "new.yaml")
    result = invoke("plan", "-f", new, "--against", old, "--fail-on", "CacheBreaking")
    assert result.exit_code == 3
    assert "not known, as what is applied now cannot be rendered" in result.stdout
    assert "vLLM 0.31.0 with LMCache 0.5.5" in result.stdout
    invalid = write(tmp_path, {"spec.cache.chunkTokens": 100}, "invalid.yaml")
    assert invoke("plan", "-f", new, "--against", invalid, "--fail-on", "Rolling").exit_code == 3


@pytest.mark.parametrize(
    "changes",
    [
        {"spec.cache.tiers.1.objectStore.bucket.name": "another"},
        {"spec.cache.tiers.1.objectStore.endpoint": "https://another.example"},
        {"spec.cache.tiers": [{"memory": {"size": "1500G"}}]},
    ],
    ids=["another bucket", "another endpoint", "no object store"],
)
def test_loss_of_the_stored_objects_is_a_cold_cache_under_the_same_fingerprint(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    old, new = write(tmp_path, name="old.yaml"), write(tmp_path, changes, "new.yaml")
    document = read("-f", new, "--against", old)
    assert document["changeClass"] == "CacheBreaking"
    assert document["fingerprint"]["before"] == document["fingerprint"]["after"]
    assert "cold: the store" in invoke("plan", "-f", new, "--against", old).stdout


def test_rolling_change_of_memory_alone_says_that_the_cache_begins_empty(tmp_path: Path) -> None:
    alone = {"spec.cache.tiers": [{"memory": {"size": "1500G"}}]}
    old = write(tmp_path, alone, "old.yaml")
    new = write(tmp_path, {**alone, "spec.rollout.drainSeconds": 60}, "new.yaml")
    assert "which are all of the cache, begin empty" in invoke("plan", "-f", new, "--against", old).stdout


def test_hybrid_model_that_only_its_config_tells_of_is_refused(tmp_path: Path) -> None:
    config = {
        "model_type": "gemma3_text", "hidden_size": 4096, "num_hidden_layers": 4, "num_attention_heads": 32,
        "num_key_value_heads": 8, "head_dim": 128, "sliding_window": 1024,
        "layer_types": ["sliding_attention", "sliding_attention", "sliding_attention", "full_attention"],
    }  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    result = invoke("plan", "-f", str(PUBLISHED), "--offline", "--model-config", str(tmp_path))
    assert result.exit_code == 1
    assert "HybridModelInStore" in result.stdout
