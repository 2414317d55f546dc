"""What learns in a learning curve: features that are computed once, and a linear head for every subset."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt

from semeion.cohort.roles import image_references
from semeion.errors import InputError
from semeion.evidence.growth.measure import Learn
from semeion.plan.fingerprint import fingerprint, learning_rows
from semeion.plan.networks import candidates
from semeion.plan.picture_rules import plan_preparation
from semeion.plan.recipes import FrozenRecipe
from semeion.plan.splits import Index
from semeion.plan.volume_rules import plan_images
from semeion.prepare.scan import recommend_cleaning
from semeion.prepare.store import build_store
from semeion.progress import Progress
from semeion.study.auditing import looks_of
from semeion.study.inspect import Inspected
from semeion.study.options import RunOptions

Floats = npt.NDArray[np.float64]

BUDGET = 180.0
"""Seconds for everything unless others are asked for."""
SIDES = (128, 96, 64)
"""Sides at which the pretrained network looks, best first."""
LEAST_ENLARGED = 96
"""Small images are enlarged to this side, since the network was trained on larger ones."""
SLICES = 16
"""Of a volume, at most so many are looked at."""
SPEED = 40.0
"""Pictures of 128 pixels a second that are reckoned with, on two cores."""
SHARE = 0.5
"""Largest share of the budget that looking may take."""
LARGEST_STORED = 96
"""Images are prepared at most at this side, or at that at which the network looks."""


@dataclass(frozen=True)
class Learner:
    """What learns: a function, and what a reader must know of it.

    Attributes
    ----------
    learn
        Rows to learn from and rows to score, to the outputs of the latter.
    name, words
        A word, and a sentence.
    notes
        Further sentences.
    """

    learn: Learn
    name: str
    words: str
    notes: tuple[str, ...] = ()


def quick_learner(seen: Inspected, y: Floats, groups: Index, options: RunOptions, progress: Progress) -> Learner:
    """Return a linear head on features of a pretrained network that does not learn, looked at once for every case.

    No label decides which network looks, and at which size: the number of cases and the budget do. Where even the
    smallest would take too long, thumbnails that the scan has kept stand in for it, and a note says so.

    Parameters
    ----------
    seen
        The cases and their scan.
    y, groups
        Reference standard and patient of every row.
    options
        Budget, seed and threads.
    progress
        For the bar.

    Raises
    ------
    InputError
        When the pretrained network is not installed, or no case has a picture to learn from.
    """
    target = seen.cohort.target
    classes = max(1, len(target.classes))
    known = fingerprint(seen.cohort, seen.facts)
    budget = options.budget or BUDGET
    side = side_for(len(seen.cohort.table), _parts(known), budget, _longest(known))
    if side is None:
        learn = linear_head(_thumbnails(seen), y, groups, target.task, classes, options.seed)
        note = f"The pretrained network would have taken most of {budget:.0f} s; thumbnails stand in for it."
        return Learner(learn, "thumbnails", "a linear head on thumbnails of 16 x 16 pixels", (note,))
    features = _looked(seen, known, FrozenRecipe(side=side), options, progress)
    words = (
        f"a linear head on features of an ImageNet network that does not itself learn (EfficientNet-Lite0 at {side} "
        "pixels), its penalty chosen by cross-validation among the patients learned from"
    )
    return Learner(linear_head(features, y, groups, target.task, classes, options.seed), "quick", words)


def side_for(cases: int, parts: int, budget: float, longest: float) -> int | None:
    """Return the side in pixels at which the pretrained network looks, or None where no time suffices.

    Reckoned with a fixed speed and not a measured one, so that the same cohort and budget give the same curve.

    Parameters
    ----------
    cases, parts
        How many, and the pictures of each that are looked at.
    budget
        Seconds for everything.
    longest
        Median of the longer sides of the images, in pixels: nothing is gained beyond it, but for small images.
    """
    sides = [side for side in SIDES if side <= max(longest, LEAST_ENLARGED)]
    return next((side for side in sides if cases * parts * (side / 128) ** 2 / SPEED <= SHARE * budget), None)


def _looked(
    seen: Inspected, known: dict[str, Any], recipe: FrozenRecipe, options: RunOptions, progress: Progress
) -> npt.NDArray[np.float32]:
    """Return the features of every case; the prepared images are kept in a temporary folder and removed."""
    from semeion.learn.looking import look

    cohort = seen.cohort
    pictures = cohort.images.kind == "picture"
    cleaning = recommend_cleaning(seen.facts, learning_rows(cohort).to_numpy()) if pictures else {}
    ladder = candidates(known)
    chosen = next((one for one in ladder if max(one.size[-2:]) <= max(recipe.side, LARGEST_STORED)), ladder[-1])
    images = plan_images(known)
    with TemporaryDirectory(prefix="semeion-curve-") as folder:
        store = build_store(
            cohort.table["case_id"].tolist(),
            image_references(cohort),
            plan_preparation(known, chosen, cleaning).spec(),
            Path(folder) / "store",
            groups=images.groups,
            hashes=seen.facts["pixel_hash"].tolist(),
            jobs=options.jobs,
            progress=progress,
        )
        progress.start("looking", store.n)
        found = look(recipe, store, images.groups, lambda cases: progress.advance(cases))
        progress.finish()
    return found


def _thumbnails(seen: Inspected) -> Floats:
    """Return the grey levels of the thumbnails, ``(cases, pixels)``; a case without one has the mean of the others."""
    looks = looks_of(seen.facts)
    if looks is None:
        raise InputError("the scan kept no pictures to learn from", where=seen.cohort.source, fix="give 2-D images")
    grey = looks.drop(columns="case_id").to_numpy(dtype=np.float64)
    known = np.isfinite(grey)
    mean = np.where(known, grey, 0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    return np.where(known, grey, mean)


def _parts(known: dict[str, Any]) -> int:
    """Return at most how many pictures of a case are looked at."""
    images = known["images"]
    groups = len(images["names"]) if images["role"] in ("frames", "views") else 1
    return groups * (SLICES if "volume" in known["training"] else 1)


def _longest(known: dict[str, Any]) -> float:
    training = known["training"]
    if "volume" in training:
        return float(LARGEST_STORED)
    return float(max(training["rows"]["median"], training["cols"]["median"]))


def linear_head(
    features: npt.NDArray[np.floating], y: Floats, groups: Index, task: str, classes: int, seed: int
) -> Learn:
    """Return what fits :func:`semeion.learn.linear.fit_linear` to rows of `features` and judges others.

    Its penalty is chosen by cross-validation among the rows that are learned from, grouped by patient.

    Parameters
    ----------
    features
        ``(cases, features)``, all finite.
    y, groups
        Reference standard and patient of every row.
    task, classes, seed
        Of the head.
    """

    def learn(rows: Index, score: Index) -> Floats:
        from semeion.learn.linear import fit_linear
        from semeion.model.linear import Linear, LinearMember

        fitted = fit_linear(features[rows], y[rows], groups[rows], task, classes, seed=seed)
        return LinearMember(Linear(**fitted.arrays)).outputs(features[score])

    return learn
