"""Keeps the eligibility labels of nodes current: what deployments need and no other label tells, judged by the evidence.

Only the leader writes, at a bounded rate, and only where a node's labels differ from what they should be. Labels that keep
pods away from a node are written before those that say it is fit, and a new deployment waits for them.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Hashable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, Protocol

from inference_cache.domain.eligibility import (
    MISSED,
    EligibilityRule,
    Placement,
    has_gpu_signs,
    list_present,
    list_rules,
    plan_labels,
)
from inference_cache.domain.node_evidence import NodeEvidence
from inference_cache.domain.node_facts import NodeFacts
from inference_cache.domain.node_need import Need

from .errors import ClusterError, NotLeaderError
from .label_writer import IDLE_SECONDS, LabelWriter, Way

_log = logging.getLogger(__name__)

WRITES_PER_SECOND: Final = 20
UNNEEDED_SECONDS: Final = 600.0
"""For how long labels stay that nobody needs; passes of all deployments after a start take a while."""
PATIENCE_SECONDS: Final = 60.0
"""How long a deployment waits for labels without any progress, and labels that were written may take to show."""
_LAST_PATIENCE_SECONDS: Final = 3600.0
LONGEST_WAIT_SECONDS: Final = 600.0
_SETTLE_SECONDS: Final = 1.0
_SOON_SECONDS: Final = 0.05
# Nodes that are judged before the loop turns, and writes before the plan is made anew.
_PORTION: Final = 200
_WAITING: Final = frozenset({Placement.UNKNOWN, Placement.PENDING})
_RETRY_SECONDS: Final = (1.0, 2.0, 5.0, 10.0, 30.0)


class Evidence(Protocol):
    """What is known of the nodes."""

    @property
    def settled(self) -> bool:
        """Whether every source was read once, or will not be."""

    def nodes(self) -> Iterable[NodeEvidence] | None:
        """Return the evidence of all nodes; None before the first list."""


Selector = tuple[tuple[str, str], ...]
Claim = tuple[str, Selector]
"""A label and the nodes that it matters on."""


@dataclass
class _Rule:
    """A rule with the selectors of the deployments that need it; nodes that none of them selects are left alone."""

    rule: EligibilityRule
    selectors: set[Selector] = field(default_factory=set)

    def find_selectors(self, node: NodeFacts) -> list[Selector]:
        """Return the selectors that choose a node."""
        return [item for item in self.selectors if all(node.labels.get(key) == value for key, value in item)]


@dataclass
class _Wanted:
    """What a deployment needs.

    Attributes:
        selector: Labels of the nodes that it may run on at all.
        since: When it began to need it.
    """

    rules: tuple[EligibilityRule, ...]
    selector: Selector
    since: float

    @property
    def claims(self) -> frozenset[Claim]:
        """What must show at nodes before pods are made."""
        return frozenset((rule.label, self.selector) for rule in self.rules)


@dataclass
class _Scan:
    """What a look at all nodes found.

    Attributes:
        writes: Nodes whose labels differ, those first that must keep pods away.
        judged: Claims by which nodes were judged.
        open: Those of them that some node does not meet and does not say so yet.
        due: When to look again without news.
    """

    writes: list[tuple[int, NodeFacts, Mapping[str, str]]] = field(default_factory=list)
    judged: frozenset[Claim] = frozenset()
    open: set[Claim] = field(default_factory=set)
    due: float | None = None

    def note_due(self, moment: float | None) -> None:
        """Look again no later than at a moment."""
        if moment is not None:
            self.due = moment if self.due is None else min(self.due, moment)


class EligibilityPublisher:
    """Publishes eligibility labels for all deployments.

    Args:
        writer: Writes labels.
        evidence: What is known of the nodes.
        leading: Whether this process may write.
        released: Called with a deployment's key when it need not wait any longer.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        writer: LabelWriter,
        evidence: Evidence,
        leading: Callable[[], bool],
        released: Callable[[Hashable], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._writer = writer
        self._evidence = evidence
        self._leading = leading
        self._released = released
        self._clock = clock
        self._wanted: dict[Hashable, _Wanted] = {}
        self._covered: set[Claim] = set()
        self._waiting: set[Hashable] = set()
        self._labelled = True
        self._unneeded_since: dict[str, float] = {}
        self._missed_since: dict[str, Mapping[str, float]] = {}
        self._written: dict[str, tuple[Mapping[str, str], float, Way]] = {}
        self._repeats: dict[str, int] = {}
        self._works: set[Way] = set()
        self._judged: frozenset[Claim] = frozenset()
        self._progressed = 0.0
        self._news = asyncio.Event()
        self._soon = False

    @property
    def enforced(self) -> bool | None:
        """Whether pods are kept away from nodes that miss what labels must tell; None while that is not known."""
        if not self._wanted:
            return None
        if self._writer.known and self._writer.choose_way() is None:
            return False
        return True if self._list_claims() <= self._covered else None

    def register(self, key: Hashable, need: Need) -> None:
        """Note what a deployment needs; cheap, and called at each pass."""
        rules = list_rules(need)
        known = self._wanted.get(key)
        if known is not None and (known.rules, known.selector) == (rules, need.selector):
            return
        if not rules:
            self.forget(key)
            return
        self._wanted[key] = _Wanted(rules, need.selector, self._clock())
        self._soon = True
        self._news.set()

    def forget(self, key: Hashable) -> None:
        """Note that a deployment is gone, or needs no label any more."""
        self._waiting.discard(key)
        if self._wanted.pop(key, None) is not None:
            self._news.set()

    def note_news(self) -> None:
        """Note that evidence changed or that this process leads now; cheap, as thousands of changes may come at once."""
        self._news.set()

    def reset(self) -> None:
        """Forget what deployments need, as another process leads; passes tell it anew."""
        self._wanted.clear()
        self._covered.clear()
        self._waiting.clear()
        self._labelled = True
        self._unneeded_since.clear()
        self._missed_since.clear()
        self._written.clear()
        self._repeats.clear()
        self._judged = frozenset()

    def find_placement(self, key: Hashable) -> Placement:
        """Return whether the scheduler knows what a deployment needs; whoever has to wait is told when that ends."""
        placement = self._find_placement(key)
        if placement in _WAITING:
            self._waiting.add(key)
        return placement

    def _find_placement(self, key: Hashable) -> Placement:
        wanted = self._wanted.get(key)
        if wanted is None or wanted.claims <= self._covered:
            return Placement.ENFORCED
        if self._writer.known and self._writer.choose_way() is None:
            return Placement.NOT_ENFORCED
        if self._clock() >= self._ends_waiting(wanted):
            return Placement.NOT_ENFORCED
        return Placement.PENDING if wanted.claims <= self._judged else Placement.UNKNOWN

    def _ends_waiting(self, wanted: _Wanted) -> float:
        """Return until when a deployment waits: longer while labels do show at nodes, which are many."""
        longest = wanted.since + LONGEST_WAIT_SECONDS
        return min(longest, max(wanted.since, self._progressed) + PATIENCE_SECONDS)

    async def run(self) -> None:
        """Look and write, until cancelled."""
        due: float | None = None
        failures = 0
        while True:
            await self._wait(due)
            due = None
            if not self._leading():
                continue
            try:
                due = await self.publish()
                failures = 0
            except NotLeaderError:
                continue
            except ClusterError as error:
                _log.warning("labels of nodes not written, trying again", extra={"error": str(error)[:300]})
                due = self._clock() + _RETRY_SECONDS[min(failures, len(_RETRY_SECONDS) - 1)]
                failures += 1

    async def publish(self) -> float | None:
        """Look at all nodes and write what differs; returns when to look again without news, in monotonic seconds.

        Raises:
            ClusterError: The API server failed.
        """
        if not self._evidence.settled or not self._writer.known:
            return self._clock() + _SETTLE_SECONDS
        if not self._wanted and not self._labelled:
            return None
        way = self._writer.choose_way()
        scan = await self._scan(way)
        self._release(scan)
        if way is not self._writer.choose_way():
            return self._clock()
        if way is None:
            scan.note_due(self._writer.reopens_at())
            return scan.due
        scan.writes.sort(key=lambda item: item[0])
        for _, node, labels in scan.writes[:_PORTION]:
            if await self._writer.write(way, node, labels):
                before = self._written.get(node.name)
                again = before is not None and (dict(before[0]), before[2]) == (dict(labels), way)
                self._repeats[node.name] = self._repeats.get(node.name, 0) + 1 if again else 0
                self._written[node.name] = (labels, self._clock(), way)
                self._labelled = True
            elif self._writer.choose_way() is not way:
                return self._clock()
            await asyncio.sleep(1 / WRITES_PER_SECOND)
        if len(scan.writes) > _PORTION:
            return self._clock()
        if self._written:
            scan.note_due(self._clock() + PATIENCE_SECONDS)
        return scan.due

    async def _wait(self, due: float | None) -> None:
        if due is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, due - self._clock())):
                    await self._news.wait()
        else:
            await self._news.wait()
        if self._news.is_set():
            # News come in bursts; a new deployment waits for what comes of it.
            await asyncio.sleep(_SOON_SECONDS if self._soon else _SETTLE_SECONDS)
        self._news.clear()
        self._soon = False

    async def _scan(self, way: Way | None) -> _Scan:
        rules: dict[str, _Rule] = {}
        for wanted in self._wanted.values():
            for rule in wanted.rules:
                rules.setdefault(rule.label, _Rule(rule)).selectors.add(wanted.selector)
        scan, now = _Scan(judged=frozenset(self._list_claims())), self._clock()
        seen: set[str] = set()
        names: set[str] = set()
        for number, evidence in enumerate(self._evidence.nodes() or ()):
            if number % _PORTION == _PORTION - 1:
                await asyncio.sleep(0)
            names.add(evidence.facts.name)
            present = list_present(evidence.facts.labels)
            seen |= present.keys()
            if rules or present:
                self._scan_node(scan, way, evidence, present, rules, now)
        self._labelled = bool(seen)
        self._forget_nodes(names)
        self._age_unneeded(scan, seen - rules.keys(), now)
        return scan

    def _scan_node(
        self,
        scan: _Scan,
        way: Way | None,
        evidence: NodeEvidence,
        present: Mapping[str, str],
        rules: Mapping[str, _Rule],
        now: float,
    ) -> None:
        name = evidence.facts.name
        asked = rules if has_gpu_signs(evidence) else {}
        about = {label: found for label, item in asked.items() if (found := item.find_selectors(evidence.facts))}
        met = {label: rules[label].rule.is_met(evidence) for label in about}
        kept = [label for label in present if label in rules or not self._is_over(label, now)]
        plan = plan_labels(present, met, kept, self._missed_since.get(name, {}), now)
        if plan.missed_since:
            self._missed_since[name] = plan.missed_since
        else:
            self._missed_since.pop(name, None)
        scan.note_due(plan.due)
        gaps = {label for label, value in plan.labels.items() if value == MISSED and present.get(label) != MISSED}
        scan.open.update((label, selector) for label in gaps for selector in about.get(label, ()))
        if not plan.differs_from(present):
            done = self._written.pop(name, None)
            self._repeats.pop(name, None)
            if done is not None:
                self._works.add(done[2])
                self._progressed = now
        elif self._may_write(scan, way, name, plan.labels, now):
            scan.writes.append((0 if gaps else 1, evidence.facts, plan.labels))

    def _may_write(self, scan: _Scan, way: Way | None, name: str, labels: Mapping[str, str], now: float) -> bool:
        """Whether a node is to be written to: not while what was written has not had the time to show."""
        written = self._written.get(name)
        if written is None or way is not written[2] or dict(written[0]) != dict(labels):
            return True
        # A label that somebody else keeps in the way must not be written at every look for ever.
        patience = min(PATIENCE_SECONDS * 2.0 ** min(self._repeats.get(name, 0), 10), _LAST_PATIENCE_SECONDS)
        if now < written[1] + patience:
            scan.note_due(written[1] + patience)
            return False
        if way is not None and way not in self._works:
            self._writer.close(way, f"labels that were written as {way} did not show at node {name}", IDLE_SECONDS)
            return False
        return True

    def _release(self, scan: _Scan) -> None:
        # Nodes that come later are labelled as they come; nobody waits for them again.
        self._covered = (self._covered | (scan.judged - scan.open)) & self._list_claims()
        self._judged = scan.judged
        for key in [key for key in self._waiting if self._find_placement(key) not in _WAITING]:
            self._waiting.discard(key)
            self._released(key)
        for key in self._waiting & self._wanted.keys():
            scan.note_due(self._ends_waiting(self._wanted[key]))

    def _list_claims(self) -> set[Claim]:
        return {claim for wanted in self._wanted.values() for claim in wanted.claims}

    def _age_unneeded(self, scan: _Scan, labels: set[str], now: float) -> None:
        self._unneeded_since = {label: self._unneeded_since.get(label, now) for label in labels}
        for since in self._unneeded_since.values():
            if now < since + UNNEEDED_SECONDS:
                scan.note_due(since + UNNEEDED_SECONDS)

    def _is_over(self, label: str, now: float) -> bool:
        return now >= self._unneeded_since.get(label, now) + UNNEEDED_SECONDS

    def _forget_nodes(self, names: set[str]) -> None:
        for known in (self._missed_since, self._written, self._repeats):
            for name in known.keys() - names:
                known.pop(name, None)
