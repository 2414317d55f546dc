"""Cases of a model that classifies or measures a value: read ahead on threads, judged in batches."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt

from semeion.cohort.arrays import image_of
from semeion.cohort.image import Image
from semeion.cohort.reading import read_image
from semeion.errors import ImageError, InputError
from semeion.model.cases import Case
from semeion.model.combine import Floats, calibrate, called, combine_members, shipped_maps
from semeion.model.covariates import CovariateMember, judge_covariates
from semeion.model.deciding import Facts, decide
from semeion.model.engine import OUTPUT, Engine
from semeion.model.findings import Finding, reason
from semeion.model.gate import remarks, volume_remarks, why_unread
from semeion.model.guard import Guard
from semeion.model.heads import judged
from semeion.model.linear import LinearMember
from semeion.model.manifest import Manifest
from semeion.model.observing import Look, Observer, Seen, show
from semeion.model.sets import facts_of
from semeion.parallel import ordered_map
from semeion.prepare.case import case_shape, prepare_case
from semeion.prepare.case import read_case as read_images
from semeion.prepare.covariates import Values, covariate_remarks
from semeion.prepare.spec import Preparation
from semeion.prepare.transform import prepare_image
from semeion.prepare.volume_spec import VolumePreparation
from semeion.progress import Progress

if TYPE_CHECKING:
    from semeion.cohort.volume import Volume

_BATCH = 64
_BATCH_PIXELS = 1 << 19
"""A batch holds at most this many pixels, so that the activations of large inputs stay within memory."""


@dataclass(frozen=True)
class Prepared:
    """One case after reading: the network's input, or why there is none."""

    case: Case
    array: npt.NDArray[np.uint8] | None
    reasons: tuple[str, ...]
    images: tuple[Image | Volume, ...] = ()
    """As they were read; kept only for observers who ask for them."""


def read_picture(source: str | npt.NDArray[np.uint8], steps: Preparation) -> tuple[Image, npt.NDArray[np.uint8]]:
    """Return one image as read, and as the networks see it: uint8 (C, H, W).

    Raises
    ------
    InputError
        When the image cannot be read or prepared.
    """
    image = read_image(source) if isinstance(source, str) else image_of(source, "array", "npy")
    return image, prepare_image(image, steps)


