"""What the measurements of a case did to its finding, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from semeion.model.combine import Floats
from semeion.model.manifest import Manifest
from semeion.model.sentences import IMAGES, MISSING, OTHERS, REST, Given, Scale, Value, about, tell
from semeion.model.trees import TreeMember
from semeion.model.values import ValueReference, taken

DRIVERS = 3
"""Sentences of the findings column ``explanation``."""


def measured_values(
    trees: TreeMember,
    values: Mapping[str, float],
    index: int,
    manifest: Manifest,
    reference: ValueReference | None,
) -> list[Value]:
    """Return what each measurement did to the class `index`, the strongest first; see :mod:`semeion.model.sentences`.

    It speaks of the measurements alone; where image networks have a say in the call, :func:`images_say` says so.

    Parameters
    ----------
    trees
        Who classifies.
    values
        The case's measurements by name; NaN, or absent, where one could not be taken.
    """
    names = trees.trees.features
    x = np.array([[values.get(name, float("nan")) for name in names]])
    if not np.isfinite(x).any():
        return []
    scale: Scale = "probability" if trees.trees.link == "mean" else "logit"
    push = towards_class(trees, x, [index])[0]
    titles = taken(manifest)
    given = []
    for name, value, one in zip(names, x[0], push, strict=True):
        title, unit = titles[name]
        missing = "" if np.isfinite(value) else f"could not be measured, {MISSING}"
        given.append(Given(name, title, unit, float(value), float(one), missing))
    return tell(given, about(manifest, manifest.classes[index], scale, reference), reference)


def towards_class(trees: TreeMember, x: npt.ArrayLike, index: Sequence[int]) -> Floats:
    """Return how each measurement pushed each case towards the class `index` of the case, ``(N, F)``.

    Of a forest it is what it added to the probability; of boosted trees to the log odds of two classes, and of several
    to the logit less the mean of all logits, which changes no probability.
    """
    added = trees.contributions(x)[1]
    own = added[np.arange(len(added)), :, np.asarray(index, dtype=np.int64)]
    if trees.trees.link == "mean":
        return np.asarray(own)
    if trees.trees.outputs == 2:
        return np.asarray(2 * own - added.sum(axis=2))
    return np.asarray(own - added.mean(axis=2))


def images_say(scale: Scale) -> Value:
    """Return that networks which see the images themselves have half of the say, see :mod:`semeion.model.averaged`."""
    text = "Networks that see the images themselves have 50 % of the say; the rest is explained here."
    return Value(OTHERS, "images alone", None, "", None, scale, text)


def measured_text(values: Sequence[Value]) -> str:
    """Return what pushed a case most towards its call, for the findings; what spoke against it is left out."""
    single = [one for one in values if one.name not in (REST, IMAGES, OTHERS)]
    spoke = [one for one in single if one.contribution is not None and one.contribution > 0] or single[:1]
    return "; ".join(one.sentence.removesuffix(".") for one in spoke[:DRIVERS])
