"""Maps of held-out cases put to the test: weights drawn anew, noise, other members, places taken away."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from time import monotonic

import numpy as np
import numpy.typing as npt

from semeion.explain.trial.pointing import covered, dice_at_equal_area, energy_inside, hits
from semeion.explain.trial.removal import Curves, removal_curves
from semeion.explain.trial.repeat import mirrored, noisy
from semeion.explain.trial.similarity import spearman
from semeion.learn.randomised import layers_of, randomised_rows
from semeion.study.explained_pace import DRAWS, STEPS, affordable, first_of, seconds_a_case
from semeion.study.explained_reading import Case, Floats, Rows, Side, TooLittleTime, Trial, as_they_are, kept, sight_of
from semeion.study.sight import Seeing, Sight, Targets

LATE = 1.25
"""So many times the time given, at most, when it was told wrong."""


@dataclass
class Tried:
    """What came of the trials of one method, case by case.

    Attributes
    ----------
    rows
        The cases, of all sides one after the other.
    values
        Figure to its value of each case, ``(cases,)``; NaN where it has none.
    cascade
        Share of the layers that were drawn anew, and the similarity to the original, ``(cases,)``.
    curves
        Of deletion and insertion.
    members
        How two members were found that agree or not.
    allowed
        Cases that time, or the plan, allowed.
    """

    rows: Rows
    values: dict[str, Floats] = field(default_factory=dict)
    cascade: list[tuple[float, Floats]] = field(default_factory=list)
    curves: Curves | None = None
    members: str = ""
    allowed: int = 0


def try_maps(trial: Trial, sides: Sequence[Side], seconds: float | None, cases: int | None = None) -> Tried:
    """Put a method to all trials.

    Parameters
    ----------
    trial, sides
        What, and whose cases.
    seconds
        That it may take; then fewer cases are read. As long as it takes when None.
    cases
        Where no time is given: how many are read, all when None.

    Raises
    ------
    InputError
        When no member gives a map by the method.
    TooLittleTime
        When too few cases could be read, or reading took longer than it was seen to.
    """
    began = monotonic()
    sides = [side for side in sides if len(side.rows)]
    allowed = sum(len(side.rows) for side in sides) if cases is None else cases
    if seconds is not None:
        each = seconds_a_case(trial, sides[0], seconds)
        allowed = affordable(trial, sides, began, each, seconds)
    sides = first_of(sides, allowed)
    deadline = None if seconds is None else began + LATE * seconds
    tried = Tried(np.concatenate([side.rows for side in sides]), allowed=allowed)
    parts = [_Part(trial, side, number, len(sides), deadline) for number, side in enumerate(sides)]
    tried.values = _joined([part.values for part in parts])
    tried.members = "; ".join(dict.fromkeys(part.members for part in parts if part.members))
    tried.cascade = [
        (parts[0].cascade[step][0], np.concatenate([part.cascade[step][1] for part in parts]))
        for step in range(len(parts[0].cascade))
    ]
    tried.curves = Curves(
        *(
            np.concatenate([getattr(part.curves, name) for part in parts])
            for name in ("deletion", "insertion", "deletion_by_chance", "insertion_by_chance")
        )
    )
    tried.values |= {
        "deletion_gain": tried.curves.deletion_gain,
        "insertion_gain": tried.curves.insertion_gain,
        "removal_gain": (tried.curves.deletion_gain + tried.curves.insertion_gain) / 2,
    }
    return tried


class _Part:
    """The trials of one side."""

    def __init__(self, trial: Trial, side: Side, number: int, n_sides: int, deadline: float | None) -> None:
        self.trial, self.side, self.number, self.deadline = trial, side, number, deadline
        self.sight = sight_of(trial, side.members)
        self.values: dict[str, Floats] = {}
        self.members = ""
        self.cases = self._as_they_are()
        self.original = np.stack([case.map for case in self.cases])
        self.targets: Targets = [case.target for case in self.cases]
        self._agreement()
        self._repeated()
        self.cascade = self._randomised(max(1, math.ceil(DRAWS / n_sides)))
        if "members" in self.values:
            self.values["members_over_randomised"] = self.values["members"] - self.values["randomised"]
        self.curves = self._removed()

    def _as_they_are(self) -> list[Case]:
        found = []
        lesions: dict[str, list[float]] = {name: [] for name in ("pointing", "energy", "covered", "dice")}
        for rows, case, whole in as_they_are(self.trial, self.sight, self.side.rows):
            found.append(case)
            lesion = self.trial.masks.get(rows)
            told = [math.nan] * len(lesions)
            if lesion is not None:
                maps, masks = lesion.shown(whole[0])[np.newaxis], lesion.mask[np.newaxis]
                told = [
                    float(hits(maps, masks)[0]),
                    float(energy_inside(maps, masks)[0]),
                    float(covered(masks)[0]),
                    float(dice_at_equal_area(maps, masks)[0]),
                ]
            for name, value in zip(lesions, told, strict=True):
                lesions[name].append(value)
            self._in_time()
        if self.trial.masks:
            self.values |= {name: np.array(values) for name, values in lesions.items()}
        return found

    def _agreement(self) -> None:
        """Compare the maps of two members; of those that did not learn from the cases where there are two."""
        own = [one.name for one in sorted(self.side.members, key=lambda one: -one.share) if self._maps_of(one)]
        if self.trial.method != "activation" or not own:
            return
        if len(own) > 1:
            other, name = self.sight, own[1]
            self.members = "two members with the same learning cases, neither of which learned from the case"
        else:
            learned = [one for one in self.side.others if self._maps_of(one)]
            if not learned:
                return
            self.members = "one member that did not learn from the case, and one of another fold, which did"
            other, name = sight_of(self.trial, (replace(learned[0], share=1.0),)), learned[0].name
        one = self._maps(self.sight, member=own[0])
        self.values["members"] = spearman(one, self._maps(other, member=name))

    def _maps_of(self, member: Seeing) -> bool:
        """Tell whether a member's graph gives what activation maps are made of."""
        extras = self.trial.opened.engine(member.graph).extras
        return any(name == "maps" or name.startswith("map_") for name in extras)

    def _repeated(self) -> None:
        self.values["noise"] = spearman(self.original, self._maps(self.sight, change=noisy))
        turned = self._maps(self.sight, change=lambda pictures, _seed: mirrored(pictures))
        self.values["mirrored"] = spearman(self.original, mirrored(turned))

    def _randomised(self, draws: int) -> list[tuple[float, Floats]]:
        found: list[tuple[float, Floats]] = []
        for step in range(STEPS + 1):
            maps = np.zeros_like(self.original)
            times = draws if step == STEPS else 1
            for draw in range(times):
                chosen = np.arange(draw, len(self.cases), times)
                if len(chosen):
                    maps[chosen] = self._maps(self._drawn_anew(step, draw), rows=chosen)
                # Frozen features are the same graph for every side, and are drawn anew once for all.
                self.trial.opened.forget({one.graph for one in self.side.members if one.head is None})
            found.append((step / STEPS, spearman(self.original, maps)))
            if step == STEPS:
                self.values["randomised_absolute"] = spearman(self.original, maps, absolute=True)
        self.values["randomised"] = found[-1][1]
        return found

    def _drawn_anew(self, step: int, draw: int) -> Sight:
        """Return the members with the last layers of all drawn anew."""
        seed, trial = self.trial.seed, self.trial
        members = []
        engines = {}
        for place, member in enumerate(self.side.members):
            layers = layers_of(trial.graphs(member.graph))
            last = round(step / STEPS * layers)
            head = None
            if member.head is None:
                last = max(1, last)
            else:
                rows = randomised_rows(member.head.coefficients, _seed(seed, self.number, place, draw))
                head = member.head.model_copy(update={"coefficients": rows})
            members.append(replace(member, head=head))
            own = _seed(seed, draw) if member.head is not None else _seed(seed, draw, self.number)
            engines[member.graph] = trial.opened.engine(member.graph, last, own)
        return Sight(trial.asked, members, engines)

    def _removed(self) -> Curves:
        found = []
        size = self.trial.together
        for first in range(0, len(self.cases), size):
            cases = self.cases[first : first + size]
            targets = [case.target for case in cases]
            pictures = self.trial.store.take(self.side.rows[first : first + size])

            def score(shown: npt.NDArray[np.uint8], rows: Rows, targets: Targets = targets) -> Floats:
                self._in_time()
                said = self.sight.said(self.sight.look(shown, wants=False))
                return self.sight.scores(said, [targets[row] for row in rows])

            maps = self.original[first : first + size]
            now = [case.score for case in cases]
            found.append(removal_curves(pictures, maps, score, now, seed=_seed(self.trial.seed, self.number, first)))
        names = ("deletion", "insertion", "deletion_by_chance", "insertion_by_chance")
        return Curves(*(np.concatenate([getattr(one, name) for one in found]) for name in names))

    def _maps(
        self,
        sight: Sight,
        *,
        change: Callable[[npt.NDArray[np.uint8], int], npt.NDArray[np.uint8]] | None = None,
        member: str | None = None,
        rows: Rows | None = None,
    ) -> Floats:
        """Return coarse maps of the cases by other members, of changed pictures, or of one member alone."""
        chosen = np.arange(len(self.cases)) if rows is None else rows
        found = []
        for first in range(0, len(chosen), self.trial.together):
            part = chosen[first : first + self.trial.together]
            pictures = self.trial.store.take(self.side.rows[part])
            if change is not None:
                pictures = change(pictures, _seed(self.trial.seed, self.number, first))
            targets = [self.targets[place] for place in part]
            maps = sight.maps(pictures, sight.look(pictures), targets, self.trial.method, member=member)
            found += [kept(one) for one in maps]
            self._in_time()
        return np.stack(found)

    def _in_time(self) -> None:
        if self.deadline is not None and monotonic() > self.deadline:
            raise TooLittleTime("reading took longer than it was seen to, and the run's budget is kept")


def _joined(parts: Sequence[Mapping[str, Floats]]) -> dict[str, Floats]:
    """Return the figures that every side has."""
    names = [name for name in parts[0] if all(name in part for part in parts)]
    return {name: np.concatenate([part[name] for part in parts]) for name in names}


def _seed(*numbers: int) -> int:
    """Return one number of several."""
    return int(np.random.SeedSequence(list(numbers)).generate_state(1)[0])
