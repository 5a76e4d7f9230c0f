"""One cluster for all end-to-end tests; every test has a namespace of its own, and operators are started as needed."""

import io
import itertools
import os
import re
import sys
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import Final, NoReturn

import pytest

from e2e.cluster import MissingFeatureError, start_cluster
from e2e.cluster.binaries import BuildError
from e2e.rig import NAMESPACE, ROOT, Operator, Rig
from e2e.situations import Situation
from e2e.situations.foreign_crds import install_foreign_crds, remove_foreign_crds
from e2e.situations.stage import Stage
from e2e.space import BUCKET, SECRET, Space

# Short leases and resyncs, so that tests see in seconds what takes minutes.
FAST = {"INFERENCE_CACHE_LEASE_SECONDS": "3", "INFERENCE_CACHE_RESYNC_SECONDS": "300"}
OPTIONAL: Final = ROOT / "manifests" / "optional"
_counter = itertools.count()
_MOST_SHOWN: Final = 3
_shown = itertools.count()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the end of the cluster's logs with each of the first failures."""
    report = yield
    rig = getattr(item, "funcargs", {}).get("rig")
    if report.failed and rig is not None and next(_shown) < _MOST_SHOWN:
        text = io.StringIO()
        rig.cluster.dump_logs(text, lines=25)
        report.sections.append(("Logs of the cluster", text.getvalue()))
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, object, object]:
    """Skip loudly what the chosen provider's clusters cannot show."""
    try:
        return (yield)
    except MissingFeatureError as error:
        return _miss(error)


def _miss(error: Exception) -> NoReturn:
    if os.environ.get("CI") == "true":
        raise error
    pytest.skip(f"NOT TESTED: {error}")


@pytest.fixture(scope="session")
def rig() -> Iterator[Rig]:
    """A cluster with the operator's surroundings; without an operator."""
    keep = bool(os.environ.get("INFERENCE_CACHE_E2E_KEEP"))
    try:
        cluster = start_cluster(nodes=4, report=lambda text: print(text, file=sys.__stderr__, flush=True), keep=keep)
    except BuildError as error:
        _miss(error)
    with cluster:
        rig = Rig(cluster).start()
        cluster.s3.make_bucket(BUCKET)
        cluster.s3.make_user("tests", "tests-secret-0123456789")
        cluster.s3.grant(BUCKET, "tests")
        yield rig


@pytest.fixture
def space(rig: Rig, request: pytest.FixtureRequest) -> Iterator[Space]:
    """A namespace with a Secret that may use the shared bucket."""
    word = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower()).strip("-")[:40].strip("-")
    space = make_space(rig, f"{word}-{next(_counter)}")
    yield space
    rig.cluster.kubectl("delete", "icd", "--all", "--namespace", space.namespace, "--wait=false")
    rig.cluster.kubectl("delete", "namespace", space.namespace, "--wait=false")


def make_space(rig: Rig, namespace: str) -> Space:
    """Return a namespace with a Secret that may use the shared bucket."""
    space = Space(rig, namespace)
    rig.put_keys(namespace, SECRET, "tests", "tests-secret-0123456789")
    return space


def forget_lease(rig: Rig) -> None:
    """Delete the Lease of a killed operator, so that the next one need not wait for its end."""
    rig.cluster.kubectl("delete", "lease", "--all", "--namespace", NAMESPACE)


@pytest.fixture(scope="module")
def operator(rig: Rig) -> Iterator[Operator]:
    """One operator for a whole module."""
    forget_lease(rig)
    operator = rig.start_operator("operator", environment=FAST).wait_ready()
    yield operator
    assert operator.exit_code() is None, rig.cluster.log("operator")[-3000:]
    operator.stop()


@contextmanager
def staged(rig: Rig, situations: Iterable[Situation], roles: Iterable[str]) -> Iterator[Stage]:
    """Situations in one cluster, the kinds of other projects, and an operator with some of the optional rights."""
    cluster = rig.cluster
    install_foreign_crds(cluster)
    for role in roles:
        cluster.kubectl("apply", "--server-side", "-f", str(OPTIONAL / f"{role}.yaml"))
    stage = Stage(rig, situations)
    stage.set_up()
    forget_lease(rig)
    operator = rig.start_operator("operator", environment=FAST).wait_ready(60)
    stage.deploy()
    yield stage
    assert operator.exit_code() is None, cluster.log("operator")[-3000:]
    operator.stop()
    stage.strike()
    remove_foreign_crds(cluster)
