"""The layout fingerprint changes with everything that changes bytes or keys of the KV cache, and with nothing else."""

import copy
import re
from dataclasses import replace
from typing import Any, Final

import pytest

from inference_cache.api.parsing import parse_spec
from inference_cache.domain import names
from inference_cache.domain.assemble import Platform, assemble
from inference_cache.domain.desired import build_desired
from inference_cache.domain.desired.options import build_engine_args
from inference_cache.domain.kinds import STATEFUL_SET
from inference_cache.domain.scope import Identity, Scope
from tests.property.layout_table import ROWS, TABLE, Row
from tests.property.leaves import SCHEMA, list_leaves
from tests.property.strategies import Spec, collect_specs
from tests.support.builders import IDENTITY, PLATFORM, REMOVED, change

_PLATFORM: Final = replace(PLATFORM, versions=TABLE)


def _set(spec: Spec, path: str, value: Any) -> None:
    try:
        change(spec, path, value)
    except KeyError:
        assert value is REMOVED


def _assemble(spec: Spec, identity: Identity = IDENTITY, platform: Platform = _PLATFORM) -> Scope:
    parsed = parse_spec(identity.name, spec)
    assert not isinstance(parsed, list), [str(item) for item in parsed]
    scope = assemble(identity, parsed, platform).scope
    assert scope is not None
    return scope


def test_table_names_every_field() -> None:
    assert set(ROWS) == set(list_leaves(SCHEMA))


@pytest.mark.parametrize(("leaf", "row"), [(leaf, row) for leaf, rows in ROWS.items() for row in rows])
def test_row_is_about_its_field(leaf: str, row: Row) -> None:
    path = re.sub(r"[.][0-9]+", "[]", row.path)
    assert leaf.startswith(path) or path.startswith(leaf.removesuffix("{}"))


@pytest.mark.parametrize(
    "row",
    [
        pytest.param(row, id=f"{leaf} {'keeps' if row.same else 'changes'} {number}")
        for leaf, rows in ROWS.items()
        for number, row in enumerate(rows)
    ],
)
def test_fingerprint_changes_exactly_with_the_layout(row: Row) -> None:
    for base in collect_specs(12):
        prints = []
        for value in (row.one, row.other):
            spec = copy.deepcopy(base)
            for path, item in (*row.when.items(), (row.path, value)):
                _set(spec, path, item)
            prints.append(_assemble(spec).fingerprint)
        assert (prints[0] == prints[1]) is row.same, base


def test_deployments_of_one_fingerprint_have_the_same_weights_and_shapes() -> None:
    meaning: dict[str, str] = {}
    for spec in collect_specs(240):
        engine, cache = spec.get("engine", {}), spec["cache"]
        ((kind, source),) = spec["model"]["source"].items()
        # A digest names an image, whatever registry it comes from.
        weights = {
            key: value.rpartition("@")[2] if key == "reference" else value
            for key, value in sorted(source.items())
            if key not in {"tokenSecretRef", "pullPolicy"}
        }
        defaults = (
            engine.get("tensorParallelSize", 1),
            engine.get("dtype", "Auto"),
            engine.get("kvCacheDtype", "Auto"),
        )
        facts = repr((kind, weights, *defaults, engine.get("blockTokens"), cache.get("chunkTokens", 256)))
        assert meaning.setdefault(_assemble(spec).fingerprint, facts) == facts
    assert len(meaning) > 60


@pytest.mark.parametrize(
    ("source", "same"),
    [
        ({"persistentVolumeClaim": {"claimName": "weights", "revision": "1"}}, False),
        ({"huggingFace": {"repository": "o/m", "revision": "0" * 40}}, True),
        ({"image": {"reference": "models/m@sha256:" + "a" * 64}}, True),
    ],
    ids=["a claim is another one in another namespace", "a hub model is the same", "an image is the same"],
)
def test_weights_in_two_namespaces(source: dict[str, Any], same: bool) -> None:
    for base in collect_specs(20):
        spec = copy.deepcopy(base)
        spec["model"]["source"] = source
        one, other = (_assemble(spec, Identity("x", namespace, "uid")).fingerprint for namespace in ("a", "b"))
        assert (one == other) is same


def test_name_and_uid_of_the_deployment_are_no_layout() -> None:
    for spec in collect_specs(20):
        assert (
            _assemble(spec, Identity("x", "a", "1")).fingerprint == _assemble(spec, Identity("y", "a", "2")).fingerprint
        )


def test_fingerprint_is_a_label_value_of_sixteen_digits() -> None:
    for spec in collect_specs(20):
        assert re.fullmatch("[0-9a-f]{16}", _assemble(spec).fingerprint)


def _pod_spec(scope: Scope) -> dict[str, Any]:
    (workload,) = (item for item in build_desired(scope) if item.kind is STATEFUL_SET)
    spec: dict[str, Any] = workload.body["spec"]["template"]["spec"]
    return spec


@pytest.mark.parametrize("kind", ["huggingFace", "persistentVolumeClaim", "image"])
def test_fingerprint_reaches_the_object_keys(kind: str) -> None:
    """The `--model` text is the first part of every key, and the weights are found there and nowhere else."""
    found = [spec for spec in collect_specs(120) if kind in spec["model"]["source"]]
    assert found
    for spec in found:
        scope = _assemble(spec)
        pod = _pod_spec(scope)
        (engine,) = pod["containers"]
        model = build_engine_args(scope)[0]
        assert engine["args"][0] == model
        assert scope.fingerprint in model.rpartition("/")[2]
        (mount,) = (item for item in engine["volumeMounts"] if item["name"] == "weights")
        assert mount["readOnly"] is True
        if kind != "huggingFace":
            assert mount["mountPath"] == model
            assert mount.get("subPath") == spec["model"]["source"][kind].get("path")
            continue
        assert model.startswith(mount["mountPath"] + "/")
        (weights,) = (item for item in pod["initContainers"] if item["name"] == names.WEIGHTS_CONTAINER)
        assert len([item for item in weights["args"] if item.endswith(f"={model}")]) == 1
        assert {item["mountPath"] for item in weights["volumeMounts"] if item["name"] == "weights"} == {
            mount["mountPath"]
        }


def test_fingerprint_is_a_label_of_the_pods() -> None:
    for spec in collect_specs(10):
        scope = _assemble(spec)
        (workload,) = (item for item in build_desired(scope) if item.kind is STATEFUL_SET)
        assert workload.body["spec"]["template"]["metadata"]["labels"][names.LABEL_FINGERPRINT] == scope.fingerprint
