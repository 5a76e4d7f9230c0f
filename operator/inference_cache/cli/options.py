"""Options that several commands share, with one meaning and one help text each."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Format(StrEnum):
    """How a result is written."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


class ManifestFormat(StrEnum):
    """How objects are written."""

    YAML = "yaml"
    JSON = "json"
    TABLE = "table"


Files = Annotated[
    list[str],
    typer.Option(
        "--filename",
        "-f",
        metavar="FILE",
        help="File or folder with YAML or JSON, or - for standard input. May be given several times.",
    ),
]
Image = Annotated[
    str | None,
    typer.Option("--image", help="Engine image that the operator is set to use. Without it: that of the version pair."),
]
Namespace = Annotated[
    str | None,
    typer.Option("--namespace", "-n", help="Namespace. Without it: that of the kubeconfig's context."),
]
AllNamespaces = Annotated[bool, typer.Option("--all-namespaces", "-A", help="Every namespace.")]
Kubeconfig = Annotated[
    Path | None,
    typer.Option("--kubeconfig", help="Kubeconfig to use. Without it: $KUBECONFIG, or ~/.kube/config."),
]
Context = Annotated[str | None, typer.Option("--context", help="Context of the kubeconfig to use.")]
OperatorNamespace = Annotated[
    str, typer.Option("--operator-namespace", help="Namespace in which the operator is installed.")
]
Output = Annotated[
    Format, typer.Option("--output", "-o", help="table is for people; json and yaml are stable, for programs.")
]
ManifestOutput = Annotated[
    ManifestFormat, typer.Option("--output", "-o", help="yaml and json can be applied; table lists kinds and names.")
]

OPERATOR_NAMESPACE = "inference-cache-system"
