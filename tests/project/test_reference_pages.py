"""Reference pages are complete: what they leave out would not exist for their readers."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY

from inference_cache.api.crd import build_crd
from inference_cache.api.fabric import FABRIC_KIND
from inference_cache.api.node_report import REPORT_KIND
from inference_cache.api.v1alpha1 import KIND
from inference_cache.cli import reference
from inference_cache.cluster import metrics
from inference_cache.domain.gpu_products import GPU_FAMILIES
from inference_cache.domain.reasons import Reason
from inference_cache.runtime.settings import SettingError, Settings, read_settings

ROOT = Path(__file__).resolve().parents[2]


def _read_rows(page: str) -> dict[str, list[str]]:
    """Return the cells of each table row by the name in its first cell."""
    rows = [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| `")]
    return {row[0].strip("`"): [cell.strip() for cell in row[1:]] for row in rows}


SETTINGS = _read_rows((ROOT / "docs" / "reference" / "settings.md").read_text(encoding="utf-8"))


class _Recorder(Mapping[str, str]):
    """An empty environment that remembers what was looked up."""

    def __init__(self) -> None:
        self.asked: set[str] = set()

    def __getitem__(self, key: str) -> str:
        self.asked.add(key)
        raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


def _read(**environment: str) -> Settings:
    return replace(read_settings(environment), identity="")


def test_settings_page_names_exactly_the_variables_that_are_read() -> None:
    recorder = _Recorder()
    read_settings(recorder)
    assert set(SETTINGS) == recorder.asked


@pytest.mark.parametrize("name", [name for name, (default, *_) in SETTINGS.items() if default.startswith("`")])
def test_settings_page_names_the_default_in_effect(name: str) -> None:
    assert _read(**{name: SETTINGS[name][0].strip("`")}) == _read()


RANGES = {
    name: tuple(map(int, found.groups()))
    for name, row in SETTINGS.items()
    if (found := re.fullmatch(r"(\d+) to (\d+)", row[1]))
}


@pytest.mark.parametrize("name", RANGES)
def test_settings_page_names_the_bounds_in_effect(name: str) -> None:
    lowest, highest = RANGES[name]
    for accepted in (lowest, highest):
        read_settings({name: str(accepted)})
    for refused in (lowest - 1, highest + 1):
        with pytest.raises(SettingError, match=name):
            read_settings({name: str(refused)})


def test_settings_with_bounds_are_found_in_the_page() -> None:
    assert len(RANGES) == 4


def test_every_reason_has_a_row_with_meaning_and_remedy() -> None:
    rows = _read_rows(reference.build_reasons_page())
    assert list(rows) == [reason.name for reason in Reason]
    assert all(meaning and remedy for meaning, remedy in rows.values())


def test_every_gpu_family_has_a_row() -> None:
    assert list(_read_rows(reference.build_gpu_products_page())) == list(GPU_FAMILIES)


def test_every_registered_metric_has_a_row() -> None:
    metrics.observe_request("GET", "200", 0.1)
    registered = {
        f"{family.name}_total" if family.type == "counter" else family.name
        for family in REGISTRY.collect()
        if not family.name.startswith(("python_", "process_")) and not family.name.endswith("_created")
    }
    assert set(_read_rows(reference.build_metrics_page())) == registered


def test_metrics_page_names_labels_and_help() -> None:
    kind, labels, text = _read_rows(reference.build_metrics_page())["rest_client_requests_total"]
    assert (kind, labels, text) == ("counter", "`method`, `code`", "Requests to the API server.")


def _read_section(page: str, kind: str, path: str) -> str:
    """Return the text about one object of a kind."""
    part = page.partition(f"\n## {kind}\n")[2].partition("\n## ")[0]
    return part.partition(f"\n### {path}\n")[2].partition("\n### ")[0]


def test_api_page_shows_bounds_rules_and_requirement() -> None:
    page = reference.build_api_page()
    section = _read_section(page, KIND, "spec.cache")
    kind, required, bounds, description = _read_rows(section)["chunkTokens"]
    assert (kind, required) == ("integer", "")
    assert "at least 16; at most 4096; must be a multiple of 16" in bounds
    assert "Without it: 256." in description
    model = _read_section(page, KIND, "spec.model")
    assert (_read_rows(model)["name"][1], _read_rows(section)["tiers"][1]) == ("yes", "")
    store = _read_section(page, KIND, "spec.cache.tiers[].objectStore")
    assert "\n- endpoint must not contain the bucket" in store


@pytest.mark.parametrize(
    ("kind", "path", "field"),
    [
        (KIND, "spec.transport", "fabricRef"),
        (FABRIC_KIND, "spec.networks[].ipam", "poolName"),
        (FABRIC_KIND, "status.objects[]", "state"),
        (REPORT_KIND, "report.devices[].ports[]", "subnetManagerLid"),
    ],
)
def test_api_page_shows_every_kind(kind: str, path: str, field: str) -> None:
    page = reference.build_api_page()
    assert field in _read_rows(_read_section(page, kind, path))
    assert f"(#{kind.lower()})" in page.partition("\n## ")[0]


def test_api_page_describes_every_field() -> None:
    rows = [line for line in reference.build_api_page().splitlines() if line.startswith("| `")]
    assert rows
    assert [row for row in rows if row.endswith("|  |")] == []


def test_api_page_refuses_a_schema_keyword_that_it_would_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    crd = build_crd()
    schema: dict[str, Any] = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    schema["properties"]["spec"]["properties"]["replicas"]["multipleOf"] = 2
    monkeypatch.setattr(reference, "CRD_BUILDERS", (lambda: crd,))
    with pytest.raises(ValueError, match=r"spec\.replicas has multipleOf"):
        reference.build_api_page()
