"""How a plan reads: as text for a terminal, as Markdown for a pull request, and as a document for programs."""

import json
from collections.abc import Iterator
from typing import Any, Final

from inference_cache.domain.capacity_figures import CapacityPlan, FindingLevel
from inference_cache.domain.change_classes import ChangeClass
from inference_cache.domain.change_plan import (
    ChangePlan,
    FieldDifference,
    ObjectChange,
    ObjectDifference,
    SpecDifference,
)
from inference_cache.domain.deployment_capacity import summarize_capacity
from inference_cache.domain.verdict import Truth

from .capacity_view import list_capacity_rows
from .output import Line
from .plan_reading import Review, describe_sizes

_MAX_VALUE: Final = 100
_CLASS_STYLES: Final = {
    ChangeClass.NONE: "",
    ChangeClass.HOT: "green",
    ChangeClass.ROLLING: "yellow",
    ChangeClass.CACHE_BREAKING: "bold red",
}


def build_document(review: Review) -> dict[str, Any]:
    """Return the plan for programs. Its shape is stable: keys are only added."""
    plan = review.plan
    document: dict[str, Any] = {
        "deployment": review.name,
        "namespace": review.namespace,
        "comparedWith": review.compared_with,
        "exists": review.exists,
        "refused": review.refused,
        "violations": [{"field": item.field, "message": item.message} for item in review.violations],
        "warnings": list(review.warnings),
        "notes": list(review.notes),
    }
    if plan is None:
        return document
    return document | {
        "changeClass": plan.change_class.value,
        "fingerprint": {"before": plan.fingerprint[0], "after": plan.fingerprint[1]},
        "pods": {"restarted": plan.pods_restarted, "added": plan.pods_added, "removed": plan.pods_removed},
        "spec": [
            {"path": item.path, "before": item.before, "after": item.after, "class": item.expected, "why": item.why}
            for item in plan.spec
        ],
        "objects": [
            {
                "kind": item.kind,
                "name": item.name,
                "change": item.change.value,
                "fields": [{"path": it.path, "before": it.before, "after": it.after} for it in item.fields],
            }
            for item in plan.objects
        ],
        "checks": [
            {
                "condition": it.condition.value,
                "status": it.status.value,
                "reason": it.reason.name,
                "message": it.message,
            }
            for it in review.checks
        ],
        "transport": review.transport.build_document() if review.transport else None,
        "sharesCacheWith": list(review.sharing),
        "capacity": _capacity_document(review),
    }


def _capacity_document(review: Review) -> dict[str, Any] | None:
    figures = summarize_capacity(review.capacity)
    if figures is None or review.capacity is None:
        return None
    payoff = review.payoff
    return figures.model_dump(mode="json", by_alias=True, exclude_none=True) | {
        "paysOff": {"status": payoff.status.value, "reason": payoff.reason.name, "message": payoff.message}
        if payoff
        else None,
        "findings": [
            {"level": it.level.value, "reason": it.reason.value, "message": it.message}
            for it in review.capacity.findings
        ],
        "unknown": [{"what": it.what, "why": it.why} for it in review.capacity.unknowns],
        "figures": {label: text for label, text, _ in list_capacity_rows(review.capacity)},
    }


def format_plan(review: Review) -> Iterator[Line]:
    """Yield the plan as lines for people."""
    yield Line(f"{review.name} in namespace {review.namespace}, compared with {review.compared_with}", "bold")
    if review.violations:
        yield Line("  Refused: the spec breaks rules of the API.", "bold red")
        yield from (Line(f"    {item}", "red") for item in review.violations)
        yield Line()
        return
    if review.plan is not None:
        yield from _format_change(review, review.plan)
    yield from _format_checks(review)
    if review.capacity is not None:
        yield from _format_capacity(review, review.capacity)
    yield from _format_list("Warnings", review.warnings, "yellow")
    yield from _format_list("Notes", review.notes, "dim")
    yield Line()


