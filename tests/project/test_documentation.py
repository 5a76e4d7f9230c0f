"""What the documentation names exists: commands, targets, links, tests, conditions and rights."""

import importlib.util
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from inference_cache.domain.verdict import ConditionType

ROOT = Path(__file__).resolve().parents[2]
MAKEFILE = ROOT / "Makefile"
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
_MODULE = re.compile(r"python -m ([A-Za-z_][\w.]*[\w])")
_LINK = re.compile(r"\]\((?!https?://|#)([^)#\s]+)(?:#[^)]*)?\)")
_TEST_ID = re.compile(r"((?:e2e|tests)/[\w/]+\.py)::(\w+)")


def _ids(paths: list[Path]) -> list[str]:
    return [str(path.relative_to(ROOT)) for path in paths]


def _targets() -> set[str]:
    found = re.findall(r"^([a-z][a-z-]*):", MAKEFILE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert len(found) > 5
    return set(found)


def _can_run(module: str) -> bool:
    try:
        spec = importlib.util.find_spec(module)
        if spec is not None and spec.submodule_search_locations is not None:
            spec = importlib.util.find_spec(f"{module}.__main__")
    except ModuleNotFoundError:
        return False
    return spec is not None


def test_make_alone_lists_every_target() -> None:
    out = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    listed = {line.split()[0] for line in out.splitlines() if line.startswith("  ")}
    assert listed == _targets()


def test_no_target_is_mistaken_for_a_file() -> None:
    phony = re.search(r"^\.PHONY: (.*)$", MAKEFILE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert phony is not None
    assert set(phony[1].split()) == _targets()


@pytest.mark.parametrize("path", [MAKEFILE, *PAGES], ids=_ids([MAKEFILE, *PAGES]))
def test_named_modules_can_be_run(path: Path) -> None:
    named = set(_MODULE.findall(path.read_text(encoding="utf-8")))
    assert [module for module in sorted(named) if not _can_run(module)] == []


def test_modules_that_do_not_exist_are_noticed() -> None:
    assert _MODULE.findall("run `uv run python -m e2e.absent --all`.") == ["e2e.absent"]
    assert not _can_run("e2e.absent")
    assert not _can_run("absent.module")
    assert not _can_run("inference_cache.domain"), "a package without __main__ cannot be run"
    assert _can_run("e2e")


@pytest.mark.parametrize("path", PAGES, ids=_ids(PAGES))
def test_named_make_targets_exist(path: Path) -> None:
    named = set(re.findall(r"`make ([a-z-]+)`", path.read_text(encoding="utf-8")))
    assert named - _targets() == set()


@pytest.mark.parametrize("path", PAGES, ids=_ids(PAGES))
def test_links_lead_to_files(path: Path) -> None:
    # Regular expressions in code spans look like links.
    links = _LINK.findall(re.sub(r"`[^`\n]*`", "code", path.read_text(encoding="utf-8")))
    assert [link for link in links if not (path.parent / link).exists()] == []


def test_named_tests_exist() -> None:
    named = [found for path in PAGES for found in _TEST_ID.findall(path.read_text(encoding="utf-8"))]
    assert named
    for file, test in named:
        assert f"def {test}(" in (ROOT / file).read_text(encoding="utf-8"), f"{file}::{test}"


def test_every_decision_is_listed_once() -> None:
    folder = ROOT / "docs" / "adr"
    listed = re.findall(r"\]\((\d{4}-[\w-]+\.md)\)", (folder / "README.md").read_text(encoding="utf-8"))
    assert listed == sorted(path.name for path in folder.glob("[0-9]*.md"))


@pytest.mark.parametrize("name", ["architecture.md", "operations.md"])
def test_every_condition_is_explained(name: str) -> None:
    rows = re.findall(r"^\| (\w+) \|", (ROOT / "docs" / name).read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert [kind.value for kind in ConditionType if rows.count(kind.value) != 1] == []


def test_every_right_is_explained() -> None:
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8").partition("## Rights")[2]
    explained: dict[str, set[str]] = {}
    shared: list[str] = []
    for cell in re.findall(r"^\| (.*?) \|", page, flags=re.MULTILINE):
        names, _, verbs = cell.partition(": ")
        resources = re.findall(r"`([a-z/]+)`", names)
        shared = shared if "the same" in names else resources
        for resource in shared:
            explained.setdefault(resource, set()).update(re.findall(r"[a-z]+", verbs))
    documents = yaml.safe_load_all((ROOT / "manifests" / "base" / "rbac.yaml").read_text(encoding="utf-8"))
    granted: dict[str, set[str]] = {}
    for rule in (rule for document in documents for rule in document.get("rules", [])):
        for resource in rule["resources"]:
            granted.setdefault(resource, set()).update(rule["verbs"])
    assert explained == granted
