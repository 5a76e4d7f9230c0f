"""An explanation in its stable form for programs, and as text for people."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from inference_cache.domain.explanation import Explanation, Link
from inference_cache.domain.remedies import Command, Fix, Step

from .output import Line

STATE_STYLES: Final = {
    "Healthy": "green",
    "Degraded": "yellow",
    "Progressing": "cyan",
    "Broken": "red",
    "Stale": "red",
    "NotSeen": "red",
}


def build_document(found: Explanation) -> dict[str, Any]:
    """Return the explanation in its stable form."""
    return {
        **build_short(found),
        "chain": [_build_link(link) for link in found.chain],
        "evidence": list(found.evidence),
        "fix": [build_fix(fix) for fix in found.fixes],
        "others": [{**_build_link(item.link), "fix": [build_fix(fix) for fix in item.fixes]} for item in found.others],
        "inEffect": dict(found.effect or {}),
        "notRead": list(found.unread),
    }


def build_short(found: Explanation) -> dict[str, Any]:
    """Return what a list of deployments shows of it."""
    return {
        "namespace": found.namespace,
        "name": found.name,
        "state": found.state.value,
        "cause": find_cause(found),
        "summary": found.summary,
    }


def find_cause(found: Explanation) -> str:
    """Return the reason to mend; what nodes, objects and pods show as examples are details of it."""
    reasons = [link.reason for link in found.chain if not link.detail]
    return reasons[-1] if reasons else ""


def _build_link(link: Link) -> dict[str, str]:
    return {"subject": link.subject, "status": link.status, "reason": link.reason, "message": link.message}


def build_fix(fix: Fix) -> dict[str, Any]:
    """Return a fix in its stable form."""
    return {"why": fix.why, "steps": [_build_step(step) for step in fix.steps]}


def _build_step(step: Step) -> dict[str, Any]:
    if isinstance(step, Command):
        return {"command": step.text, "looks": step.looks}
    edit: dict[str, Any] = {"path": step.path}
    if step.value is not None:
        edit["value"] = step.value
    if step.how:
        edit["how"] = step.how
    return {"edit": edit, **({"command": step.command} if step.command else {}), "looks": False}


def format_explanation(found: Explanation) -> Iterator[Line]:
    """Yield the explanation for people."""
    yield Line(f"{found.namespace}/{found.name}: {found.state}", f"bold {STATE_STYLES.get(found.state, '')}".strip())
    yield Line(found.summary)
    if found.state.wrong or len(found.chain) > 1:
        yield from _format_chain(found.chain)
    yield from _format_list("Evidence", found.evidence)
    if found.fixes:
        yield Line()
        yield Line("Fix" if any(fix.steps for fix in found.fixes) else "What to do", "bold")
        yield from format_fixes([build_fix(fix) for fix in found.fixes])
    for problem in found.others:
        yield Line()
        yield Line(f"Also: {_format_subject(problem.link)}: {problem.link.reason}", "bold")
        yield Line(f"  {problem.link.message}", "dim")
        yield from format_fixes([build_fix(fix) for fix in problem.fixes])
    if not found.state.wrong:
        effect = (found.effect or {}).items()
        yield from _format_list(
            "As rendered by the operator", [f"{_split_words(name)}: {value}" for name, value in effect]
        )
    yield from _format_list("Not read", found.unread)


def _format_chain(chain: Sequence[Link]) -> Iterator[Line]:
    """Yield the steps, each deeper than the one before; a message is shown once, where it was said first."""
    if not chain:
        return
    yield Line()
    yield Line("Why", "bold")
    for depth, link in enumerate(chain):
        indent = "  " * (1 + min(depth, 2))
        yield Line(f"{indent}{'because ' if depth else ''}{_format_subject(link)}: {link.reason}")
        if depth == len(chain) - 1 or chain[depth + 1].message != link.message:
            yield Line(f"{indent}  {link.message}", "dim")


def _format_list(title: str, items: Iterable[str]) -> Iterator[Line]:
    if items:
        yield Line()
        yield Line(title, "bold")
        for item in items:
            yield Line(f"  {item}")


def format_fixes(fixes: Sequence[Mapping[str, Any]]) -> Iterator[Line]:
    """Yield fixes in their stable form as text for people."""
    for number, fix in enumerate(fixes):
        yield Line(f"  {'or: ' if number else ''}{fix['why']}")
        for step in fix["steps"]:
            if "edit" in step:
                yield Line(f"    {_format_edit(step['edit'])}")
            if "command" in step:
                yield Line(f"    {step['command']}", "cyan")


def _format_edit(edit: Mapping[str, Any]) -> str:
    if "value" not in edit:
        return f"{edit['path']}: {edit.get('how', '')}"
    value = edit["value"]
    return f"{edit['path']}: write {value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}"


def _format_subject(link: Link) -> str:
    return "of its nodes" if link.subject == "Nodes" else f"{link.subject} is {link.status}"


def _split_words(name: str) -> str:
    return "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in name)