def _format_change(review: Review, plan: ChangePlan) -> Iterator[Line]:
    yield Line(f"  Change: {describe_change(review, plan)}", _CLASS_STYLES[plan.change_class])
    yield Line(f"  Pods:   {describe_pods(review, plan)}")
    yield Line(f"  Cache:  {describe_cache(review, plan)}")
    if review.transport is not None:
        yield Line(f"  Store:  {review.transport.describe()}", "yellow" if review.transport.cause[0] else "")
    if review.scope is not None:
        yield Line(
            "  Pod:    "
            + ", ".join(
                f"{text} {label}" if label == "GPUs" else f"{label} {text}"
                for label, text in describe_sizes(review.scope)
            )
        )
    if plan.spec:
        yield Line("  Spec:")
        yield from (Line(f"    {_format_spec(item)}") for item in plan.spec)
    changed = [item for item in plan.objects if item.change is not ObjectChange.KEEP]
    if changed:
        yield Line("  Objects:")
    for item in changed:
        yield Line(f"    {item.change.value.lower():<7} {item.kind} {item.name}")
        yield from (Line(f"            {_format_field(difference)}") for difference in item.fields)


def _format_spec(item: SpecDifference) -> str:
    return f"{item.path}: {_show(item.before)} -> {_show(item.after)}   [{item.expected}: {item.why}]"


def _format_field(item: FieldDifference) -> str:
    if isinstance(item.before, list) or isinstance(item.after, list):
        gone = [f"- {_show(value)}" for value in item.before or []]
        new = [f"+ {_show(value)}" for value in item.after or []]
        return f"{item.path}: {'  '.join([*gone, *new])}"
    return f"{item.path}: {_show(item.before)} -> {_show(item.after)}"


def _format_checks(review: Review) -> Iterator[Line]:
    if review.checks:
        yield Line("  Checks:")
    for item in review.checks:
        style = "" if item.status is Truth.TRUE else "red"
        yield Line(f"    {item.condition} {item.status} {item.reason.name}: {item.message}", style)


def _format_capacity(review: Review, plan: CapacityPlan) -> Iterator[Line]:
    yield Line("  Capacity (predicted, for one replica unless said otherwise):")
    rows = list_capacity_rows(plan)
    width = max(len(label) for label, _, _ in rows)
    for label, text, remark in rows:
        yield Line(f"    {label.ljust(width)}  {text}{f'   ({remark})' if remark else ''}")
    if review.payoff is not None:
        style = {Truth.TRUE: "green", Truth.FALSE: "red", Truth.UNKNOWN: "yellow"}[review.payoff.status]
        yield Line(
            f"    CachePaysOff {review.payoff.status} {review.payoff.reason.name}: {review.payoff.message}", style
        )
    for finding in plan.findings:
        if finding.level is FindingLevel.INFO:
            yield Line(f"    {finding.reason}: {finding.message}")
    for unknown in plan.unknowns:
        yield Line(f"    Unknown: {unknown.what}. {unknown.why}", "dim")


def _format_list(title: str, items: tuple[str, ...], style: str) -> Iterator[Line]:
    if items:
        yield Line(f"  {title}:", style)
    yield from (Line(f"    - {item}", style) for item in items)


def describe_change(review: Review, plan: ChangePlan) -> str:
    """Return the change class in a sentence."""
    if not review.exists:
        return "new deployment"
    if not plan.before_known:
        return f"not known, as what is applied now cannot be rendered; treat it as {plan.change_class}"
    if (
        plan.change_class is ChangeClass.ROLLING
        and review.scope is not None
        and review.scope.settled.object_store is None
    ):
        return "Rolling, pods are replaced; their memory tiers, which are all of the cache, begin empty"
    texts = {
        ChangeClass.NONE: "none, the spec is what is applied already",
        ChangeClass.HOT: "Hot, nothing restarts",
        ChangeClass.ROLLING: "Rolling, pods are replaced and the cache is kept",
        ChangeClass.CACHE_BREAKING: "CacheBreaking, pods are replaced and the cache begins cold",
    }
    return texts[plan.change_class]


