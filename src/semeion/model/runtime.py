"""Runs a shipped model: folder in, findings out. Neither torch nor pandas is needed."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from semeion.cohort.image import Image
from semeion.errors import InputError
from semeion.model.averaged import image_manifest
from semeion.model.cases import Case, Wanted, list_cases
from semeion.model.classifier import Classifier, read_picture
from semeion.model.combine import Floats
from semeion.model.covariates import CovariateMember
from semeion.model.engine import Engine, Kind
from semeion.model.findings import Finding, columns, frame
from semeion.model.guard import Guard
from semeion.model.linear import LinearMember
from semeion.model.manifest import Manifest, Task
from semeion.model.mask_findings import mask_findings, read_volumes
from semeion.model.masks import Format, prepare_folder
from semeion.model.measured import measured_findings, open_trees
from semeion.model.observing import Observer
from semeion.model.opened_members import open_members, read_reference, read_values
from semeion.model.opening import open_files, place, read_listed
from semeion.model.segment import Segmenter, as_values, segmenter_of
from semeion.model.trees import TreeMember
from semeion.parallel import usable_cores
from semeion.prepare.covariates import Values, refuse_unread
from semeion.prepare.spec import Preparation
from semeion.progress import Progress, Silent

if TYPE_CHECKING:
    import pandas as pd

    from semeion.cohort.volume import Volume
    from semeion.model.cases import Images


def load_model(
    path: str | os.PathLike[str],
    *,
    threads: int | None = None,
    engine: Kind = "onnxruntime",
    require_signature: str | os.PathLike[str] | None = None,
) -> Model:
    """Open a model, a folder or a ``.semeion`` file, and check every file in it.

    Parameters
    ----------
    path
        The folder that holds ``model.json``, for example ``runs/finding/model``, or what ``semeion pack`` wrote, which
        is read without unpacking it.
    threads
        Threads for the networks; None: all usable cores.
    engine
        What runs the networks: ``onnxruntime``, or ``openvino`` where it is installed, which is faster for volumes.
    require_signature
        The public key (PEM) that the model must be signed with; None: hashes alone are checked.

    Raises
    ------
    InputError
        When the key is no public Ed25519 key.
    ModelRefused
        When it is no model, was changed or damaged, is of a newer schema, or is not signed by the key that is
        required. The message names the file.

    Examples
    --------
    >>> model = load_model("runs/finding/model")  # doctest: +SKIP
    >>> model.predict(["a.png", "b.png"])[["image", "call"]]  # doctest: +SKIP
    """
    opened = open_files(Path(path))
    if require_signature is not None:
        from semeion.model.signature import check_signature

        check_signature(opened, Path(require_signature))
    return Model(opened.path, opened.manifest, opened.hash, threads=threads, engine=engine)


class Model:
    """A shipped model. Make one with :func:`load_model`; it may be used from several threads.

    Attributes
    ----------
    path, manifest, hash
        The folder or file, what ``model.json`` says, and the sha256 of its bytes.
    """

    def __init__(
        self,
        path: Path,
        manifest: Manifest,
        digest: str,
        *,
        threads: int | None = None,
        engine: Kind = "onnxruntime",
    ) -> None:
        self.path = path
        self.manifest = manifest
        self.hash = digest
        self._threads = threads
        self._kind = engine
        self._engines: list[Engine] | None = None
        self._heads: list[LinearMember | None] | None = None
        self._covariates: dict[str, CovariateMember] = {}
        self._guard: Guard | None = None
        self._opening = threading.Lock()
        self._tried: list[float] = []

    def __repr__(self) -> str:
        return f"<Model {self.task} {self.manifest.target!r} {self.hash[:12]}>"

    @property
    def task(self) -> Task:
        """Binary, multiclass, multilabel, ordinal, regression or segmentation."""
        return self.manifest.task

    @property
    def classes(self) -> tuple[str, ...]:
        """Classes in the order of the probabilities; the labels of a multi-label model; empty for regression."""
        return tuple(self.manifest.classes)

    @property
    def probability_names(self) -> tuple[str, ...]:
        """Names behind the findings' columns ``p_<name>``."""
        return self.manifest.probability_names

    @property
    def columns(self) -> tuple[str, ...]:
        """The findings' columns."""
        return columns(self.probability_names, interval=self.has_interval)

    @property
    def has_interval(self) -> bool:
        """Whether findings give the ends ``low`` and ``high`` of an interval around the measured value."""
        return self.manifest.interval is not None

    @property
    def covariates(self) -> tuple[str, ...]:
        """Columns that a table must have besides images; empty for most models."""
        return tuple(column.name for column in self.manifest.inputs.covariates)

    def raw(self, batch: npt.NDArray[np.uint8], covariates: Mapping[str, Values] | None = None) -> Floats:
        """Run every member.

        Parameters
        ----------
        batch
            Prepared images uint8 (N, C, H, W), from :func:`semeion.prepare.transform.prepare_image`.
        covariates
            The values of each column of :attr:`covariates` by its name, one a case; None: the model needs none.

        Returns
        -------
        numpy.ndarray
            float64 (M, N, K): each member's probabilities of the K classes (multi-label: that label k is present;
            regression: K = 1, the value in the target's unit), before combination and calibration.
        """
        return self._classifier().raw(batch, covariates)

    def combined(self, batch: npt.NDArray[np.uint8], covariates: Mapping[str, Values] | None = None) -> Floats:
        """Return the (weighted) mean over the members, float64 (N, K), before calibration."""
        return self._classifier().combined(batch, covariates)

    def calibrated(self, combined: npt.ArrayLike) -> Floats:
        """Return combined probabilities (N, K) after the shipped calibration; a regression's values unchanged."""
        return self._classifier().calibrated(combined)

    def probabilities(self, batch: npt.NDArray[np.uint8], covariates: Mapping[str, Values] | None = None) -> Floats:
        """Return combined, calibrated probabilities (regression: values) of prepared images, float64 (N, K)."""
        return self.calibrated(self.combined(batch, covariates))

    def findings(
        self,
        images: Images,
        *,
        jobs: int | None = None,
        progress: Progress | None = None,
        masks: str | os.PathLike[str] | None = None,
        mask_format: Format = "nii.gz",
        observers: Sequence[Observer] = (),
        abstain: bool = True,
    ) -> Iterator[Finding]:
        """Read, prepare and judge images; yield one finding a case (and label), in order, as they come.

        Decoding and preparation run on `jobs` threads while the networks run, and only a few batches are held, so
        memory does not grow with the number of images.

        Parameters
        ----------
        images
            See :func:`semeion.model.cases.list_cases`.
        jobs
            Threads that decode; None: all usable cores.
        progress
            Told of every case.
        masks, mask_format
            Of a segmentation: the folder that each case's mask is written to, as ``<case id>.nii.gz`` or ``.nrrd``, on
            the grid of its image. None: no masks are written. Its findings have one row a case and label, whose call
            is the volume in ml; cases are read on one thread, since each takes much memory.
        observers
            Who looks on: explanations, the log.
        abstain
            Whether the model may keep from calling. False, for studies: every case that can be read is called at the
            operating point, and what spoke against that stays among its reasons.

        Raises
        ------
        InputError
            When `images` cannot be used as a whole (raised at once, before the first finding). A single image that
            cannot be read gives a finding with status ``failed``.
        ModelRefused
            When a graph cannot be opened.
        """
        if jobs is not None and jobs < 1:
            raise InputError(f"jobs is {jobs}", where="jobs", fix="give 1 or more")
        if masks is not None and not self.manifest.outlines:
            raise InputError(f"a {self.task} model has no masks", where="masks", fix="leave --masks out")
        cases = list_cases(images, Wanted(self.manifest.volumes, tuple(self.manifest.inputs.names), self.covariates))
        known = {name: [case.covariates.get(name) for case in cases] for name in self.covariates}
        refuse_unread(self.manifest.inputs.covariates, known, "the table")
        self._open()
        if self.manifest.outlines:
            folder = Path(masks) if masks is not None else None
            if folder is not None:
                prepare_folder(folder)
            if self.manifest.measured is not None:
                return measured_findings(
                    self.segmenter(),
                    self._trees(),
                    self.manifest,
                    self.hash,
                    cases,
                    progress or Silent(),
                    folder,
                    mask_format,
                    self._images(),
                    abstain=abstain,
                    known=read_reference(self.path, self.manifest),
                    reference=read_values(self.path, self.manifest),
                    observers=observers,
                )
            return mask_findings(
                self.segmenter(),
                self.manifest,
                self.hash,
                cases,
                progress or Silent(),
                folder,
                mask_format,
                abstain=abstain,
                observers=observers,
            )
        return self._classifier(observers, abstain=abstain).findings(
            cases, jobs or usable_cores(), progress or Silent()
        )

    def predict(
        self, images: Images, *, jobs: int | None = None, progress: Progress | None = None, abstain: bool = True
    ) -> pd.DataFrame:
        """Return the findings of `images` as a data frame with the columns of :attr:`columns`.

        Parameters and errors are those of :meth:`findings`. ``call`` holds class names, or numbers for a measured
        value; probabilities of a failed case are missing. Look at ``status`` and ``reasons`` before using a call.
        """
        findings = self.findings(images, jobs=jobs, progress=progress, abstain=abstain)
        table: pd.DataFrame = frame(findings, self.probability_names, interval=self.has_interval)
        return table

    def read_case(self, source: str | npt.NDArray[np.uint8]) -> tuple[Image, npt.NDArray[np.uint8]]:
        """Return one image as read, and as the networks see it: uint8 (C, H, W).

        Raises
        ------
        InputError
            When the image cannot be read or prepared.
        """
        steps = self.manifest.preparation
        if not isinstance(steps, Preparation):
            raise InputError("the model takes volumes", where=str(self.path), fix="give volumes to predict or segment")
        return read_picture(source, steps)

    def segmenter(self) -> Segmenter:
        """Return what turns volumes into masks.

        Raises
        ------
        InputError
            When the model is no segmentation.
        """
        if not self.manifest.outlines:
            raise InputError(f"a {self.task} model has no masks", where=str(self.path), fix="use a segmentation model")
        return segmenter_of(self.manifest, self._open())

    def segment(self, images: str | os.PathLike[str] | Volume | Sequence[str | os.PathLike[str] | Volume]) -> Volume:
        """Return the mask of one case, on the grid of its (first) image.

        Parameters
        ----------
        images
            The case's image, or its images in the order of the model's channels: references that
            :func:`semeion.cohort.volumes.read.read_volume` takes, or volumes.

        Returns
        -------
        Volume
            One plane of uint8, with the integers that the training masks had; 0 is the background.

        Raises
        ------
        InputError
            When the model is no segmentation, an image cannot be read, or a channel is missing (the message names it).
        """
        from semeion.cohort.volume import Volume

        given = [images] if isinstance(images, (str, os.PathLike, Volume)) else list(images)
        labels, _ = self.segmenter().segment(read_volumes(given, self.manifest))
        how = self.manifest.segmentation
        return as_values(labels, how.values if how is not None else ())

    def extras(self) -> dict[str, tuple[str, ...]]:
        """Return the names of further outputs that the graph of each member gives, by the member's name.

        Raises
        ------
        ModelRefused
            When a graph cannot be opened.
        """
        seeing = [member.name for member in self.manifest.members if member.kind != "covariates"]
        return {name: engine.extras for name, engine in zip(seeing, self._open(), strict=True)}

    def heads(self) -> dict[str, LinearMember]:
        """Return the linear heads of the members whose graphs give features, by the member's name.

        Raises
        ------
        ModelRefused
            When a file of the model cannot be opened.
        """
        self._open()
        seeing = [member.name for member in self.manifest.members if member.kind != "covariates"]
        found = zip(seeing, self._heads or (), strict=True)
        return {name: head for name, head in found if head is not None}

    def _trees(self) -> TreeMember:
        """Return what classifies measurements."""
        measured = self.manifest.measured
        if measured is None:
            raise ValueError("the model measures nothing")
        data = read_listed(self.path, measured.file, self.manifest.files[measured.file])
        return open_trees(data, self.manifest, where=place(self.path, measured.file))

    def _images(self) -> Callable[[Case], Finding] | None:
        """Return what says of a case what the networks that see its images themselves say; None without any."""
        own = image_manifest(self.manifest)
        if own is None:
            return None
        model = Model(self.path, own, self.hash, threads=self._threads, engine=self._kind)
        # What is said of the case as a whole is decided where both verdicts are known.
        classifier = model._classifier(abstain=False)
        return lambda case: classifier.judge([classifier.prepare(case)])[0]

    def _classifier(self, observers: Sequence[Observer] = (), *, abstain: bool = True) -> Classifier:
        engines = self._open()
        return Classifier(
            self.manifest, self.hash, engines, self._heads, self._covariates, observers, abstain, self._guard
        )

    def _open(self) -> list[Engine]:
        with self._opening:
            if self._engines is None:
                opened = open_members(self.path, self.manifest, self._threads, self._kind)
                self._heads, self._covariates, self._guard = opened.heads, opened.covariates, opened.guard
                self._tried, self._engines = opened.tried, opened.engines
            return self._engines

    def try_out(self) -> str:
        """Open everything that the model holds, answer its golden cases, and say in a sentence how that went.

        Raises
        ------
        ModelRefused
            When something does not open, or a golden case is answered otherwise than where the model was made.
        """
        models = [self]
        if (own := image_manifest(self.manifest)) is not None:
            models.append(Model(self.path, own, self.hash, threads=self._threads, engine=self._kind))
        if self.manifest.measured is not None:
            self._trees()
        networks = sum(len(model._open()) for model in models)
        found = [far for model in models for far in model._tried]
        if not found:
            return "The model holds no golden cases: whether this machine computes rightly was not tried."
        untried = f" {networks - len(found)} of the networks have none." if len(found) < networks else ""
        return (
            f"Golden cases: {len(found)} answered as where the model was made, at most {max(found):.1g} apart.{untried}"
        )
