"""Which value pushed a finding which way, by how much, and where it lies among the training cases.

Of linear models the exact terms, of trees exact Shapley values (:mod:`semeion.model.tree_shap`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from semeion.cohort.words import presence
from semeion.errors import InputError
from semeion.model.combine import Floats
from semeion.model.covariates import IMAGES as IMAGE_PART
from semeion.model.covariates import CovariateMember, open_covariates
from semeion.model.manifest import Manifest
from semeion.model.observing import Seen
from semeion.model.opened_members import read_values
from semeion.model.opening import place, read_listed
from semeion.model.sentences import MISSING, OTHERS, Given, Scale, Value, about, tell
from semeion.model.values import taken
from semeion.prepare.covariates import AnyColumn, number_of, text_of

if TYPE_CHECKING:
    from semeion.model.runtime import Model


class ValueExplainer:
    """Explains the findings of a model whose members go by covariates or measurements.

    Parameters
    ----------
    model
        Opened; it may have no such members, and then there is nothing to tell.

    Raises
    ------
    ModelRefused
        When a file of the model does not fit it.
    """

    def __init__(self, model: Model) -> None:
        manifest = self.manifest = model.manifest
        self.reference = read_values(model.path, manifest)
        self.members: dict[str, CovariateMember] = {}
        for member in manifest.members:
            if member.kind == "covariates" and member.weight != 0:
                data, where = read_listed(model.path, member.file, manifest.files[member.file]), member.file
                self.members[member.name] = open_covariates(data, manifest, member.name, where=place(model.path, where))

    @property
    def tells(self) -> bool:
        """Whether the model goes by any value besides images."""
        return bool(self.members) or self.manifest.measured is not None

    def explain(self, seen: Seen, target: str | None = None) -> list[Value]:
        """Return the values that pushed a finding, the strongest first, then what the rest and the images did.

        Contributions are means over the members that know values, by their shares. Of several classes the logit of a
        class counts less the mean of all, which changes no probability.

        Parameters
        ----------
        seen
            The case, as an observer is shown it.
        target
            The class or label that is explained; None: the one that was called, else the likeliest.

        Returns
        -------
        list of Value
            Empty for a model that goes by images alone, and for a case of which nothing could be said.

        Raises
        ------
        InputError
            When another class than the called one is asked of a diagnosis from measurements.
        """
        if self.manifest.measured is not None:
            called = seen.findings[0]
            if target not in (None, called.call):
                raise InputError(
                    f"measurements are explained for the class that was called, {called.call!r}, not for {target!r}",
                    where="class",
                    fix="leave the class out",
                )
            return list(called.values)
        if not self.members or seen.said is None or not np.isfinite(seen.said).all():
            return []
        if self.manifest.classes and not seen.findings[0].p:  # what it says counts for nothing here
            return []
        return self._covariates(seen, seen.said, self._index(seen, target))

    def _index(self, seen: Seen, target: str | None) -> int:
        """Return the number of the class that is explained; of a value 0."""
        classes, first = self.manifest.classes, seen.findings[0]
        if not classes:
            return 0
        if target is None and self.manifest.task == "multilabel":
            likely = max(seen.findings, key=lambda finding: finding.p[1] if finding.p else 0.0)
            target = next((one.target for one in seen.findings if one.call == "present"), likely.target)
        if target is None and first.call in classes:
            target = str(first.call)
        if target is not None:
            return classes.index(target)
        return int(np.argmax(first.p)) if first.p else 0

    def _covariates(self, seen: Seen, said: Floats, index: int) -> list[Value]:
        manifest, place_of = self.manifest, {one.name: at for at, one in enumerate(self.manifest.members)}
        rows = {column.name: [seen.case.covariates.get(column.name)] for column in manifest.inputs.covariates}
        shares = {one.name: one.weight if one.weight is not None else 1.0 for one in manifest.members}
        scale, members = self._of_one_scale(shares)
        total = sum(shares[name] for name in members)
        added: dict[str, float] = {}
        for name, member in members.items():
            after = [said[place_of[other]] for other in member.head.after]
            each = member.contributions(rows, np.mean(after, axis=0)[None] if after else None)
            for column, scores in each.items():
                push = towards(scores[0], index, manifest)
                added[column] = added.get(column, 0.0) + shares[name] / total * push
        images = added.pop(IMAGE_PART, None) if any(member.head.after for member in members.values()) else None
        on = about(manifest, manifest.classes[index] if manifest.classes else None, scale, self.reference)
        columns = {column.name: column for column in manifest.inputs.covariates}
        titles = taken(manifest)
        given = [given_covariate(columns[name], rows[name][0], push, titles[name][1]) for name, push in added.items()]
        found = tell(given, on, self.reference, images=images)
        whole = sum(shares.values())
        aside = sum(shares[name] for name in self.members) - total
        alone = whole - total - aside
        if alone > 1e-9:
            text = f"Members that see the images alone have {100 * alone / whole:.0f} % of the say; "
            text += "the rest is explained here." if aside <= 1e-9 else "they are not explained here."
            found.append(Value(OTHERS, "images alone", None, "", None, scale, text))
        if aside > 1e-9:
            text = f"Members that judge the values on another scale have {100 * aside / whole:.0f} % of the say; "
            found.append(
                Value(OTHERS, "on another scale", None, "", None, scale, text + "they are not explained here.")
            )
        return found

    def _of_one_scale(self, shares: Mapping[str, float]) -> tuple[Scale, dict[str, CovariateMember]]:
        """Return the scale of contributions, and the members that are on it: of ordered grades the folds may differ.

        What adds to a place on the scale of grades and what adds to the logit of a class has no common sum, so that
        those with the larger share are told.
        """
        if self.manifest.task == "regression":
            return "value", self.members
        on: dict[Scale, dict[str, CovariateMember]] = {"grades": {}, "logit": {}}
        for name, member in self.members.items():
            linear = member.head.linear
            on["grades" if linear is not None and linear.link == "ordered" else "logit"][name] = member
        return max(on.items(), key=lambda one: sum(shares[name] for name in one[1]))


def towards(scores: Floats, index: int, manifest: Manifest) -> float:
    """Return how scores ``(S,)`` that a value added push the class `index`.

    Of two classes S is 1: the log odds of the second. A value and a place on the scale of grades stay as they are.
    """
    if manifest.task == "multilabel":
        return float(scores[index])
    if len(scores) == 1:
        return float(-scores[0] if manifest.task == "binary" and index == 0 else scores[0])
    return float(scores[index] - scores.mean())


def given_covariate(column: AnyColumn, value: Any, contribution: float, unit: str) -> Given:
    """Return a covariate of a case; what is missing, or no value of its kind, says so and is not repeated."""
    text = text_of(value)
    given = Given(column.name, column.name, unit, text, contribution)
    if text is None:
        stand_in = MISSING if column.kind == "number" else "counted as missing, as in training"
        return replace(given, value=None, missing=f"not given, {stand_in}")
    if column.kind == "number":
        number = number_of(value)
        if number is None:
            return replace(given, value=None, missing=f"no number, {MISSING}")
        return replace(given, value=number)
    if column.remark(value) is not None:
        what = "neither yes nor no" if column.kind == "yes-no" else "of a level that the model has no name for"
        return replace(given, value=None, missing=f"{what}, counted as other, as in training")
    said = presence(text) if column.kind == "yes-no" else None
    return given if said is None else replace(given, value="yes" if said else "no")


def values_json(values: Sequence[Value]) -> list[Mapping[str, Any]]:
    """Return values as plain JSON values."""
    kept = ("name", "title", "value", "unit", "contribution", "scale", "sentence")
    return [{name: getattr(one, name) for name in kept} for one in values]