def describe_pods(review: Review, plan: ChangePlan) -> str:
    """Return what happens to pods."""
    parts = []
    if plan.pods_restarted:
        parts.append(f"{plan.pods_restarted} restart, at most {review.max_unavailable} at a time")
    if plan.pods_added:
        parts.append(f"{plan.pods_added} added")
    if plan.pods_removed:
        parts.append(f"{plan.pods_removed} removed")
    text = ", ".join(parts) or "none restart"
    return f"{text}; held back until the failed checks are mended" if any(it.blocks for it in review.checks) else text


def describe_cache(review: Review, plan: ChangePlan) -> str:
    """Return what becomes of the cache."""
    before, after = plan.fingerprint
    if review.scope is not None and not review.scope.settled.cache_enabled:
        return "disabled"
    if after is None:
        return "unknown, as no versions could be chosen"
    shared = f"; shared with {', '.join(review.sharing)}" if review.sharing else ""
    if before is None:
        return f"begins under fingerprint {after}{shared}"
    if before == after and plan.change_class is ChangeClass.CACHE_BREAKING:
        return f"cold: the store of the old specification is not read any more; fingerprint {after} stays{shared}"
    if before == after:
        return f"kept, fingerprint {after}{shared}" + (
            "; the memory tier of a restarted pod begins empty" if plan.pods_restarted else ""
        )
    return f"cold: fingerprint {before} -> {after}{shared}"


def format_markdown(review: Review) -> str:
    """Return the plan as Markdown for a pull request."""
    lines = [f"### `{review.namespace}/{review.name}`", ""]
    plan = review.plan
    if plan is None:
        lines += ["**Refused**: the spec breaks rules of the API.", ""]
        lines += [f"- `{item.field}`: {item.message}" for item in review.violations]
        return "\n".join(lines) + "\n"
    lines += [
        f"**{describe_change(review, plan)}** (compared with {review.compared_with})",
        "",
        f"- Pods: {describe_pods(review, plan)}",
        f"- Cache: {describe_cache(review, plan)}",
        *([f"- Store: {review.transport.describe()}"] if review.transport else []),
    ]
    if review.warnings:
        lines += ["", "**Warnings**", "", *(f"- {item}" for item in review.warnings)]
    if plan.spec:
        lines += ["", "| Field | Before | After | Class |", "| --- | --- | --- | --- |"]
        lines += [f"| `{it.path}` | {_cell(it.before)} | {_cell(it.after)} | {it.expected} |" for it in plan.spec]
    lines += _list_object_lines(plan.objects)
    bad = [item for item in review.checks if item.blocks]
    lines += [
        "",
        "Checks: "
        + ("all hold." if not bad else ", ".join(f"**{it.condition} {it.reason.name}**" for it in bad) + "."),
    ]
    if review.capacity is not None:
        lines += ["", "<details><summary>Capacity</summary>", "", "| Figure | Value | |", "| --- | --- | --- |"]
        lines += [f"| {label} | {text} | {remark} |" for label, text, remark in list_capacity_rows(review.capacity)]
        if review.payoff is not None:
            lines += ["", f"CachePaysOff **{review.payoff.status}**: {review.payoff.message}"]
        lines += ["", "</details>"]
    return "\n".join(lines) + "\n"


def _list_object_lines(objects: tuple[ObjectDifference, ...]) -> list[str]:
    changed = [item for item in objects if item.change is not ObjectChange.KEEP]
    if not changed:
        return []
    lines = ["", "<details><summary>Objects</summary>", "", "```diff"]
    for item in changed:
        lines.append(f"# {item.change.value} {item.kind} {item.name}")
        for difference in item.fields:
            lines += [f"- {difference.path}: {_show(value)}" for value in _values(difference.before)]
            lines += [f"+ {difference.path}: {_show(value)}" for value in _values(difference.after)]
    return [*lines, "```", "", "</details>"]


def _values(value: Any) -> list[Any]:
    return [] if value is None else value if isinstance(value, list) else [value]


def _cell(value: Any) -> str:
    return f"`{_show(value)}`".replace("|", "\\|")


def _show(value: Any) -> str:
    text = "absent" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    flat = " ".join(text.split())
    return flat if len(flat) <= _MAX_VALUE else flat[: _MAX_VALUE - 3] + "..."
