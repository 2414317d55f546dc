"""What a member says: the logits of its graph, or what a linear head makes of the features that its graph gives."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from semeion.errors import ModelRefused
from semeion.model.combine import Floats, from_logits
from semeion.model.linear import Linear, LinearMember
from semeion.model.manifest import Manifest, Task
from semeion.model.manifest_file import explain
from semeion.model.strict_json import read_strict

LINKS: dict[str, tuple[str, ...]] = {
    "binary": ("softmax",),
    "multiclass": ("softmax",),
    "multilabel": ("sigmoid",),
    "ordinal": ("ordered", "softmax"),
    "regression": ("identity",),
}
"""Links of a linear head that answer each task."""
MAX_FILE = 128 << 20
"""Largest file of a head that is read, in bytes: as many coefficients as one may have, with all their digits."""
_AGAIN = "get the model from its source again"


def judged(given: npt.ArrayLike, head: LinearMember | None, task: Task) -> Floats:
    """Return probabilities or values, float64 ``(N, K)``, of what a graph gave: logits, or features for `head`.

    A case of which any feature is no finite number has NaN, as it has where logits are none: the others are judged.
    """
    if head is None:
        return from_logits(given, task)
    features = np.asarray(given)
    sound = np.isfinite(features).all(axis=1)
    said = np.full((len(features), head.linear.outputs), np.nan)
    said[sound] = head.outputs(features[sound])
    return said


def open_head(data: bytes, manifest: Manifest, *, where: str) -> LinearMember:
    """Read the JSON of a linear head as hostile input.

    Raises
    ------
    ModelRefused
        When it is too large or no such JSON, or answers another task or other classes than the manifest's.
    """
    if len(data) > MAX_FILE:
        raise ModelRefused(f"the head is larger than {MAX_FILE >> 20} MiB", where=where, fix=_AGAIN)
    try:
        linear = Linear.model_validate(read_strict(data, MAX_FILE), strict=True)
    except ValidationError as error:
        raise ModelRefused(f"not a linear head ({explain(error)})", where=where, fix=_AGAIN) from error
    except ValueError as error:
        raise ModelRefused("not a linear head: its JSON cannot be read", where=where, fix=_AGAIN) from error
    if linear.link not in LINKS.get(manifest.task, ()) or linear.outputs != manifest.n_outputs:
        raise ModelRefused(
            f"a linear head with {linear.outputs} outputs by {linear.link} does not answer a {manifest.task} question "
            f"with {manifest.n_outputs}",
            where=where,
            fix=_AGAIN,
        )
    return LinearMember(linear)
