"""`icd nodes`: what each node has, and whether a deployment can run there."""

from typing import Annotated, Final

import typer

from .options import Context, Format, Kubeconfig, Namespace, Output

_EPILOG: Final = """\b
Examples:
  icd nodes                               what every node has, and who says so
  icd nodes nemotron-70b -n inference     which can run a replica, and why not the others
  icd nodes nemotron-70b -o json

\b
It reads Nodes and, where they are served and you may read them,
NodeCapabilityReport, NicDevice, SriovNetworkNodeState, ResourceSlice, DPU and
NodeResourceTopology. -o json shows every fact with the source that told it.
ELIGIBLE and RDMA are what the operator decides by, before any pod exists. Of
what pods hold on a node, only the devices of engine pods are counted."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("nodes", short_help="Show which nodes can run a replica, and why.", epilog=_EPILOG)(nodes)


def nodes(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="Name of a deployment to judge the nodes by.")
    ] = None,
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    output: Output = Format.TABLE,
) -> None:
    """Show the nodes: GPUs, memory, adapters, RDMA devices, and with NAME whether a replica can run there, also over RDMA."""
    from .cluster_reader import read_cluster  # noqa: PLC0415 - slow
    from .kubeconfig import choose_access  # noqa: PLC0415
    from .node_view import build_matrix, print_matrix  # noqa: PLC0415
    from .output import print_document  # noqa: PLC0415

    access = choose_access(kubeconfig, context)
    where = namespace or access.namespace
    found = read_cluster(access, lambda reader: build_matrix(reader, where, name))
    if output is Format.TABLE:
        print_matrix(found)
    else:
        print_document(found.rows, output)
