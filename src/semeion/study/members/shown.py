"""The bar of the learning."""

from __future__ import annotations

from collections.abc import Callable

from semeion.plan.schema import Plan
from semeion.progress import Progress
from semeion.study.clock import Clock


class Shown:
    """The bar of the learning: seconds of the budget, or steps of a fixed plan."""

    def __init__(self, progress: Progress, plan: Plan, clock: Clock) -> None:
        self.progress, self.clock = progress, clock
        self.timed = plan.budget.seconds is not None
        self.done, self.began = 0.0, clock.used()
        self.best = ""
        self.of_each: dict[int, float] = {}
        left = max(1.0, (clock.left() or 0.0) - plan.budget.reserve)
        progress.start("learning", left if self.timed else sum(member.steps for member in plan.members))

    def stands(self, member: str, figure: str, cases: int) -> None:
        """Say how good the ensemble is after `member`, on so many validation cases, which flatter."""
        if figure:
            self.best = f", best so far {figure}"
            self.progress.say(f"After {member}: {figure} on {cases} validation cases.")

    def of_member(self, index: int, steps: int, count: int) -> Callable[[int, int, float], None]:
        """Return what is called after every step of member `index`, which was planned with `steps`."""

        def stepped(step: int, total: int, value: float) -> None:
            # Several may be under way.
            self.of_each[index] = steps * step / total
            now = self.clock.used() - self.began if self.timed else sum(self.of_each.values())
            loss = "" if value != value else f", validation loss {value:.4f}"
            self.progress.advance(now - self.done, f"member {index + 1} of {max(count, index + 1)}{loss}{self.best}")
            self.done = now

        return stepped

    def of_search(self, text: str) -> None:
        """Say where a search is."""
        now = self.clock.used() - self.began if self.timed else self.done
        self.progress.advance(now - self.done, f"{text}{self.best}")
        self.done = now

    def of_features(self, index: int, count: int) -> Callable[[int, int], None]:
        """Return what is called while member `index` looks at cases once, with those seen and their number."""

        def seen(cases: int, of: int) -> None:
            if self.timed:
                now = self.clock.used() - self.began
                self.progress.advance(now - self.done, f"member {index + 1} of {count}: {cases} of {of} cases seen")
                self.done = now

        return seen
