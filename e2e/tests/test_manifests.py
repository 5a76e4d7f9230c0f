"""The shipped manifests install as documented, and grant exactly what the operator needs."""

from e2e.rig import ROOT, Rig


def test_kustomize_base_is_accepted_by_the_api_server(rig: Rig) -> None:
    out = rig.cluster.kubectl("apply", "--server-side", "--dry-run=server", "-k", str(ROOT / "manifests" / "base"))
    assert len(out.stdout.splitlines()) == 10
    assert "deployment.apps/inference-cache-operator serverside-applied (server dry run)" in out.stdout