class Classifier:
    """Reads, prepares and judges cases with a model's networks.

    Parameters
    ----------
    manifest, digest
        What the model is, and its hash for the findings.
    engines
        One a member that sees images, in their order; members that share a graph share the engine.
    heads
        The linear head of each of these whose graph gives features, else None; None: no member has one.
    covariates
        The members that judge covariates, by their name.
    observers
        Who looks on.
    abstain
        Whether the model may keep from calling; see :mod:`semeion.model.deciding`.
    guard
        What says which cases lie far from the training cases, or divide the members; None: nothing does.
    """

    def __init__(
        self,
        manifest: Manifest,
        digest: str,
        engines: Sequence[Engine],
        heads: Sequence[LinearMember | None] | None = None,
        covariates: Mapping[str, CovariateMember] | None = None,
        observers: Sequence[Observer] = (),
        abstain: bool = True,
        guard: Guard | None = None,
    ) -> None:
        self.abstain, self.guard = abstain, guard
        self.observers = tuple(observers)
        self.wants = frozenset().union(*(observer.wants for observer in self.observers))
        self.wants |= guard.wants if guard is not None else frozenset()
        self.manifest, self.hash, self.engines = manifest, digest, engines
        self.heads = heads if heads is not None else [None] * len(engines)
        self.covariates = dict(covariates or {})
        self.classes = tuple(manifest.classes)

    def raw(self, batch: npt.NDArray[np.uint8], rows: Mapping[str, Values] | None = None) -> Floats:
        """Return every member's probabilities, float64 (M, N, K), of prepared cases and their covariates by column.

        Raises
        ------
        InputError
            When a member judges covariates, and `rows` lacks one.
        """
        return self.look(batch, rows).said

    def look(
        self,
        batch: npt.NDArray[np.uint8],
        rows: Mapping[str, Values] | None = None,
        wants: Collection[str] = (),
    ) -> Look:
        """Run every member once, and keep the further outputs of the graphs that are among `wants`.

        Raises as :meth:`raw`.
        """
        given: dict[str, dict[str, npt.NDArray[np.float32]]] = {}
        said: dict[str, Floats] = {}
        seeing = [member for member in self.manifest.members if member.name not in self.covariates]
        for member, engine, head in zip(seeing, self.engines, self.heads, strict=True):
            if member.file not in given:
                names = [name for name in engine.extras if name in wants]
                given[member.file] = look_bounded(engine, batch, names, features=head is not None)
            said[member.name] = judged(given[member.file][OUTPUT], head, self.manifest.task)
        said |= judge_covariates(self.covariates, said, rows or {})
        features = {member.file for member in seeing if member.output == "features"}
        for path, outputs in given.items():
            own = outputs.pop(OUTPUT)
            if path in features and "features" in wants:
                outputs["features"] = own
        return Look(np.stack([said[member.name] for member in self.manifest.members]), given)

    def combined(self, batch: npt.NDArray[np.uint8], rows: Mapping[str, Values] | None = None) -> Floats:
        """Return the (weighted) mean over the members, float64 (N, K), before calibration; raises as :meth:`raw`."""
        return combine_members(self.raw(batch, rows), self.manifest.task, self.manifest.weights)

    def calibrated(self, combined: npt.ArrayLike) -> Floats:
        """Return combined probabilities (N, K) after the shipped calibration; a regression's values unchanged."""
        return calibrate(combined, self.manifest.task, shipped_maps(self.manifest.calibration, self.classes))

    def findings(self, cases: Sequence[Case], jobs: int, progress: Progress) -> Iterator[Finding]:
        """Yield one finding a case (and label), in order; only a few batches are in memory."""
        steps, inputs = self.manifest.preparation, self.manifest.inputs
        pixels = math.prod(case_shape(steps, inputs.images, inputs.groups)[1:])
        size = max(1, min(_BATCH, _BATCH_PIXELS // pixels))
        prepared = ordered_map(self.prepare, cases, jobs=jobs)
        running: deque[Future[list[Finding]]] = deque()
        progress.start("Reading images", len(cases))
        with ThreadPoolExecutor(1) as networks:
            while group := list(islice(prepared, size)):
                running.append(networks.submit(self.judge, group))
                while len(running) > 2:
                    yield from _report(running.popleft(), progress)
            while running:
                yield from _report(running.popleft(), progress)
        progress.finish()

    def prepare(self, case: Case) -> Prepared:
        """Read and prepare one case; what went wrong is among its reasons."""
        if case.source is None:
            return Prepared(case, None, (reason("missing-file", "the table names no image for this case"),))
        if None in case.others:
            name = self.manifest.inputs.names[1 + case.others.index(None)]
            return Prepared(case, None, (reason("missing-file", f"the table names no image {name!r} for this case"),))
        try:
            array, said, images = self._read(case)
        except ImageError as error:
            return Prepared(case, None, (reason(*why_unread(case.source, error)),))
        except InputError as error:
            return Prepared(case, None, (reason("not-prepared", error.what),))
        except (RuntimeError, ValueError, cv2.error) as error:  # one odd image must not lose the thousand others
            return Prepared(case, None, (reason("not-prepared", str(error)),))
        except MemoryError:
            return Prepared(case, None, (reason("too-large", "not enough memory to decode the image"),))
        except OSError as error:
            return Prepared(case, None, (reason("unreadable", error.strerror or str(error)),))
        known = covariate_remarks(self.manifest.inputs.covariates, case.covariates)
        kept = images if any(observer.keeps_images for observer in self.observers) else ()
        return Prepared(case, array, tuple(reason(*_split(text)) for text in (*said, *known)), kept)

    def _read(self, case: Case) -> tuple[npt.NDArray[np.uint8], tuple[str, ...], tuple[Image | Volume, ...]]:
        """Return a case as the networks see it, the warnings about it, and the images as they were read."""
        inputs, steps = self.manifest.inputs, self.manifest.preparation
        if case.source is None:
            raise ValueError("a case without an image")
        if isinstance(steps, Preparation) and inputs.images == 1:
            image, array = read_picture(case.source, steps)
            return array, remarks(image, array, inputs, steps), (image,)
        references = [source for source in (case.source, *case.others) if isinstance(source, str)]
        read = read_images(references, steps, inputs.groups, names=inputs.names)
        array = prepare_case(read, steps, inputs.groups)
        if array.shape != case_shape(steps, inputs.images, inputs.groups):
            raise ImageError(
                f"{len(read)} images were given and a case has {inputs.images}",
                where=case.image,
                fix=f"give {', '.join(inputs.names) or 'one image'}",
            )
        volumes = [image for image in read if not isinstance(image, Image)]
        if volumes:
            from semeion.prepare.volume import unstated_units

            unstated = unstated_units(volumes, steps) if isinstance(steps, VolumePreparation) else []
            notes = [note for volume in volumes for note in volume.notes]
            return array, volume_remarks(volumes, [*notes, *unstated], inputs, array), tuple(read)
        pictures = [image for image in read if isinstance(image, Image)]
        each = np.split(array, len(pictures))
        pixels = steps if isinstance(steps, Preparation) else None
        found = [text for one, own in zip(pictures, each, strict=True) for text in remarks(one, own, inputs, pixels)]
        return array, tuple(dict.fromkeys(found)), tuple(read)

    def judge(self, group: Sequence[Prepared]) -> list[Finding]:
        """Return the findings of prepared cases."""
        sound_ones = [item for item in group if item.array is not None]
        arrays = [item.array for item in sound_ones if item.array is not None]
        rows = {
            column.name: [item.case.covariates.get(column.name) for item in sound_ones]
            for column in self.manifest.inputs.covariates
        }
        look = self.look(np.stack(arrays), rows, self.wants) if arrays else None
        empty = np.zeros((0, self.manifest.n_outputs))
        combined = empty if look is None else combine_members(look.said, self.manifest.task, self.manifest.weights)
        sound: npt.NDArray[np.bool_] = np.asarray(np.isfinite(combined).all(axis=1))
        p = np.full_like(combined, np.nan)
        p[sound] = self.calibrated(combined[sound])
        apart = [()] * len(arrays) if look is None or self.guard is None else self.guard.reasons(look, arrays)
        found: list[Finding] = []
        at = 0
        for item in group:
            if item.array is None or look is None:
                found.extend(self._shown(item, self._failed(item, item.reasons), None, at))
                continue
            if sound[at]:
                own = self._called(replace(item, reasons=(*item.reasons, *apart[at])), combined[at], p[at])
            else:
                own = self._failed(item, (*item.reasons, reason(self._unsound)))
            found.extend(self._shown(item, own, look, at))
            at += 1
        return found

    def _shown(self, item: Prepared, findings: list[Finding], look: Look | None, at: int) -> list[Finding]:
        """Show a case to the observers, and return its findings with the path of its explanation."""
        if not self.observers:
            return findings
        said = None if look is None else look.said[:, at]
        outputs = {} if look is None else look.extras
        extras = {path: {name: one[at] for name, one in given.items()} for path, given in outputs.items()}
        return show(self.observers, Seen(item.case, findings, item.array, item.images, said, extras))

    @property
    def _unsound(self) -> str:
        """What an output that is not finite means: a graph from elsewhere says so of answers that mean nothing."""
        adopted = self.manifest.adopted
        return "not-probabilities" if adopted is not None and adopted.gives == "probabilities" else "not-finite"

    def _failed(self, item: Prepared, reasons: tuple[str, ...]) -> list[Finding]:
        targets = self.classes if self.manifest.task == "multilabel" else (self.manifest.target,)
        case = item.case
        return [Finding(case.case_id, case.image, target, "failed", None, (), reasons, self.hash) for target in targets]

    def _called(self, item: Prepared, combined: Floats, p: Floats) -> list[Finding]:
        case, manifest = item.case, self.manifest

        def finding(target: str, call: str | float, shown: Sequence[float], raw: Sequence[float]) -> Finding:
            facts = Facts(call, item.reasons, abstain=self.abstain)
            if isinstance(call, str):
                facts = facts_of(manifest, target, call, shown, raw, item.reasons, abstain=self.abstain)
            status, decided, reasons = decide(facts)
            numbers = tuple(map(float, shown)), tuple(map(float, raw))
            return Finding(
                case.case_id, case.image, target, status, decided, numbers[0], reasons, self.hash, numbers[1]
            )

        if manifest.task == "regression":
            found, own = finding(manifest.target, float(p[0]), (), combined.tolist()), manifest.interval
            ends = None if own is None else (float(p[0]) - own.half_width, float(p[0]) + own.half_width)
            return [replace(found, interval=ends)]
        calls = called(p[None], manifest.task, self.classes, manifest.positive, manifest.operating_point)
        if manifest.task == "multilabel":
            return [
                finding(label, ("absent", "present")[calls[0, k]], (1 - p[k], p[k]), (1 - combined[k], combined[k]))
                for k, label in enumerate(self.classes)
            ]
        return [finding(manifest.target, self.classes[calls[0]], p.tolist(), combined.tolist())]


def look_bounded(
    engine: Engine, batch: npt.NDArray[np.uint8], names: Sequence[str], *, features: bool
) -> dict[str, npt.NDArray[np.float32]]:
    """Return what an engine gives for a batch, ``logits`` and the outputs `names`, in bounded memory.

    A graph of `features` looks at dozens of pictures of a volume, so at one volume at a time.
    """
    if not features or batch.ndim == 4 or len(batch) < 2:
        return engine.look(batch, names)
    each = [engine.look(batch[row : row + 1], names) for row in range(len(batch))]
    return {name: np.concatenate([one[name] for one in each]) for name in each[0]}


def _report(running: Future[list[Finding]], progress: Progress) -> Iterator[Finding]:
    cases = 0
    last = None
    for finding in running.result():
        if finding.case_id != last:
            cases, last = cases + 1, finding.case_id
        yield finding
    progress.advance(cases)


def _split(text: str) -> tuple[str, str]:
    code, _, rest = text.partition(": ")
    return code, rest
