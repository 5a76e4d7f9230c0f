"""What holds for the objects of every valid deployment, whatever it says."""

import json
import os
import random
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from hypothesis import given, settings
from hypothesis import strategies as st

from inference_cache.api.hatches import looks_like_credential
from inference_cache.domain.assemble import assemble
from inference_cache.domain.compatibility import check_compatibility
from inference_cache.domain.desired import build_desired
from inference_cache.domain.desired.agent import read_agent_files
from inference_cache.domain.desired.options import build_cache_args, build_engine_args
from inference_cache.domain.kinds import CONFIG_MAP, NETWORK_POLICY, POD_DISRUPTION_BUDGET, STATEFUL_SET
from inference_cache.domain.manifest import Manifest
from inference_cache.domain.option_lists import find_argument_fault, load_options
from inference_cache.domain.scope import Identity
from inference_cache.domain.verdict import Truth
from tests.domain.rendered import render_scope
from tests.domain.test_traps import TRAPS
from tests.property.render import render_spec
from tests.property.strategies import SECRET_PREFIX, Spec, collect_specs, specs
from tests.support.builders import IDENTITY, PLATFORM, ROOT, build_scope, settle_spec

_DNS_LABEL: Final = re.compile("[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_DNS_SUBDOMAIN: Final = re.compile("[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_LABEL_KEY: Final = re.compile("([-a-z0-9.]{1,253}/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_LABEL_VALUE: Final = re.compile("([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
_LARGEST_CONFIG_MAP: Final = 2**20
# Kubernetes appends a hyphen and a number below 1000 to the name of a pod, and a hash of ten digits to its revision.
_LONGEST_NAME: Final = "n" * 45
_SUFFIXED: Final = frozenset({CONFIG_MAP, NETWORK_POLICY, POD_DISRUPTION_BUDGET})

every_spec: Final = settings(max_examples=40, derandomize=True, deadline=None)


def _build(spec: Spec) -> list[Manifest]:
    return build_desired(build_scope(settle_spec(spec)))


def walk(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every value below a value, itself included, with its path."""
    yield path, value
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from walk(item, f"{path}.{key}")


@every_spec
@given(specs(), st.sampled_from([_LONGEST_NAME, "a"]))
def test_names_and_labels_are_legal(spec: Spec, name: str) -> None:
    identity = Identity(name, IDENTITY.namespace, IDENTITY.uid)
    for manifest in build_desired(build_scope(settle_spec(spec), identity)):
        room = 63 - (len("-0123456789") if manifest.kind is STATEFUL_SET else 0)
        assert len(manifest.name) <= (253 if manifest.kind in _SUFFIXED else room), manifest.name
        for path, value in walk(manifest.body):
            field = path.rpartition(".")[2]
            if field in {"labels", "matchLabels"}:
                assert all(_LABEL_KEY.fullmatch(key) and _LABEL_VALUE.fullmatch(text) for key, text in value.items())
            elif path.endswith((".metadata.name", ".serviceName", ".serviceAccountName", ".claimName", "Ref.name")):
                assert _DNS_SUBDOMAIN.fullmatch(value), f"{path}: {value}"
                assert len(value) <= 253
            elif re.search(r"[.](containers|initContainers|volumes|ports)[.][0-9]+[.]name$", path):
                assert _DNS_LABEL.fullmatch(value), f"{path}: {value}"


@every_spec
@given(specs())
def test_config_map_fits_into_the_store_of_the_api_server(spec: Spec) -> None:
    for manifest in _build(spec):
        if manifest.kind is CONFIG_MAP:
            assert (
                sum(len(key) + len(text.encode()) for key, text in manifest.body["data"].items()) < _LARGEST_CONFIG_MAP
            )


_QUANTITY: Final = re.compile("([0-9]+)([a-zA-Z]*)")
_SMALLER: Final = {"Ki": 1024, "Mi": 1024, "Gi": 1024, "Ti": 1024, "m": 1000, "": 1000, "k": 1000, "M": 1000, "G": 1000}


def is_canonical(text: str) -> bool:
    """Whether the API server would keep a quantity as it is written: with the largest unit that leaves it whole."""
    found = _QUANTITY.fullmatch(text)
    return found is not None and int(found[1]) % _SMALLER.get(found[2], int(found[1]) + 1) != 0


@every_spec
@given(specs())
def test_nothing_is_written_that_the_api_server_would_store_otherwise(spec: Spec) -> None:
    """It leaves out empty text and rewrites quantities; the difference would be written again in every pass."""
    for manifest in _build(spec):
        for path, value in walk(manifest.body):
            where = f"{manifest.kind}{path}: {value!r}"
            assert not isinstance(value, float), where
            assert value is not None, where
            if re.search(r"[.](env|tolerations)[.][0-9]+[.][a-zA-Z]+$", path):
                assert value != "", where
            if re.search(r"[.](requests|limits)[.][^.]", path) or path.endswith(".sizeLimit"):
                assert is_canonical(value), where


def _shuffle(value: Any, order: random.Random) -> Any:
    if isinstance(value, dict):
        keys = list(value)
        order.shuffle(keys)
        return {key: _shuffle(value[key], order) for key in keys}
    return [_shuffle(item, order) for item in value] if isinstance(value, list) else value


@every_spec
@given(specs(), st.randoms(use_true_random=False))
def test_order_of_maps_sets_and_keyed_lists_changes_no_byte(spec: Spec, order: random.Random) -> None:
    other = _shuffle(spec, order)
    for field in ("extraArgs", "extraEnv"):
        order.shuffle(other.get("engine", {}).get(field, []))
    assert render_spec(spec) == render_spec(other)


def test_bytes_do_not_depend_on_the_process(tmp_path: Path) -> None:
    chosen = collect_specs(120)
    source = tmp_path / "specs.json"
    source.write_text(json.dumps(chosen), encoding="utf-8")
    command = [sys.executable, "-m", "tests.property.render", str(source)]
    paths = os.pathsep.join([str(ROOT), str(ROOT / "operator")])
    processes = [
        subprocess.Popen(
            command, env={**os.environ, "PYTHONPATH": paths, "PYTHONHASHSEED": seed}, stdout=subprocess.PIPE
        )
        for seed in ("0", "1", "4294967295")
    ]
    outputs = {process.communicate()[0] for process in processes}
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert len(outputs) == 1
    assert len(outputs.pop().splitlines()) == len(chosen)


@every_spec
@given(specs())
def test_secrets_are_referred_to_and_never_shown(spec: Spec) -> None:
    programs = set(read_agent_files().values())
    for manifest in _build(spec):
        for path, value in walk(manifest.body):
            # The programs of the agent are the same text for all.
            if not isinstance(value, str) or value in programs:
                continue
            assert not looks_like_credential(value), path
            if SECRET_PREFIX in value:
                assert path.endswith(".valueFrom.secretKeyRef.name"), f"{path}: {value}"


def _list_secrets(spec: Spec) -> set[str]:
    return {value for _, value in walk(spec) if isinstance(value, str) and value.startswith(SECRET_PREFIX)}


@every_spec
@given(specs())
def test_every_secret_that_pods_refer_to_is_one_that_the_spec_names(spec: Spec) -> None:
    used = {value for item in _build(spec) for path, value in walk(item.body) if path.endswith("secretKeyRef.name")}
    assert used <= _list_secrets(spec)


def test_every_argument_is_accepted_by_the_versions_that_are_rendered_for() -> None:
    rendered = 0

    @settings(max_examples=100, derandomize=True, deadline=None)
    @given(specs())
    def check(spec: Spec) -> None:
        nonlocal rendered
        scope = build_scope(settle_spec(spec))
        if check_compatibility(scope.settled, scope.pair, PLATFORM.kubernetes).status is not Truth.TRUE:
            return
        vllm, lmcache = scope.pair.options
        _, *arguments = build_engine_args(scope)
        faults = [find_argument_fault(item, load_options("vllm", vllm)) for item in arguments]
        if scope.settled.cache_enabled:
            rendered += 1
            faults += [find_argument_fault(item, load_options("lmcache", lmcache)) for item in build_cache_args(scope)]
        assert not any(faults), faults

    check()
    assert rendered > 10, "too few of the specs are compatible for this test to say anything"


@every_spec
@given(specs())
def test_checks_of_every_spec_are_two_conditions_with_short_messages(spec: Spec) -> None:
    assembly = assemble(IDENTITY, settle_spec(spec).spec, PLATFORM)
    assert [str(item.condition) for item in assembly.checks] == ["SpecValid", "Compatible"]
    assert all(0 < len(item.message) <= 1024 for item in assembly.checks)


def test_known_traps_are_kept_out_of_by_every_accepted_deployment() -> None:
    rendered = 0
    for number, spec in enumerate(collect_specs(120)):
        assembly = assemble(IDENTITY, settle_spec(spec).spec, PLATFORM)
        if assembly.scope is None or any(check.blocks for check in assembly.checks):
            continue
        rendered += 1
        objects = render_scope(str(number), assembly.scope)
        assert [name for name, trap in TRAPS.items() if not trap.check(objects)] == [], spec
    assert rendered > 20
