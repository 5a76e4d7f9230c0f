"""`icd render`: the objects that the operator would create, without a cluster."""

from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from .failure import CommandError
from .options import OPERATOR_NAMESPACE, Files, Format, Image, ManifestFormat, ManifestOutput, OperatorNamespace

if TYPE_CHECKING:
    from .documents import Document

OWNER_UID: Final = "00000000-0000-0000-0000-000000000000"
"""Stands for the uid that the API server gives to the deployment."""

_EPILOG: Final = f"""\b
Examples:
  icd render -f deployment.yaml
  icd render -f deployment.yaml -n inference -o table
  icd render -f new.yaml | diff <(icd render -f old.yaml) -

\b
The owner's uid in ownerReferences is {OWNER_UID},
as only the API server knows it. Do not apply the output: Kubernetes deletes
objects whose owner does not exist. The hash inferencecache.io/applied-hash
covers the uid, so it differs from that in a cluster too."""


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
    output: ManifestOutput = ManifestFormat.YAML,
) -> None:
    """Show every object that the operator would create for deployments, offline."""
    from .documents import read_deployments  # noqa: PLC0415 - slow
    from .generate import dump_yaml  # noqa: PLC0415
    from .output import print_document, print_table  # noqa: PLC0415

    objects: list[dict[str, Any]] = []
    for document in read_deployments(filename):
        objects += render_document(document, namespace, image, operator_namespace)
    match output:
        case ManifestFormat.YAML:
            typer.echo(dump_yaml(*objects), nl=False)
        case ManifestFormat.JSON:
            print_document({"apiVersion": "v1", "kind": "List", "items": objects}, Format.JSON)
        case ManifestFormat.TABLE:
            rows = [(item["kind"], item["metadata"]["name"], item["metadata"]["namespace"]) for item in objects]
            print_table(("KIND", "NAME", "NAMESPACE"), rows)


def render_document(
    document: "Document", namespace: str, image: str | None, operator_namespace: str
) -> list[dict[str, Any]]:
    """Return the objects for one deployment.

    Raises:
        CommandError: The deployment breaks a rule.
    """
    from inference_cache.domain.assemble import Platform, assemble  # noqa: PLC0415 - slow
    from inference_cache.domain.desired import build_desired  # noqa: PLC0415
    from inference_cache.domain.scope import Identity  # noqa: PLC0415

    from .documents import parse_document  # noqa: PLC0415
    from .output import note  # noqa: PLC0415

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
    return [manifest.body for manifest in build_desired(assembly.scope)]
