"""Which class is explained, and how scores of several classes become one number for it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from semeion.errors import InputError
from semeion.explain.view import ModelView
from semeion.model.combine import Floats, combine_members
from semeion.model.manifest import Task
from semeion.model.observing import Seen


def chosen(view: ModelView, seen: Seen, target: str | None) -> str:
    """Return the name of what is explained; see :func:`semeion.explain.where.explain_where`.

    Raises
    ------
    InputError
        When the case failed before the networks, or there is no such class.
    """
    manifest = view.manifest
    if seen.array is None or seen.said is None:
        reasons = "; ".join(seen.findings[0].reasons) if seen.findings else ""
        raise InputError(
            f"the networks did not see the case{f' ({reasons})' if reasons else ''}",
            where=f"case {seen.case.case_id}",
            fix="correct the image, or leave the case out",
        )
    if manifest.task in ("regression", "ordinal"):
        only = manifest.target if manifest.task == "regression" else manifest.classes[-1]
        if target not in (None, only):
            raise InputError(
                f"a {manifest.task} model has one score, and {target!r} is not named",
                where="target",
                fix="leave the class out",
            )
        return only
    if target is None and manifest.positive is not None:
        return manifest.positive
    if target is None:
        combined = combine_members(seen.said[:, None], manifest.task, manifest.weights)[0]
        return manifest.classes[int(np.argmax(combined))]
    if target not in manifest.classes:
        raise InputError(
            f"the model has no class {target!r}", where="target", fix=f"name one of {', '.join(manifest.classes)}"
        )
    return target


def contrast(scores: int, task: Task, classes: Sequence[str], target: str) -> Floats:
    """Return what each score counts for the class that is explained, float64 ``(scores,)``.

    Of a label its own score. Of classes the score of the class less the mean of those of the others; of two classes
    that is the logit of its probability. Of ordered grades with one score that score, with one a grade their trend,
    which of two grades is the logit of the higher one.

    Raises
    ------
    ValueError
        When so many scores do not answer the task.
    """
    if scores == 1 and task in ("regression", "ordinal"):
        return np.ones(1)
    if scores != len(classes) or task == "regression":
        raise ValueError(f"{scores} scores for {len(classes)} classes")
    if task == "ordinal":
        away = np.arange(scores) - (scores - 1) / 2
        return np.asarray(away / away[away > 0].sum())
    at = list(classes).index(target)
    counts = np.zeros(scores) if task == "multilabel" else np.full(scores, -1 / max(scores - 1, 1))
    counts[at] = 1.0
    return counts


def score_of(p: Floats, task: Task, classes: Sequence[str], target: str) -> Floats:
    """Return the one number for what is explained of probabilities (values) ``(N, K)``, float64 ``(N,)``.

    The contrast of the logarithms of probabilities, which of two classes is the logit; of a label its logit; of ordered
    grades the mean grade, counted from 0; of a measured value itself.
    """
    if task == "regression":
        return p[:, 0]
    if task == "ordinal":
        return np.asarray(p @ np.arange(p.shape[1]), dtype=np.float64)
    kept = np.clip(p, 1e-12, 1.0)
    if task == "multilabel":
        own = kept[:, list(classes).index(target)]
        return np.asarray(np.log(own) - np.log(np.maximum(1 - own, 1e-12)), dtype=np.float64)
    return np.asarray(np.log(kept) @ contrast(p.shape[1], task, classes, target), dtype=np.float64)
