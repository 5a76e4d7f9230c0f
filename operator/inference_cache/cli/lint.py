"""`icd lint`: every rule of the API, checked without a cluster."""

from dataclasses import asdict
from typing import Final

import typer

from .options import OPERATOR_NAMESPACE, Files, Format, Image, Output

_EPILOG: Final = """\b
Examples:
  icd lint -f deployment.yaml
  icd lint -f deployments/ -f trial.yaml
  kustomize build . | icd lint -f - -o json

\b
It knows the rules of the API, the sizes, which versions and options go
together, and what the operators that carry a fabric out would refuse. Nodes,
Secrets and buckets are looked at in a cluster only. Exit code
1 says that something is refused."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("lint", short_help="Check deployments and fabrics offline.", epilog=_EPILOG)(lint)


def lint(
    filename: Files,
    image: Image = None,
    output: Output = Format.TABLE,
) -> None:
    """Check deployments and fabrics offline, with the rules that the API server and the operator check too."""
    from .documents import read_documents  # noqa: PLC0415 - slow
    from .findings import check_document  # noqa: PLC0415
    from .output import count_words, note, print_document  # noqa: PLC0415

    found = read_documents(filename)
    documents = (*found.deployments, *found.fabrics)
    findings = [item for document in documents for item in check_document(document, OPERATOR_NAMESPACE, image)]
    if output is Format.TABLE:
        for item in findings:
            typer.echo(
                f"{item.file}:{item.line}: {item.name or 'an object without a name'}: {item.field}: {item.message}"
            )
    else:
        counts = {"deployments": len(found.deployments), "fabrics": len(found.fabrics)}
        print_document({**counts, "violations": [asdict(item) for item in findings]}, output)
    bad = len({(item.file, item.document, item.line if not item.name else item.name) for item in findings})
    read = count_words(len(found.deployments), "deployment")
    if found.fabrics:
        read += f" and {count_words(len(found.fabrics), 'fabric')}"
    note(f"{read} read, {bad} with violations, {len(findings)} in all.")
    if findings:
        raise typer.Exit(1)
