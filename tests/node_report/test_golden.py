"""A described machine, and the report of it, as files."""

import json
from pathlib import Path

import pytest

from inference_cache.api.node_report import InferenceCacheNodeReport
from inference_cache.domain.evidence_report import project_report
from tests.node_report.cases import CASES, FOLDER, render


@pytest.mark.parametrize("case", CASES)
def test_report_is_as_recorded(tmp_path: Path, case: str) -> None:
    recorded = (FOLDER / case / "report.json").read_text(encoding="utf-8")
    assert render(case, tmp_path / "tree") == recorded, "if that is wanted: python -m tests.node_report.regenerate"


@pytest.mark.parametrize("case", CASES)
def test_recorded_reports_are_valid(case: str) -> None:
    report = json.loads((FOLDER / case / "report.json").read_text(encoding="utf-8"))
    model = InferenceCacheNodeReport.model_validate(report)
    assert model.model_dump(by_alias=True, exclude_none=True) == report


@pytest.mark.parametrize("case", CASES)
def test_operator_reads_every_physical_function(case: str) -> None:
    report = json.loads((FOLDER / case / "report.json").read_text(encoding="utf-8"))
    facts = project_report({"metadata": {"name": "gpu-1"}, "report": report})
    assert facts is not None
    physical = [item["pciAddress"] for item in report["devices"] if item["function"] == "Physical"]
    assert [sighting.pci for sighting in facts.sightings] == physical
    assert facts.state.node_uid == report["nodeUid"]


def test_cases_are_found() -> None:
    assert len(CASES) >= 5
