"""`icd nodes`: what each node has, and whether a deployment can run there."""

from typing import Annotated, Final

import typer

from .options import Context, Format, Kubeconfig, Namespace, Output

_EPILOG: Final = """\b
Examples:
  icd nodes                               GPU, memory and driver of every node
  icd nodes nemotron-70b -n inference     which can run a replica, and why not the others
  icd nodes nemotron-70b -o json

\b
ELIGIBLE is what the operator decides by, before any pod exists. What other pods
hold on a node is not looked at: that is the scheduler's matter."""


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
    """Show the nodes: GPUs, memory, driver, and with NAME whether a replica can run there."""
    from .cluster_reader import read_cluster  # noqa: PLC0415 - slow
    from .kubeconfig import choose_access  # noqa: PLC0415
    from .node_view import build_matrix, print_matrix  # noqa: PLC0415
    from .output import print_document  # noqa: PLC0415

    access = choose_access(kubeconfig, context)
    where = namespace or access.namespace
    rows = read_cluster(access, lambda reader: build_matrix(reader, where, name))
    if output is Format.TABLE:
        print_matrix(rows, judged=name is not None)
    else:
        print_document(rows, output)
