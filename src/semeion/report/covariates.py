"""What the covariates add to the images, for clinicians: both alone and together, and what pushed the verdict."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from semeion.report.beside import rows_beside
from semeion.report.evidence import Evidence, Metric
from semeion.report.words import SPLITS, figure_text, plural, significant

Shares = Mapping[str, float | None]
"""What each member counts in what ships, by its name; None where all count the same."""

IMAGES, COVARIATES = "images", "covariates"
VERDICTS = {
    "both": "better with them",
    "images": "worse with them",
    "none": "no gain shown",
    "differs": "they differ",
    "unknown": "nothing can be said",
}
LEARNERS = {"linear": "a linear model", "boosting": "boosted trees"}
PUSHED = {
    "covariates": "Covariates alone",
    "fused": "Covariates and images in one model",
}
_SCALES = {
    "regression": "the target's unit",
    "binary": "log odds",
    "multilabel": "log odds, mean over labels",
}


def covariates(evidence: Evidence, split: str | None) -> dict[str, Any] | None:
    """Return the content of the section on a split; None for a model of images alone.

    Returns
    -------
    dict or None
        ``names``, ``needed`` (the names again where the model takes them), ``columns`` of ``{name, kind, holds}``,
        ``split``, ``split_words``, ``rows`` of ``{key, name, both, images, covariates, difference, verdict, words}``,
        where the difference is that of both less images alone, ``sentences``, ``pushed`` of ``{recipe, title, rows}``
        with rows ``{column, mean_absolute, share}``, ``scale`` and ``learners``.
    """
    found = evidence.covariates
    if not found:
        return None
    columns = [_column(column) for column in found.get("columns", [])]
    parts = found.get("parts", {})
    rows = _rows(evidence, parts, split or "")
    names = [column["name"] for column in columns]
    shares = {str(one.get("name")): one.get("share") for one in evidence.members}
    return {
        "names": names,
        "needed": names if _heard(found.get("learners", []), shares)[0] else [],
        "columns": columns,
        "split": split,
        "split_words": SPLITS.get(split or "", split or ""),
        "rows": rows,
        "sentences": [*_sentences(rows, parts, split or "", names), *_say(found.get("learners", []), shares)],
        "pushed": [
            {"recipe": recipe, "title": PUSHED.get(recipe, recipe), "rows": by_split[split]}
            for recipe, by_split in found.get("pushed", {}).items()
            if by_split.get(split or "")
        ],
        "scale": _SCALES.get(evidence.task, "logits, mean over classes"),
        "learners": _learners(found.get("learners", [])),
    }


def _column(column: Mapping[str, Any]) -> dict[str, Any]:
    kind = column["kind"]
    holds = "yes or no"
    if kind == "number":
        holds = f"usually {significant(column['low'], 3)} to {significant(column['high'], 3)}"
    elif kind == "levels":
        holds = ", ".join([*column["levels"], "other"])
    return {
        "name": column["name"],
        "kind": {"yes-no": "yes or no", "levels": "category"}.get(kind, kind),
        "holds": holds,
    }


def _rows(evidence: Evidence, parts: Mapping[str, Any], split: str) -> list[dict[str, Any]]:
    seen, alone = (parts.get(name, {}).get("metrics", {}).get(split, {}) for name in (IMAGES, COVARIATES))
    differences = parts.get(IMAGES, {}).get("difference", {}).get(split, {})
    return [
        {
            **told,
            "both": own.model_dump(),
            "images": images.model_dump(),
            "covariates": Metric.model_validate(alone[told["key"]]).model_dump() if told["key"] in alone else None,
        }
        for own, images, _, told in rows_beside(evidence, split, seen, differences, VERDICTS)
    ]


def _sentences(rows: Sequence[Mapping[str, Any]], parts: Mapping[str, Any], split: str, names: list[str]) -> list[str]:
    """Return what the first figure says, and whether the images are worth something beside the covariates."""
    if not rows:
        return []
    row = rows[0]
    key, gain = row["key"], row["difference"]
    told = f"With {_listed(names)} the {row['name']} is {figure_text(key, row['both'])}, of the images alone it is "
    told += figure_text(key, row["images"])
    told += f", of the covariates alone {figure_text(key, row['covariates'])}." if row["covariates"] else "."
    if gain["value"] is None:
        return [f"{told} There is no difference to state: {gain['reason'] or 'it is not defined'}."]
    sign = "+" if gain["value"] > 0 else ""
    said = {
        "both": "the covariates add to the images",
        "images": "the images alone do better",
        "none": "these cases do not show that the covariates add to the images",
    }.get(row["verdict"], row["words"])
    sentences = [f"{told} The covariates change it by {sign}{figure_text(key, gain)}: {said}."]
    other = parts.get(COVARIATES, {}).get("difference", {}).get(split, {}).get(key)
    if other is not None and other.get("verdict") in ("none", "covariates"):
        sentences.append(
            "Both together are not shown to be better than the covariates alone: these cases do not show that the "
            "images add to what is known of the patient already."
        )
    return sentences


def _say(learners: Sequence[Mapping[str, Any]], shares: Shares) -> list[str]:
    """Return in how many folds covariates have a say, where that is not all of them, and why."""
    heard, asked = _heard(learners, shares)
    if heard == asked:
        return []
    silent = [one for one in _asked(learners) if one.get("adds", True)]
    of_no_use = "of patients left out of the learning cases they did not tell more than is told without them"
    no_share = "the weights that were chosen on the validation cases give them no share"
    why = " or ".join([of_no_use] * (len(silent) < asked) + [no_share] * (len(silent) > heard))
    if not heard:
        return [f"The covariates have no say in this model: {why}."]
    return [f"The covariates have a say in {heard} of {plural(asked, 'fold', 'folds')}: in the others {why}."]


def _asked(learners: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the members that tell whether covariates have a say: where there are fused ones, these."""
    return [one for one in learners if one.get("recipe") == "fused"] or list(learners)


def _heard(learners: Sequence[Mapping[str, Any]], shares: Shares) -> tuple[int, int]:
    """Return in how many folds, and of how many, covariates have a say: they add, and have a share."""
    asked = _asked(learners)
    share = [shares.get(str(one.get("member"))) for one in asked]
    return sum(
        bool(one.get("adds", True)) and (own is None or own > 0) for one, own in zip(asked, share, strict=True)
    ), len(asked)


def _learners(learners: Sequence[Mapping[str, Any]]) -> str:
    counts = Counter(str(one["learner"]) for one in learners)
    return ", ".join(
        f"{LEARNERS.get(kind, kind)} in {plural(count, 'member', 'members')}" for kind, count in counts.most_common()
    )


def _listed(names: Sequence[str]) -> str:
    if len(names) > 6:
        return f"{plural(len(names), 'covariate', 'covariates')}"
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
