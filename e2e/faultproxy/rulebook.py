"""Which rule takes a request: order, counting, clearing, and waiting for an effect. Lives on one event loop."""

import asyncio
from collections.abc import Iterable

from e2e.faultproxy.request_info import RequestInfo
from e2e.faultproxy.rules import Rule, RuleState


class ActiveRule:
    """A rule in force, with its counts."""

    def __init__(self, rule: Rule, book: "RuleBook") -> None:
        self.rule = rule
        self._book = book
        self.matched = 0
        self.taken = 0
        self.fired = 0
        self.cleared = asyncio.Event()

    def take(self, info: RequestInfo) -> bool:
        """Count a request if the rule covers it; whether the rule acts on it."""
        if self.cleared.is_set() or not self.rule.match.covers(info):
            return False
        self.matched += 1
        if self.matched <= self.rule.skip or self.taken == self.rule.times:
            return False
        self.taken += 1
        return True

    def fire(self) -> None:
        """Say that the rule had its effect."""
        self.fired += 1
        self._book.wake()

    def state(self) -> RuleState:
        """Return the counts."""
        return RuleState(
            rule=self.rule,
            matched=self.matched,
            taken=self.taken,
            fired=self.fired,
            cleared=self.cleared.is_set(),
        )


class RuleBook:
    """The ordered rules in force."""

    def __init__(self) -> None:
        self._rules: dict[str, ActiveRule] = {}
        self._waiters: set[asyncio.Future[None]] = set()

    def replace_all(self, rules: Iterable[Rule]) -> list[ActiveRule]:
        """Put these rules, in this order, in the place of all others; counts start at 0.

        Raises:
            ValueError: two rules share an id.
        """
        wanted = list(rules)
        ids = [rule.id for rule in wanted]
        if len(set(ids)) != len(ids):
            raise ValueError(f"rule ids repeat: {ids}")
        self.remove_all()
        return [self.put(rule) for rule in wanted]

    def put(self, rule: Rule) -> ActiveRule:
        """Add a rule at the end, or in the place of the one with its id; its counts start at 0."""
        replaced = self._rules.get(rule.id)
        if replaced is not None:
            replaced.cleared.set()
        active = ActiveRule(rule, self)
        self._rules[rule.id] = active
        self.wake()
        return active

    def remove(self, rule_id: str) -> None:
        """Remove a rule and release what it holds.

        Raises:
            KeyError: there is no such rule.
        """
        self._rules.pop(rule_id).cleared.set()
        self.wake()

    def remove_all(self) -> None:
        """Remove every rule and release what they hold."""
        for rule_id in list(self._rules):
            self.remove(rule_id)

    def clear(self, rule_id: str) -> None:
        """Release what a rule holds and stop it from taking more requests; its counts stay readable.

        Raises:
            KeyError: there is no such rule.
        """
        self._rules[rule_id].cleared.set()
        self.wake()

    def take(self, info: RequestInfo) -> ActiveRule | None:
        """Return the rule that takes a request, None where it passes unharmed."""
        return next((active for active in self._rules.values() if active.take(info)), None)

    def states(self) -> list[RuleState]:
        """Return the rules in order with their counts."""
        return [active.state() for active in self._rules.values()]

    async def wait_fired(self, rule_id: str, *, count: int = 1, timeout_s: float = 30.0) -> RuleState:
        """Wait until a rule had ``count`` effects.

        Raises:
            KeyError: there is no such rule, or it was removed meanwhile.
            TimeoutError: it did not happen within ``timeout_s`` seconds.
        """
        active = self._rules[rule_id]
        try:
            async with asyncio.timeout(timeout_s):
                while active.fired < count:
                    if self._rules.get(rule_id) is not active:
                        raise KeyError(rule_id)
                    await self._next_change()
        except TimeoutError:
            raise TimeoutError(f"rule {rule_id!r} in {timeout_s} s: {active.state()!r}") from None
        return active.state()

    def wake(self) -> None:
        """Have everyone who waits look again."""
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def _next_change(self) -> None:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter)
        try:
            await waiter
        finally:
            self._waiters.discard(waiter)
