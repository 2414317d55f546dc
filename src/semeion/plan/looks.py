"""How frozen features look at a case: which pictures of it, in which colours, and what keeps features of its own."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from semeion.plan.networks import PRETRAINED_SIDES, volume_size
from semeion.plan.recipes import FrozenRecipe
from semeion.plan.volume_rules import plan_images

Axis = Literal["slices", "rows", "columns"]
Colours = Literal["channels", "neighbours", "each"]
Apart = Literal["images", "axes"]

AXES: tuple[Axis, ...] = ("slices", "rows", "columns")
SLICES = 16
"""Pictures along each axis of a volume that are wanted: in trials half as many told less, and 40 told no more."""
FEWER = (16, 12, 8, 4, 2, 1)
"""Tried in turn where time or memory do not last for three sides, along one axis alone: in trials hardly worse."""
MOST_TOGETHER = 64
"""Pictures of a case along one axis, which go through the graph together."""
MOST_SEEN = 1_700_000
"""Pixels of them all as the network sees them, which bound its memory: with 1.5 million `predict` peaked at 0.8 GiB."""
THIN = 8
"""Slices of a volume below which it is not looked at from other sides: strips would be seen."""
COLOURS = 3
"""Contrasts that are the colours of one picture; more would be mixed."""
EACH = 3_552
"""Features of one picture, of all layers of EfficientNet-Lite0."""
MOST_FEATURES = 40_000
"""Of a case: what a head that ships may have."""
MOST_CELLS = 60_000_000
"""Features of all learning cases together that a head is fitted to in memory, about 2 GiB with what it works with."""


@dataclass(frozen=True)
class Look:
    """How frozen features look at a case.

    Attributes
    ----------
    along, slices, colours, apart
        As in :class:`semeion.plan.recipes.FrozenRecipe`.
    pictures
        What a case costs, in pictures as they were measured: those of a volume one by one, the frames or views of a
        flat picture together.
    together
        Pictures of a volume that go through the graph at once.
    features
        Of a case.
    why
        Reasons, by the keys of the recipe.
    """

    along: tuple[Axis, ...] = AXES[:1]
    slices: int = SLICES
    colours: Colours = "channels"
    apart: tuple[Apart, ...] = ()
    pictures: int = 1
    together: int = 1
    features: int = EACH
    why: dict[str, str] = field(default_factory=dict)

    def fits(self, side: int) -> bool:
        """Tell whether pictures with a longer side of so many pixels fit into bounded memory."""
        return self.together * side**2 <= MOST_SEEN

    def words(self) -> str:
        """Return what is looked at, for example ``48 pictures of each volume``; nothing of a flat picture."""
        return "" if self.pictures == 1 else f"{self.pictures} pictures of each case"


def looks_of(facts: dict[str, Any]) -> list[Look]:
    """Return the ways to look at a case of a fingerprint, best first.

    Volumes whose voxels are nearly cubes are seen from three sides at right angles, others, and those of a few slices,
    in the planes that were acquired. Where the time does not last for that, fewer slices are seen, and from one side
    alone.
    """
    images, training = plan_images(facts), facts["training"]
    cases = int(training["cases"])
    if "volume" not in training:
        apart, why = _apart(images.groups, images.groups * EACH, cases, images.role)
        return [Look(apart=apart, features=EACH * (images.groups if apart else min(images.groups, 2)), why=why)]
    volume = training["volume"]
    slices, rows, columns = volume_size(volume, PRETRAINED_SIDES[0])
    size = dict(zip(AXES, (slices, rows, columns), strict=True))
    channels = len(images.names) if images.role == "channels" else 1
    many = 2 * EACH * channels
    colours: Colours = "each" if channels > COLOURS and _fits(many, cases) else "channels"
    # Pictures of a slice, each with features of its own.
    kinds = channels if colours == "each" else 1
    told: dict[str, str] = {}
    if channels > COLOURS and colours == "channels":
        told["colours"] = f"{channels} contrasts are mixed into three colours: each would make {many} features a case"
    elif channels > COLOURS:
        told["colours"] = f"each of {channels} contrasts is seen for itself: as three colours they would be mixed"
    elif channels > 1:
        told["colours"] = f"{channels} contrasts are the colours of one picture: as good in trials as each for itself"
    else:
        told["colours"] = "a slice is seen in grey: with its two neighbours as colours heads did no better in trials"
    if volume["anisotropic"]:
        sides = [(AXES[:1], SLICES, "slices are thick, so they are seen in the plane that was acquired")]
    elif slices < THIN:
        sides = [(AXES[:1], SLICES, f"slices are so few ({slices}) that from other sides strips would be seen")]
    else:
        sides = [(AXES, SLICES, "voxels are nearly cubes, so the volume is seen from three sides at right angles")]
    sides += [(AXES[:1], fewer, "time does not last for more slices, or for more than one side") for fewer in FEWER]
    found: list[Look] = []
    for along, most, told_why in sides:
        counts = [images.groups * kinds * min(size[axis], most) for axis in along]
        if max(counts) > MOST_TOGETHER and most > 1:
            continue
        pictures = sum(counts)
        if found and found[-1].pictures <= pictures:
            continue
        reason = told_why if found or (along, most) == sides[0][:2] else f"more than {pictures} would take much memory"
        # A mean and a maximum of each pool.
        apart, kept = _apart(images.groups, 2 * EACH * kinds * images.groups, cases, images.role)
        pools = kinds * (images.groups if apart else 1)
        own: tuple[Apart, ...] = apart
        if len(along) > 1 and _fits(2 * EACH * pools * len(along), cases):
            own, pools = (*apart, "axes"), pools * len(along)
            kept["apart"] = "; ".join([*([kept["apart"]] if "apart" in kept else []), SIDES_APART])
        why = {**told, **kept, "along": reason, "slices": f"{pictures} pictures of a case: {most} or all along an axis"}
        found.append(Look(along, most, colours, own, pictures, max(counts), 2 * EACH * pools, why))
    return found


SIDES_APART = "each side keeps features of its own, since anatomy looks otherwise from it"


def _fits(features: int, cases: int) -> bool:
    return features <= MOST_FEATURES and features * cases <= MOST_CELLS


def _apart(groups: int, features: int, cases: int, role: str) -> tuple[tuple[Apart, ...], dict[str, str]]:
    """Return whether frames or views keep features of their own, and why; nothing where there is one image."""
    if groups == 1:
        return (), {}
    if _fits(features, cases):
        what = "what changes from one frame to the next" if role == "frames" else "which view shows a finding"
        return ("images",), {"apart": f"each of {groups} {role} keeps features of its own, so that {what} is known"}
    return (), {"apart": f"{groups} {role} are pooled: features of their own would be {features} a case, too many"}


def pictures_of(recipe: FrozenRecipe, shape: tuple[int, ...], groups: int) -> int:
    """Return how many pictures a recipe looks at of a case of `shape` with so many frames or views."""
    channels = 1 if recipe.colours == "channels" else shape[0] // groups
    if len(shape) == 3:
        return groups * channels
    size = dict(zip(AXES, shape[1:], strict=True))
    return groups * channels * sum(min(size[axis], recipe.slices) for axis in recipe.along)


def cost_of(recipe: FrozenRecipe, shape: tuple[int, ...], groups: int) -> int:
    """Return what a case costs to look at, in pictures as they were measured; as :attr:`Look.pictures`."""
    return 1 if len(shape) == 3 else pictures_of(recipe, shape, groups)
