"""Class activation maps: the exact contribution of every place to the score of a class, from outputs of the one run.

A network that ends in a mean over places and a linear layer says in its graph's ``maps`` what each place adds to each
score (Zhou et al., Learning Deep Features for Discriminative Localization, CVPR 2016, equation 2). Of a member on
frozen features the same follows from the maps that its features are pooled of (:mod:`semeion.explain.frozen`). Members
are added up by their shares in the ensemble.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from semeion.errors import ModelRefused
from semeion.explain.frozen import Pull, frozen_map
from semeion.explain.target import chosen, contrast
from semeion.explain.view import ModelView, Where
from semeion.model.combine import Floats
from semeion.model.manifest import Manifest, Member
from semeion.model.observing import Seen
from semeion.prepare.spread import even, spread, spread_seen

Map = npt.NDArray[np.float32]
AGAIN = "get the model from its source again"


def activation_map(view: ModelView, seen: Seen, target: str | None = None) -> Where | None:
    """Return what each place adds to the score of a class, or takes from it; None where no member says so.

    Parameters
    ----------
    view, seen, target
        As for :func:`semeion.explain.where.explain_where`.

    Returns
    -------
    Where or None
        The sum over the map is the mean of the members' scores (logits, values) for the class, each counting its share
        of the ensemble, less what does not depend on the image: biases, and of frozen features what their mean over
        training cases adds. Of several classes the score is that of the class less the mean of the others
        (:func:`semeion.explain.target.contrast`).

    Raises
    ------
    InputError, ModelRefused
        As ``explain_where``.
    """
    name = chosen(view, seen, target)
    manifest, shares = view.manifest, view.shares
    whole = np.zeros((view.groups, *view.size), np.float32)
    coarse: dict[tuple[int, ...], Map] = {}
    pulls: dict[str, Pull] = {}
    members: list[str] = []
    attention: list[tuple[float, Map]] = []
    for member in manifest.members:
        given, share = seen.extras.get(member.file, {}), shares[member.name]
        if not share:
            continue
        if member.kind == "network" and "maps" in given:
            counts = share * counts_of(len(given["maps"]), manifest, name, member)
            own_map = as_placed(np.einsum("s,s...->...", counts.astype(np.float32), given["maps"]), view, member)
            coarse[own_map.shape] = coarse.get(own_map.shape, np.float32(0)) + own_map
            if "weights" in given:
                attention.append((share, given["weights"]))
        elif member.kind == "frozen" and any(key.startswith("map_") for key in given):
            head = view.heads[member.name]
            own = share * counts_of(len(head.linear.coefficients), manifest, name, member)
            slopes = np.einsum("s,sf->f", own, head.slopes)  # no matrix library: see semeion.prepare.spread
            pulls[member.file] = pulls.get(member.file, Pull()).and_of(slopes, head.usual)
        else:
            continue
        members.append(member.name)
    if not members:
        return None
    for summed in coarse.values():  # of one size together, since bringing them to the grid takes the time
        whole += on_input(summed, view.size)
    for path, pull in pulls.items():
        whole += frozen_map(pull, seen.extras[path], view.groups, view.size, where=path)
    groups = view.groups
    several = groups > 1 or len(view.size) == 3
    return Where(
        map=whole if groups > 1 else whole[0],
        method="activation",
        target=name,
        unit=view.unit,
        members=tuple(members),
        share=float(sum(shares[member] for member in members)),
        parts=whole.sum(axis=(-2, -1), dtype=np.float64).reshape(groups, -1).astype(np.float32) if several else None,
        weights=_attention(attention, view),
    )


def counts_of(scores: int, manifest: Manifest, target: str, member: Member) -> Floats:
    """Return what each score of a member counts; refuse as many as do not answer the question."""
    try:
        return contrast(scores, manifest.task, manifest.classes, target)
    except ValueError as error:
        raise ModelRefused(
            f"it says of {scores} scores where they come from, and the {manifest.task} model has others",
            where=f"member {member.name}",
            fix=AGAIN,
        ) from error


def as_placed(values: npt.ArrayLike, view: ModelView, member: Member) -> Map:
    """Return the map of a network, ``((groups,) (slices,) rows, columns)``, with its groups in the first axis."""
    given = np.asarray(values, dtype=np.float32)
    groups, size = view.groups, view.size
    if given.ndim != len(size) + (groups > 1) or (groups > 1 and len(given) != groups):
        raise ModelRefused(f"its maps are {given.shape} of {size}", where=f"member {member.name}", fix=AGAIN)
    return given if groups > 1 else given[np.newaxis]


def on_input(values: Map, size: Sequence[int]) -> Map:
    """Spread maps ``(groups, (slices,) rows, columns)`` over the input grid; sums stay what they are.

    Within slices over what the places see (:func:`semeion.prepare.spread.spread_seen`); along them only between
    places, since a network that reads slices for themselves sees in one nothing of its neighbours.
    """
    if len(size) == 3:
        along = spread(np.moveaxis(values, 1, -1), [even(values.shape[1])], size[:1])
        values = np.moveaxis(along, -1, 1)
    return spread_seen(values, size[-2:])


def _attention(found: list[tuple[float, Map]], view: ModelView) -> Map | None:
    """Return the members' attention weights by their shares, ``(groups, slices)``; None where no member has any."""
    groups, depth = view.groups, view.size[0] if len(view.size) == 3 else 1
    fitting = [(share, given.reshape(groups, -1)) for share, given in found if given.size % groups == 0]
    if not fitting:
        return None
    if all(given.shape[1] == 1 for _, given in fitting):
        depth = 1
    total = sum(share for share, _ in fitting)
    summed = np.zeros((groups, depth), np.float32)
    for share, given in fitting:
        summed += np.float32(share / total) * spread(given, [even(given.shape[1])], [depth])
    return summed
