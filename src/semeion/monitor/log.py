"""``predict --log``: one line a case for those who watch the model, and nothing by which anybody could be found.

The line holds no case id, path, UID or text of a header. So that labels which come later can be matched, it holds a
keyed hash of the case id (HMAC-SHA256, RFC 2104) where a table gave one; the key lies beside the log and stays on site.
A plain hash would be no protection: ids are few enough to try them all. Lines that one call writes of one patient share
a random number, so that a patient with many images does not look like a change; the next call knows nothing of it.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from semeion.cohort.origin import read_origin
from semeion.cohort.volume import Volume
from semeion.model.cases import Case
from semeion.model.codes import CODES
from semeion.model.findings import Finding
from semeion.model.manifest import Manifest
from semeion.model.observing import Seen
from semeion.monitor.facts import looks, looks_as_read, modality, scanner, sizes
from semeion.monitor.features import Projection, projection_of, shipped_projection
from semeion.monitor.key import own_key
from semeion.monitor.logfile import (
    append,
    check_log,
    held,
    number_columns,
    probability_columns,
    refuse_inside,
    volume_columns,
)

if TYPE_CHECKING:
    from semeion.model.runtime import Model
    from semeion.model.several_targets import SeveralModel

MOST_NAME = 64
"""Letters of a site's or scanner's name that the user gave."""


def entry_of(key: bytes, case_id: str) -> str:
    """Return what stands for a case id in a log: 32 hexadecimal digits that say nothing without the key."""
    return hmac.new(key, f"case\0{case_id}".encode(), hashlib.sha256).hexdigest()[:32]


@contextmanager
def logging(
    model: Model | SeveralModel, folder: Path, *, site: str | None = None
) -> Iterator[Mapping[str, Sequence[Logger]]]:
    """Hold the log of a model, and yield who looks on, by the target; what was seen is written when all went well.

    Parameters
    ----------
    model
        From :func:`semeion.load_model`. Of several targets each has a log of its own in a folder of its name.
    folder
        Of the log.
    site
        Where no column of the table names one.

    Raises
    ------
    InputError
        When the log is of another model, is full or has lost its key, another process holds it, or it would lie in the
        model's folder.
    MachineError
        When it cannot be written.
    """
    from semeion.model.runtime import Model

    refuse_inside(folder, model.path, "--log")
    whole = {model.manifest.target: model} if isinstance(model, Model) else model.models
    if isinstance(model, Model):
        folders = {model.manifest.target: folder}
    else:
        folders = {part.target: folder / Path(part.folder).name for part in model.manifest.targets}
    with ExitStack() as stack:
        loggers = {
            target: stack.enter_context(
                Logger(folders[target], one.manifest, one.hash, site=site, projection=shipped_projection(one))
            )
            for target, one in whole.items()
        }
        yield {target: (logger,) for target, logger in loggers.items()}
        for logger in loggers.values():
            logger.write()


class Logger:
    """Looks on while cases are read, and writes their lines when all is done.

    Use it as a context manager: the log is held against other processes meanwhile. Nothing is written before
    :meth:`write`, so that an interrupted reading leaves the log as it was.

    Parameters
    ----------
    folder
        Of the log: ``log.parquet`` and ``key``.
    manifest, digest
        The model.
    site
        Where no column of the table names one.
    projection
        What becomes of features; see :mod:`semeion.monitor.features`.
    """

    def __init__(
        self,
        folder: Path,
        manifest: Manifest,
        digest: str,
        *,
        site: str | None = None,
        projection: Projection | None = None,
    ) -> None:
        self.folder, self.manifest, self.hash, self.site = folder, manifest, digest, site
        self._projection = projection if projection is not None else projection_of(None)
        self._numbers = number_columns(manifest, self._projection.names)
        self._rows: list[dict[str, Any]] = []
        self._groups: dict[str, str] = {}
        self._open = ExitStack()
        self._key = b""

    @property
    def wants(self) -> frozenset[str]:
        """Outputs of the graphs that are projected."""
        return self._projection.wants

    @property
    def keeps_images(self) -> bool:
        """The grid of an image is noted."""
        return True

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(held(self.folder))
            check_log(self.folder, self.hash)
            self._key = own_key(self.folder)
            self._open = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def see(self, seen: Seen) -> str:
        """Note a case."""
        self._rows.append({"time": datetime.now(UTC).replace(microsecond=0), **self._line(seen)})
        return ""

    def write(self) -> int:
        """Append the lines to the log, and return how many they are.

        Raises
        ------
        MachineError
            When it cannot be written; the log is as it was.
        """
        if self._rows:
            append(self.folder, self.hash, self._numbers, self._rows)
        count = len(self._rows)
        self._rows = []
        return count

    def _line(self, seen: Seen) -> dict[str, Any]:
        case, image = seen.case, seen.images[0] if seen.images else None
        texts = {
            "entry": entry_of(self._key, case.case_id) if case.named else secrets.token_hex(16),
            "group": self._group(case.patient),
            "model": self.hash,
            "site": shown_name(case.site or self.site),
            "scanner": shown_name(case.scanner) or self._scanner(case),
            "modality": modality(image.modality if image is not None else None),
            "status": status_of(seen.findings),
            "call": _call(seen.findings, self.manifest),
            "reasons": ";".join(codes_of(seen.findings)),
        }
        numbers = looks(seen.array) if seen.array is not None else {}
        if self.manifest.outlines and isinstance(image, Volume):
            numbers |= looks_as_read(image)
        numbers |= sizes(image) if image is not None else {}
        numbers |= _answers(seen.findings, self.manifest)
        numbers |= self._projection.of(seen.extras)
        # What is no number is absent: Parquet and whoever reads it know both, and one of them is enough.
        return texts | {name: value for name, value in numbers.items() if np.isfinite(value)}

    def _group(self, patient: str) -> str:
        """Return a random number for a patient, the same for all cases of this call and of no other."""
        return self._groups.setdefault(patient, secrets.token_hex(16)) if patient else ""

    def _scanner(self, case: Case) -> str:
        return scanner(read_origin(case.source), self._key) if isinstance(case.source, str) else ""


def shown_name(text: str | None) -> str:
    """Return a name that the user gave, on one line and not too long."""
    plain = " ".join((text or "").split())
    return "".join(letter for letter in plain if letter.isprintable())[:MOST_NAME]


def status_of(findings: Sequence[Finding]) -> str:
    """Return the status of a case: of several labels the first that is not called."""
    return next((one.status for one in findings if one.status != "called"), findings[0].status)


def codes_of(findings: Sequence[Finding]) -> list[str]:
    """Return the codes of the reasons, each once, without their texts."""
    found = [text.partition(":")[0].strip() for one in findings for text in one.reasons]
    return [code for code in dict.fromkeys(found) if code in CODES]


def _call(findings: Sequence[Finding], manifest: Manifest) -> str:
    """Return the class called, classes joined by ``|`` of a set, or the labels called present."""
    if manifest.task in ("regression", "segmentation"):
        return ""
    if manifest.task == "multilabel":
        return "|".join(one.target for one in findings if one.call == "present")
    return "" if findings[0].call is None else str(findings[0].call)


def _answers(findings: Sequence[Finding], manifest: Manifest) -> dict[str, float]:
    """Return the probabilities, the measured value, or each label's volume; nothing where the findings have none."""
    if manifest.task == "regression":
        call = findings[0].call
        return {"value": float(call)} if isinstance(call, (int, float)) else {}
    if manifest.task == "segmentation":
        told = zip(volume_columns(manifest), findings, strict=True)
        return {name: float(one.call) for name, one in told if isinstance(one.call, (int, float))}
    names = probability_columns(manifest)
    if manifest.task == "multilabel":
        return {name: float(one.p[1]) for name, one in zip(names, findings, strict=True) if one.p}
    return dict(zip(names, map(float, findings[0].p), strict=True)) if findings[0].p else {}
