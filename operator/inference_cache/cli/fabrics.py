"""`icd fabrics`: whether fabrics are ready, what they consist of, and what mends one that is not."""

from typing import Annotated, Final

import typer

from .options import OPERATOR_NAMESPACE, Context, Format, Kubeconfig, OperatorNamespace, Output

_EPILOG: Final = """\b
Examples:
  icd fabrics                  one line for each fabric
  icd fabrics storage          conditions, objects, nodes, and what mends it
  icd fabrics storage -o json

\b
It reads InferenceCacheFabrics alone. Exit code 1 says that one is not ready."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("fabrics", short_help="Show storage fabrics, and what is wrong with one.", epilog=_EPILOG)(fabrics)


def fabrics(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="Name of a fabric. Without it: all.")] = None,
    operator_namespace: OperatorNamespace = OPERATOR_NAMESPACE,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    output: Output = Format.TABLE,
) -> None:
    """Show fabrics: ready or not and why, their objects and nodes, and the commands that mend them."""
    from inference_cache.domain.remedies import Target  # noqa: PLC0415 - slow

    from .cluster_reader import read_cluster  # noqa: PLC0415
    from .fabric_view import build_document, format_fabric, list_fabrics, list_rows, read_fabric  # noqa: PLC0415
    from .kubeconfig import choose_access  # noqa: PLC0415
    from .output import print_document, print_lines, print_table  # noqa: PLC0415

    access = choose_access(kubeconfig, context)
    target = Target(access.namespace, "<DEPLOYMENT>", operator_namespace, access.flags)
    if name is not None:
        document = build_document(read_cluster(access, lambda reader: read_fabric(reader, name)), target)
        if output is Format.TABLE:
            print_lines(format_fabric(document))
        else:
            print_document(document, output)
        raise typer.Exit(int(document["ready"] != "True"))
    documents = [build_document(body, target) for body in read_cluster(access, list_fabrics)]
    if output is Format.TABLE:
        print_table(*list_rows(documents))
    else:
        print_document(documents, output)
    raise typer.Exit(int(any(document["ready"] != "True" for document in documents)))
