"""Which method explains a model, by what its graphs give and by how its trials came out; a failed one is not shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from semeion.errors import InputError
from semeion.explain.trial.rules import shown
from semeion.explain.view import Method
from semeion.model.manifest import Manifest

if TYPE_CHECKING:
    from semeion.explain.asking import Asked
    from semeion.model.runtime import Model

_WORDS = {"activation": "activation maps", "occlusion": "occlusion"}


def gives_maps(model: Model) -> bool:
    """Tell whether a member that has a say gives activation maps; the graphs are opened."""
    manifest = model.manifest
    weights = manifest.weights or [1.0] * len(manifest.members)
    share = {member.name: weight for member, weight in zip(manifest.members, weights, strict=True)}
    return any(
        share[name] > 0 and any(output == "maps" or output.startswith("map_") for output in outputs)
        for name, outputs in model.extras().items()
    )


def method_of(model: Model, asked: Asked) -> tuple[Method | None, str]:
    """Return the method that explains a model, or None and why there is none.

    Parameters
    ----------
    model
        Which sees images.
    asked
        ``auto``: activation maps where the model gives them, else occlusion; where this one failed its trials the other
        one if it passed them.

    Raises
    ------
    InputError
        When a method is asked for by name that the model does not give, or that failed its trials.
    """
    maps = gives_maps(model)
    if asked == "activation" and not maps:
        raise InputError(
            "no network of the model gives activation maps",
            where="method",
            fix="explain by occlusion, or train the model again",
        )
    verdicts = model.manifest.explained or {}
    own: Method = ("activation" if maps else "occlusion") if asked == "auto" else asked
    told = verdicts.get(own)
    if told is None or shown(told.verdict):
        return own, ""
    why = f"{_WORDS[own]} failed the trials on this model and {_is(own)} not shown" + (
        f": {told.reason}" if told.reason else ""
    )
    if asked != "auto":
        other = "occlusion" if own == "activation" else "activation"
        raise InputError(why, where="method", fix=f"leave --method out, or try {other}")
    passed = verdicts.get("occlusion")
    if own == "activation" and passed is not None and passed.verdict == "passed":
        return "occlusion", ""
    return None, f"{why[0].upper()}{why[1:]}."


def _is(method: Method) -> str:
    return "are" if method == "activation" else "is"


def tested_content(manifest: Manifest, method: Method) -> dict[str, Any]:
    """Return how a method came out of its trials: ``tested`` with its figures (None: it was not), and a ``remark``."""
    told = (manifest.explained or {}).get(method)
    if told is None:
        return {"tested": None, "remark": "The method was not tested on this model."}
    if told.verdict == "not_run":
        why = f" ({told.reason})" if told.reason else ""
        return {"tested": None, "remark": f"The method was not tested on this model{why}."}
    on = f" ({told.cases})" if told.cases else ""
    return {
        "tested": told.model_dump(mode="json", exclude_none=True),
        "remark": f"The method {told.verdict} its trials on this model{on}.",
    }
