"""Generated files must be what their generator writes now."""

from pathlib import Path

import yaml

from inference_cache.cli.generate import GENERATED, main

ROOT = Path(__file__).resolve().parents[2]


def test_generated_files_match_their_source() -> None:
    assert main(["--check", "--root", str(ROOT)]) == 0, "run `make generate` and commit the result"


def test_kustomize_installs_every_crd() -> None:
    listed = yaml.safe_load((ROOT / "crds" / "kustomization.yaml").read_text(encoding="utf-8"))["resources"]
    assert sorted(listed) == sorted(path.name for path in (ROOT / "crds").glob("inferencecache.io_*.yaml"))
    assert {f"crds/{name}" for name in listed} <= GENERATED.keys()


def test_check_reports_a_file_that_differs(tmp_path: Path) -> None:
    assert main(["--root", str(tmp_path)]) == 0
    assert main(["--check", "--root", str(tmp_path)]) == 0
    (tmp_path / next(iter(GENERATED))).write_text("changed by hand\n")
    assert main(["--check", "--root", str(tmp_path)]) == 1
