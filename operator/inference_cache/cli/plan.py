"""`icd plan`: what applying a file would do, and what its cache can give, before anything is applied."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from .options import OPERATOR_NAMESPACE, Context, Files, Format, Kubeconfig, OperatorNamespace

if TYPE_CHECKING:
    from .plan_reading import Review

_EPILOG: Final = """\b
Examples:
  icd plan -f deployment.yaml                      against the cluster of the kubeconfig
  icd plan -f deployment.yaml --offline            without a cluster: checks and capacity
  icd plan -f new.yaml --against old.yaml          two files, no cluster
  icd plan -f deployment.yaml -o markdown          for a comment on a pull request
  icd plan -f deployment.yaml --fail-on CacheBreaking
  icd plan -f deployment.yaml --offline --conversations 96 --context-tokens 50000 \\
      --memory 1500G --network-gigabits 200 --gpu NVIDIA-H200-NVL

\b
Exit codes: 0 fine, 1 the spec is refused or something cannot be read,
2 the command line is wrong, 3 the level of --fail-on is reached.

\b
It reads deployments, nodes and the operator's version table, never a Secret.
Whether Secrets and buckets are fit is checked by the operator alone."""


class PlanFormat(StrEnum):
    """How the plan is written."""

    TABLE = "table"
    MARKDOWN = "markdown"
    JSON = "json"
    YAML = "yaml"


class FailLevel(StrEnum):
    """What makes the command fail."""

    ROLLING = "Rolling"
    CACHE_BREAKING = "CacheBreaking"
    WARNING = "Warning"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("plan", short_help="Show what applying a file would do.", epilog=_EPILOG)(plan)


def plan(
    filename: Files,
    against: Annotated[
        list[str] | None,
        typer.Option(
            "--against", metavar="FILE", help="Compare with the deployments of this file instead of a cluster."
        ),
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Ask no cluster: everything is new.")] = False,
    fail_on: Annotated[
        FailLevel | None,
        typer.Option("--fail-on", help="Exit with 3 if a change has this class or a costlier one, or on any warning."),
    ] = None,
    namespace: Annotated[
        str | None, typer.Option("--namespace", "-n", help="Namespace of deployments that name none.")
    ] = None,
    model_config: Annotated[
        Path | None,
        typer.Option(
            "--model-config",
            help="config.json of the model, or its folder. Without it: spec.model.architecture, else the Hugging Face cache.",
        ),
    ] = None,
    gpu: Annotated[
        str | None, typer.Option("--gpu", help="GPU product to plan with, for instance NVIDIA-H200-NVL or H100.")
    ] = None,
    conversations: Annotated[
        int | None, typer.Option("--conversations", min=1, help="Instead of spec.workload's.")
    ] = None,
    context_tokens: Annotated[int | None, typer.Option("--context-tokens", min=1, help="Likewise.")] = None,
    new_tokens: Annotated[int | None, typer.Option("--new-tokens", min=1, help="Likewise; 300 without any.")] = None,
    answer_tokens: Annotated[
        int | None, typer.Option("--answer-tokens", min=1, help="Likewise; 200 without any.")
    ] = None,
    memory: Annotated[
        str | None,
        typer.Option("--memory", help="Try another size of the memory tier in the capacity plan, such as 1500G."),
    ] = None,
    network_gigabits: Annotated[
        float | None, typer.Option("--network-gigabits", min=0.1, help="Gb/s of one pod's ports to the store.")
    ] = None,
    read_megabytes: Annotated[
        float | None, typer.Option("--read-megabytes", min=0.1, help="MB/s that one pod reads from the store.")
    ] = None,
    write_megabytes: Annotated[
        float | None, typer.Option("--write-megabytes", min=0.1, help="MB/s that one pod writes to the store.")
    ] = None,
    prefill_tokens_per_second: Annotated[
        float | None,
        typer.Option(
            "--prefill-tokens-per-second", min=0.1, help="Measured prefill rate of one pod, instead of the model."
        ),
    ] = None,
    retention_days: Annotated[
        float | None,
        typer.Option("--retention-days", min=0.01, help="Age at which the store's lifecycle rule deletes objects."),
    ] = None,
    image: Annotated[str | None, typer.Option("--image", help="Engine image that the operator is set to use.")] = None,
    operator_namespace: OperatorNamespace = OPERATOR_NAMESPACE,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    output: Annotated[
        PlanFormat,
        typer.Option(
            "--output", "-o", help="table and markdown are for people; json and yaml are stable, for programs."
        ),
    ] = PlanFormat.TABLE,
) -> None:
    """Show what applying deployments would do: change class, restarts, the fate of the cache, objects, checks, capacity."""
    from inference_cache.api.quantities import parse_quantity  # noqa: PLC0415 - slow
    from inference_cache.domain.deployment_capacity import Overrides  # noqa: PLC0415

    from .output import print_document, print_lines  # noqa: PLC0415
    from .plan_reading import Request, review_deployments  # noqa: PLC0415
    from .plan_view import build_document, format_markdown, format_plan  # noqa: PLC0415

    if offline and against:
        raise typer.BadParameter("--against compares files and needs no cluster; leave --offline out.")
    try:
        size = None if memory is None else parse_quantity(memory)
    except ValueError as error:
        raise typer.BadParameter(f"--memory: {error}") from error
    overrides = Overrides(
        gpu_product=gpu,
        conversations=conversations,
        context_tokens=context_tokens,
        new_tokens=new_tokens,
        answer_tokens=answer_tokens,
        network_gigabits=network_gigabits,
        read_megabytes=read_megabytes,
        write_megabytes=write_megabytes,
        dram_bytes=size,
        prefill_tokens_per_second=prefill_tokens_per_second,
        retention_days=retention_days,
    )
    request = Request(filename, against or [], offline, namespace, image, operator_namespace, model_config, overrides)
    reviews = review_deployments(request, kubeconfig, context)
    if output is PlanFormat.TABLE:
        print_lines(line for review in reviews for line in format_plan(review))
    elif output is PlanFormat.MARKDOWN:
        typer.echo("\n".join(format_markdown(review) for review in reviews), nl=False)
    else:
        documents = [build_document(review) for review in reviews]
        print_document(documents[0] if len(documents) == 1 else documents, Format(output.value))
    if any(review.refused for review in reviews):
        raise typer.Exit(1)
    if fail_on is not None and any(reaches(review, fail_on) for review in reviews):
        raise typer.Exit(3)


def reaches(review: "Review", level: FailLevel) -> bool:
    """Whether a review has what --fail-on names."""
    from inference_cache.domain.change_classes import ChangeClass  # noqa: PLC0415 - slow

    if level is FailLevel.WARNING:
        return bool(review.warnings)
    return review.plan is not None and review.plan.change_class.rank >= ChangeClass(level.value).rank
