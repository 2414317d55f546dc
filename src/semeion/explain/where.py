"""Where in an image a finding comes from: by activation maps where the networks give them, else by occlusion."""

from __future__ import annotations

from semeion.errors import InputError
from semeion.explain.activation import activation_map
from semeion.explain.occlusion import occlusion_map
from semeion.explain.view import WANTED, Method, ModelView, Where, view_of
from semeion.model.observing import Seen

__all__ = ["WANTED", "Method", "ModelView", "Where", "explain_where", "view_of"]


def explain_where(view: ModelView, seen: Seen, target: str | None = None, method: Method | None = None) -> Where:
    """Say where in a case the model finds what speaks for a class.

    Parameters
    ----------
    view
        Of the model: :func:`semeion.explain.view.view_of`.
    seen
        The case, as an observer of :meth:`semeion.model.runtime.Model.findings` who wants
        :data:`semeion.explain.view.WANTED` is shown it.
    target
        A class, or a label of a multi-label model. None: the positive class, of several classes and labels the most
        probable one. Ordered grades and measured values have one score, and none is named.
    method
        ``activation`` or ``occlusion``; None: activation where any member gives it, else occlusion.

    Raises
    ------
    InputError
        When the case failed before the networks, there is no such class, or activation is asked of a model without.
    ModelRefused
        When a graph fails, or gives maps that do not fit its features.
    """
    if method != "occlusion":
        found = activation_map(view, seen, target)
        if found is not None:
            return found
        if method == "activation":
            raise InputError(
                "no network of the model gives activation maps",
                where="method",
                fix="explain by occlusion, or train the model again",
            )
    return occlusion_map(view, seen, target)
