"""`icd render`: the objects that the operator would create, without a cluster."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from .failure import CommandError
from .options import OPERATOR_NAMESPACE, Files, Format, Image, ManifestFormat, ManifestOutput, OperatorNamespace

if TYPE_CHECKING:
    from inference_cache.domain.fabric.facts import FabricFacts

    from .documents import Document

OWNER_UID: Final = "00000000-0000-0000-0000-000000000000"
"""Stands for the uid that the API server gives to the deployment."""

_EPILOG: Final = f"""\b
Examples:
  icd render -f deployment.yaml
  icd render -f deployment.yaml -n inference -o table
  icd render -f new.yaml | diff <(icd render -f old.yaml) -
  icd render -f deployment.yaml -f fabric.yaml     pods with RDMA, and the fabric

\b
The owner's uid in ownerReferences is {OWNER_UID},
as only the API server knows it. Do not apply the output: Kubernetes deletes
objects whose owner does not exist. The hash inferencecache.io/applied-hash
covers the uid, so it differs from that in a cluster too.

\b
Pods are rendered for RDMA where the spec prefers it and its fabric is among the
files; --transport TCP shows what they fall back to. Objects in the bucket have
the same names on both."""


class Transport(StrEnum):
    """Which pods are rendered."""

    PREFERRED = "preferred"
    TCP = "TCP"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("render", short_help="Show what would be created, offline.", epilog=_EPILOG)(render)


def render(
    filename: Files,
    namespace: Annotated[
        str, typer.Option("--namespace", "-n", help="Namespace of deployments that name none.")
    ] = "default",
    image: Image = None,
    operator_namespace: OperatorNamespace = OPERATOR_NAMESPACE,
    transport: Annotated[
        Transport, typer.Option("--transport", help="Pods as the spec prefers them, or those for TCP.")
    ] = Transport.PREFERRED,
    plain: Annotated[
        bool,
        typer.Option(
            "--plain", help="Fabrics as in a cluster without the NVIDIA network operator. Without it: with it."
        ),
    ] = False,
    output: ManifestOutput = ManifestFormat.YAML,
) -> None:
    """Show every object that the operator would create for deployments and fabrics, offline."""
    from .documents import read_documents  # noqa: PLC0415 - slow
    from .fabric_documents import read_fabrics, render_fabric  # noqa: PLC0415
    from .generate import dump_yaml  # noqa: PLC0415
    from .output import note, print_document, print_table  # noqa: PLC0415

    found = read_documents(filename)
    fabrics = None if transport is Transport.TCP else read_fabrics(found.fabrics)
    objects: list[dict[str, Any]] = []
    for document in found.fabrics:
        made, remarks = render_fabric(document, plain=plain)
        objects += made
        for remark in remarks:
            note(remark)
    for document in found.deployments:
        objects += render_document(document, namespace, image, operator_namespace, fabrics)
    match output:
        case ManifestFormat.YAML:
            typer.echo(dump_yaml(*objects), nl=False)
        case ManifestFormat.JSON:
            print_document({"apiVersion": "v1", "kind": "List", "items": objects}, Format.JSON)
        case ManifestFormat.TABLE:
            rows = [
                (item["kind"], item["metadata"]["name"], item["metadata"].get("namespace", "-")) for item in objects
            ]
            print_table(("KIND", "NAME", "NAMESPACE"), rows)


def render_document(
    document: "Document",
    namespace: str,
    image: str | None,
    operator_namespace: str,
    fabrics: "dict[str, FabricFacts] | None" = None,
) -> list[dict[str, Any]]:
    """Return the objects for one deployment.

    Args:
        document: The deployment.
        namespace: For one that names none.
        image: Engine image that the operator is set to use.
        operator_namespace: Where the operator is installed.
        fabrics: Known fabrics by name, for pods as the spec prefers them; None for pods for TCP.

    Raises:
        CommandError: The deployment breaks a rule.
    """
    from inference_cache.domain.assemble import Platform, assemble  # noqa: PLC0415 - slow
    from inference_cache.domain.desired import build_desired  # noqa: PLC0415
    from inference_cache.domain.scope import Identity  # noqa: PLC0415

    from .output import note  # noqa: PLC0415
    from .specs import parse_document  # noqa: PLC0415
    from .transport_view import prefer, view_transport  # noqa: PLC0415

    parsed = parse_document(document)
    if isinstance(parsed, list):
        listed = "; ".join(map(str, parsed[:3]))
        raise CommandError(
            f"{document.where} ({document.name or 'no name'}) is refused: {listed}",
            "icd lint -f shows every violation.",
        )
    identity = Identity(document.name, document.namespace or namespace, OWNER_UID)
    assembly = assemble(identity, parsed, Platform(operator_namespace, image))
    blockers = [check for check in assembly.checks if check.blocks]
    if assembly.scope is None:
        raise CommandError(
            f"{document.where} ({document.name or 'no name'}) cannot be rendered: {blockers[-1].message}"
        )
    for check in blockers:
        note(
            f"{document.name}: the operator would hold these back, as {check.condition} is {check.status}: {check.message}"
        )
    if fabrics is None:
        return [manifest.body for manifest in build_desired(assembly.scope)]
    view = view_transport(assembly.scope, fabrics, by_files=True)
    if view is not None:
        note(f"{document.name}: transport: {view.describe()}")
    return [manifest.body for manifest in build_desired(prefer(assembly.scope, fabrics))]
