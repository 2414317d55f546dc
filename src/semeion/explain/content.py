"""What the JSON of an explained case says: plain values that a program reads, and sentences that a person reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from semeion.explain.overlay import Scale
from semeion.explain.placed import Placed
from semeion.explain.planes import slice_shares
from semeion.explain.view import Method, ModelView, Where
from semeion.model.findings import Finding
from semeion.model.manifest import Manifest

SCHEMA = 1
RESEARCH = "Research use only. Not a medical device."
DIGITS = 6
"""Significant digits of numbers in the files: a map is float32."""

NOTHING = {
    "failed": "The case failed, and nothing was said that could be explained.",
    "not_applicable": "The model does not apply to this case, and nothing was said that could be explained.",
}
"""Statuses without anything to explain, and the sentence that says so."""


def why_nothing(finding: Finding) -> str:
    """Return why there is nothing to explain of a finding; nothing where there is something."""
    if finding.status not in NOTHING:
        return ""
    reasons = "; ".join(finding.reasons)
    return NOTHING[finding.status] + (f" ({reasons})" if reasons else "")


def case_content(manifest: Manifest, findings: Sequence[Finding]) -> dict[str, Any]:
    """Return what was said of a case, for its JSON: ids, and every finding with its probabilities and reasons."""
    first = findings[0]
    names = manifest.probability_names
    return {
        "schema": SCHEMA,
        "use": RESEARCH,
        "case_id": first.case_id,
        "image": first.image,
        "model": first.model,
        "task": manifest.task,
        "target": manifest.target,
        "findings": [
            {
                "target": finding.target,
                "status": finding.status,
                "call": finding.call,
                # Of a case that the model does not apply to probabilities mean nothing.
                "p": dict(zip(names, finding.p, strict=False))
                if finding.p and finding.status != "not_applicable"
                else None,
                "interval": list(finding.interval) if finding.interval and finding.call is not None else None,
                "reasons": list(finding.reasons),
            }
            for finding in findings
        ],
    }


def explained_content(
    view: ModelView, where: Where, shown: Sequence[Placed], scale: Scale, files: Sequence[tuple[str, str]]
) -> dict[str, Any]:
    """Return what a map says, for the JSON of its case.

    Parameters
    ----------
    view, where
        The model and the map.
    shown
        The map on the images.
    scale
        Of the pictures.
    files
        Of each image the names of its picture and of its map, empty where there is no file.
    """
    shares = view.shares
    return {
        "class": where.target,
        "method": where.method,
        "sentence": method_sentence(view.manifest, where),
        "unit": where.unit,
        "share": rounded(where.share),
        "members": [{"name": name, "share": rounded(shares[name])} for name in where.members],
        "scale": {
            "most": rounded(scale.most),
            "contour": rounded(scale.level * scale.most),
            "signed": scale.signed,
            "shown_in": scale.unit,
            "times": rounded(scale.times),
        },
        "images": [_image_content(one) for one in shown],
        "parts": _table(where.parts),
        "weights": _table(where.weights),
        "pictures": [picture for picture, _ in files if picture],
        "maps": [name for _, name in files if name],
    }


def shown_unit(method: Method, unit: str, places: int) -> tuple[str, float]:
    """Return the unit that the scale of a picture is in, and what a map's values are multiplied by for it.

    What a single pixel of the model's input adds is a tiny number that depends on how large that input is, so that
    activation maps are shown by hundredths of the input.
    """
    return (f"{unit}/1%", places / 100) if method == "activation" else (unit, 1.0)


def _image_content(one: Placed) -> dict[str, Any]:
    """Return where in an image the map speaks most for the class and most against it; places are counted from 0."""
    return {
        "name": one.name,
        "size": list(one.values.shape),
        "most_for": _place(one, 1),
        "most_against": _place(one, -1),
        "slices": [rounded(float(total)) for total in slice_shares(one.values)] if one.values.ndim == 3 else None,
    }


def _place(one: Placed, sign: int) -> dict[str, Any] | None:
    """Return the strongest place of one direction, (slice,) row and column; None where nothing has that direction."""
    at = np.unravel_index(int(np.argmax(sign * one.values)), one.values.shape)
    value = float(one.values[at])
    return {"at": [int(place) for place in at], "value": rounded(value)} if sign * value > 0 else None


def method_sentence(manifest: Manifest, where: Where) -> str:
    """Return in a sentence what the map shows and which members it is of."""
    named = ", ".join(where.members)
    who = f"the member {named}" if len(where.members) == 1 else f"the members {named}"
    score = _score(manifest, where)
    if where.method == "activation":
        rest = "" if where.share > 0.999 else f", which count {100 * where.share:.0f} % of the model"
        if rest and len(where.members) == 1:
            rest = rest.replace("count", "counts")
        return (
            f"Activation map: what each place adds to or takes from {score} in {who}{rest}. The map and a part that "
            "belongs to no place add up to the score."
        )
    return f"Occlusion: how much {score} of the whole model falls where a patch hides the place."


def _score(manifest: Manifest, where: Where) -> str:
    if manifest.task == "regression":
        return f"the value ({where.unit})" if manifest.unit else "the value"
    if manifest.task == "ordinal":
        return f"the score, which rises towards {where.target!r},"
    others = " less the mean of the others'" if manifest.task == "multiclass" else ""
    return f"the {where.unit} of {where.target!r}{others}"


def rounded(value: float) -> float:
    """Return a number with :data:`DIGITS` significant digits."""
    return float(f"{value:.{DIGITS}g}")


def _table(values: Any) -> list[list[float]] | None:
    return None if values is None else [[rounded(float(one)) for one in row] for row in np.atleast_2d(values)]
