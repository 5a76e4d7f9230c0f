"""`icd explain`: why a deployment is as it is, and the commands that mend it."""

from typing import TYPE_CHECKING, Annotated, Final

import typer

from .options import (
    OPERATOR_NAMESPACE,
    AllNamespaces,
    Context,
    Format,
    Kubeconfig,
    Namespace,
    OperatorNamespace,
    Output,
)

if TYPE_CHECKING:
    from inference_cache.domain.explanation import Explanation
    from inference_cache.domain.remedies import Target

    from .cluster_reader import ClusterReader

_EPILOG: Final = """\b
Examples:
  icd explain nemotron-70b -n inference
  icd explain                             one line for each deployment of the namespace
  icd explain -A -o json
  icd explain nemotron-70b -o json | jq -r '.fix[0].steps[].command'

\b
It reads the deployment, its pods, StatefulSet and events, its fabric, and the
nodes with what other operators say of them, and never a Secret. Words such as <ACCESS_KEY> are for you to fill in. Exit code 1
says that someone has to act."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("explain", short_help="Show what is wrong with a deployment, and what mends it.", epilog=_EPILOG)(
        explain
    )


def explain(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="Name of a deployment. Without it: all of the namespace.")
    ] = None,
    namespace: Namespace = None,
    all_namespaces: AllNamespaces = False,
    operator_namespace: OperatorNamespace = OPERATOR_NAMESPACE,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    output: Output = Format.TABLE,
) -> None:
    """Show why a deployment is not ready, down to the root cause, with the commands that mend it."""
    from inference_cache.domain.remedies import Target  # noqa: PLC0415 - slow

    from .cluster_reader import read_cluster  # noqa: PLC0415
    from .explanation_view import (  # noqa: PLC0415
        STATE_STYLES,
        build_document,
        build_short,
        find_cause,
        format_explanation,
    )
    from .kubeconfig import choose_access  # noqa: PLC0415
    from .output import print_document, print_lines, print_table  # noqa: PLC0415

    if name and all_namespaces:
        raise typer.BadParameter("a deployment has one namespace; use -n with NAME, or -A without.")
    access = choose_access(kubeconfig, context)
    where = namespace or access.namespace
    if name is not None:
        target = Target(where, name, operator_namespace, access.flags)
        found = read_cluster(access, lambda reader: _explain_one(reader, target))
        if output is Format.TABLE:
            print_lines(format_explanation(found))
        else:
            print_document(build_document(found), output)
        raise typer.Exit(int(found.state.wrong))
    all_found = read_cluster(
        access, lambda reader: _explain_all(reader, None if all_namespaces else where, operator_namespace)
    )
    if output is Format.TABLE:
        rows = [(item.namespace, item.name, item.state, find_cause(item), item.summary) for item in all_found]
        print_table(("NAMESPACE", "NAME", "STATE", "CAUSE", "SUMMARY"), rows, STATE_STYLES)
    else:
        print_document([build_short(item) for item in all_found], output)
    raise typer.Exit(int(any(item.state.wrong for item in all_found)))


async def _explain_one(reader: "ClusterReader", target: "Target") -> "Explanation":
    from inference_cache.domain.explain import explain as explain_deployment  # noqa: PLC0415 - slow

    from .observation import observe  # noqa: PLC0415

    seen = await observe(reader, target.namespace, target.name, target.operator_namespace)
    return explain_deployment(seen, target)


async def _explain_all(reader: "ClusterReader", namespace: str | None, operator_namespace: str) -> list["Explanation"]:
    from inference_cache.domain.explain import explain as explain_deployment  # noqa: PLC0415 - slow
    from inference_cache.domain.explanation import Observation  # noqa: PLC0415
    from inference_cache.domain.kinds import DEPLOYMENT  # noqa: PLC0415
    from inference_cache.domain.remedies import Target  # noqa: PLC0415

    found = []
    async for item in reader.list_items(DEPLOYMENT, namespace):
        metadata = item["metadata"]
        target = Target(metadata["namespace"], metadata["name"], operator_namespace)
        found.append(explain_deployment(Observation(item), target))
    return found
