"""What is asked of an explanation, and what of it a model has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from semeion.errors import InputError, nearest
from semeion.model.manifest import Manifest
from semeion.model.masks import Format

Asked = Literal["auto", "activation", "occlusion"]

NO_SIGHT = "No member of the model that has a say looks at the images."
"""Why there is no map of a model that goes by covariates alone."""


@dataclass(frozen=True)
class How:
    """What is explained and how.

    Attributes
    ----------
    target
        The class (label) that is explained; None: the called one, where none is called the most probable one, of
        several labels all that are present.
    method
        ``auto``: activation maps where the model gives them, else occlusion.
    suffix
        Format of the maps of volumes.
    """

    target: str | None = None
    method: Asked = "auto"
    suffix: Format = "nii.gz"


def refuse_how(manifest: Manifest, how: How) -> None:
    """Refuse what the model cannot be asked; call it before any work is done.

    Raises
    ------
    InputError
        When the model outlines, has no such class or one score only, or has no member that sees images and a method
        was named.
    """
    if manifest.task == "segmentation":
        raise InputError(
            "a segmentation model has no explanation: the masks it draws say where",
            where="explain",
            fix="write them with predict --masks DIR",
        )
    if how.target is None:
        pass
    elif not manifest.classes or manifest.task == "ordinal":
        what = "ordered grades have one score" if manifest.classes else "a measured value has no classes"
        raise InputError(f"{what}, and no class of it can be named", where="class", fix="leave --class out")
    elif how.target not in manifest.classes:
        raise InputError(
            f"the model has no class {how.target!r}{nearest(how.target, manifest.classes)}",
            where="class",
            fix=f"give one of {', '.join(manifest.classes[:20])}",
        )
    if how.method != "auto" and not sees_images(manifest):
        raise InputError(
            "the model has no maps: what it rests on is said in sentences"
            if manifest.outlines
            else "no member of the model that has a say looks at the images, and there is nothing to map",
            where="method",
            fix="leave --method out",
        )


def sees_images(manifest: Manifest) -> bool:
    """Tell whether a map can be made: whether a member that has a say looks at images and does not outline them."""
    weights = manifest.weights or [1.0] * len(manifest.members)
    seeing = [w for member, w in zip(manifest.members, weights, strict=True) if member.kind != "covariates"]
    return not manifest.outlines and any(seeing)
