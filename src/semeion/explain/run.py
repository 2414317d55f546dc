"""Reading and explaining in one go: findings, and beside them the files that say why."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

from semeion.errors import InputError, nearest
from semeion.explain.asking import NO_SIGHT, How, refuse_how, sees_images
from semeion.explain.explainer import Explainer
from semeion.explain.files import file_stem, refuse_folder, refuse_names
from semeion.explain.like import Likeness
from semeion.explain.outlined import outlined_findings
from semeion.explain.placed import image_names
from semeion.explain.tested import method_of
from semeion.explain.values import ValueExplainer
from semeion.explain.view import view_of
from semeion.model.cases import Wanted, list_cases
from semeion.model.findings import Finding
from semeion.model.masks import mask_paths
from semeion.model.runtime import Model
from semeion.model.several_targets import SeveralModel

if TYPE_CHECKING:
    from semeion.model.cases import Case, Images
    from semeion.model.masks import Format
    from semeion.model.observing import Observer
    from semeion.progress import Progress

_HOW = How()


def explained_findings(
    model: Model | SeveralModel,
    images: Images,
    folder: str | os.PathLike[str],
    how: How = _HOW,
    *,
    jobs: int | None = None,
    progress: Progress | None = None,
    masks: str | os.PathLike[str] | None = None,
    mask_format: Format = "nii.gz",
    observers: Mapping[str, Sequence[Observer]] | None = None,
    abstain: bool = True,
) -> Iterator[Finding]:
    """Read images, write into a folder why each finding is what it is, and yield the findings with their explanation.

    Everything is refused at once that can be, before anything is written. The findings are those of
    :meth:`semeion.model.runtime.Model.findings`; only their ``explanation`` differs. The folder holds for each case
    ``<case>.json``, and where there is a map ``<case>.png`` and, of volumes, ``<case>.nii.gz`` or ``.nrrd``; of several
    labels, frames or views ``<case>.<name>.png``; and ``explain.json`` once all cases are done. Of a model of several
    targets each has a folder of its own inside.

    Parameters
    ----------
    model
        From :func:`semeion.load_model`.
    images, jobs, progress, masks, mask_format, abstain
        As of :meth:`semeion.model.runtime.Model.findings`. A model that measures writes its masks into `folder` where
        no other is given.
    folder
        New or empty.
    how
        What is explained and how.
    observers
        Who else looks on, by the target.

    Raises
    ------
    InputError
        When the folder holds something, the model has no such explanation or class, or a case's id cannot name a file.
    ModelRefused
        When a graph cannot be opened.

    Examples
    --------
    >>> model = semeion.load_model("runs/finding/model")  # doctest: +SKIP
    >>> findings = list(explained_findings(model, ["a.png"], "why"))  # doctest: +SKIP
    """
    folder = Path(folder)
    refuse_folder(folder)
    images = list(images) if isinstance(images, Iterator) else images
    if isinstance(model, SeveralModel):
        if masks is not None:
            raise InputError("a model of several targets has no masks", where="masks", fix="leave masks out")
        return _of_several(model, images, folder, how, jobs, progress, observers or {}, abstain)
    own = (observers or {}).get(model.manifest.target, ())
    refuse_how(model.manifest, how)
    cases = _named_cases(model, images, folder)
    if model.manifest.measured is not None:
        into = Path(masks) if masks is not None else folder
        suffix = mask_format if masks is not None else how.suffix
        paths = mask_paths(into, cases, model.manifest.measured.measurements.images, suffix)
        found = model.findings(
            images, jobs=jobs, progress=progress, masks=into, mask_format=suffix, observers=own, abstain=abstain
        )
        return outlined_findings(found, cases, paths, model.manifest, folder, how)
    explainer = _explainer(model, folder, how)
    seeing = [explainer, *own]
    found = model.findings(images, jobs=jobs, progress=progress, masks=masks, observers=seeing, abstain=abstain)
    return _closing(found, [explainer])


def _of_several(
    several: SeveralModel,
    images: Images,
    folder: Path,
    how: How,
    jobs: int | None,
    progress: Progress | None,
    observers: Mapping[str, Sequence[Observer]],
    abstain: bool,
) -> Iterator[Finding]:
    """Explain every target into a folder of its own; a class that is named belongs to those targets that have it."""
    asked = {target: _of_target(model, how) for target, model in several.models.items()}
    classes = [name for model in several.models.values() for name in model.classes]
    if how.target is not None and all(own.target is None for own in asked.values()):
        raise InputError(
            f"no target of the model has a class {how.target!r}{nearest(how.target, classes)}",
            where="class",
            fix=f"give one of {', '.join(dict.fromkeys(classes))}",
        )
    folders = [target_folder(target).casefold() for target in several.models]
    if len(set(folders)) != len(folders):
        raise InputError(
            "the explanations of two targets would be one folder", where="explain", fix="rename one of the targets"
        )
    explainers = {}
    for target, model in several.models.items():
        refuse_how(model.manifest, asked[target])
        _named_cases(model, images, folder / target_folder(target))
        explainers[target] = _explainer(model, folder / target_folder(target), asked[target])
    seeing = {target: [own, *observers.get(target, ())] for target, own in explainers.items()}
    found = several.findings(images, jobs=jobs, progress=progress, observers=seeing, abstain=abstain)
    return _closing(found, list(explainers.values()))


def _explainer(model: Model, folder: Path, how: How) -> Explainer:
    """Return who explains a model's cases; refuses as :func:`semeion.explain.tested.method_of`."""
    method, why = (None, NO_SIGHT) if not sees_images(model.manifest) else method_of(model, how.method)
    like = None if model.manifest.neighbours is None else Likeness(model)
    return Explainer(view_of(model), ValueExplainer(model), folder, how, method, why, like)


def _of_target(model: Model, how: How) -> How:
    known = how.target in model.classes and model.task != "ordinal"
    return How(how.target if known else None, how.method, how.suffix)


def target_folder(target: str) -> str:
    """Return the name of a target's folder inside that of a model of several targets."""
    return file_stem(target)


def _named_cases(model: Model, images: Images, folder: Path) -> list[Case]:
    """Return the cases, after their files' names were found to be sound."""
    manifest = model.manifest
    cases = list_cases(images, Wanted(manifest.volumes, tuple(manifest.inputs.names), model.covariates))
    labels = ("", *manifest.classes) if manifest.task == "multilabel" else ("",)
    parts = [".".join(name for name in pair if name) for pair in product(labels, image_names(manifest))]
    refuse_names(folder, cases, parts)
    return cases


def _closing(found: Iterator[Finding], explainers: Sequence[Explainer]) -> Iterator[Finding]:
    """Yield findings, and end the explanations when they end; what is left half-way gets no account."""
    whole = False
    try:
        yield from found
        whole = True
    finally:
        for explainer in explainers:
            explainer.close(whole=whole)
