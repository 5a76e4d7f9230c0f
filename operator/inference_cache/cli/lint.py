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
It knows the rules of the API, the sizes, and which versions and options go
together. Nodes, Secrets and buckets are looked at in a cluster only. Exit code
1 says that something is refused."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("lint", short_help="Check deployments offline.", epilog=_EPILOG)(lint)


def lint(
    filename: Files,
    image: Image = None,
    output: Output = Format.TABLE,
) -> None:
    """Check deployments offline, with the rules that the API server and the operator check too."""
    from .documents import read_deployments  # noqa: PLC0415 - slow
    from .findings import check_document  # noqa: PLC0415
    from .output import count_words, note, print_document  # noqa: PLC0415

    documents = read_deployments(filename)
    findings = [item for document in documents for item in check_document(document, OPERATOR_NAMESPACE, image)]
    if output is Format.TABLE:
        for item in findings:
            typer.echo(
                f"{item.file}:{item.line}: {item.name or 'a deployment without a name'}: {item.field}: {item.message}"
            )
    else:
        print_document({"deployments": len(documents), "violations": [asdict(item) for item in findings]}, output)
    bad = len({(item.file, item.document, item.name) for item in findings})
    note(f"{count_words(len(documents), 'deployment')} read, {bad} with violations, {len(findings)} in all.")
    if findings:
        raise typer.Exit(1)
