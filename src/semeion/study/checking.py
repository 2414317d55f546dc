"""``semeion check``: everything read, and said what is wrong, before anything is learned."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from semeion.audit.summary import cleaning_examples, summarise
from semeion.cohort.several import folder_names, targets_of
from semeion.errors import InputError
from semeion.plan.fingerprint import learning_rows
from semeion.prepare.scan import recommend_cleaning
from semeion.prepare.spec import Cleaning, Preparation
from semeion.progress import Progress
from semeion.report.audit_pictures import named_cases, seen_cases
from semeion.report.check_page import write_check
from semeion.study.covariates import problems_of
from semeion.study.inspect import inspect
from semeion.study.options import RunOptions
from semeion.study.teaching import refused_teaching

EXAMPLES = 6
SHOWN = 320
"""Longest side of a shown picture in pixels."""


def check_source(source: Path, options: RunOptions, output: Path | None, progress: Progress) -> dict[str, Any]:
    """Return ``check.json``; with `output`, also write it there with ``check.html``.

    Several targets are checked one after another, each into a folder of `output` with its name; the return value then
    holds what was found of each under ``targets``.

    Raises
    ------
    InputError
        When the source cannot be understood, or `output` holds something that is no check.
    """
    if output is not None and output.exists() and not output.is_dir():
        raise InputError("is a file", where=str(output), fix="choose a folder with -o")
    if asked := targets_of(source, options.cohort):
        each = {}
        for name, place in folder_names(list(asked)).items():
            own = replace(options, cohort=asked[name])
            each[name] = check_source(source, own, None if output is None else output / place, progress)
        return {"several": list(asked), "targets": each}
    seen = inspect(source, options, progress)
    pictures_only = seen.cohort.images.kind == "picture"
    advice = {}
    if len(seen.facts) and pictures_only:
        advice = recommend_cleaning(seen.facts, learning_rows(seen.cohort).to_numpy())
    everyone = replace(
        seen.everyone, notes=(*seen.everyone.notes, *problems_of(seen.cohort), *refused_teaching(seen.cohort))
    )
    check = summarise(everyone, seen.everything, seen.audits, advice)
    if output is not None:
        wanted = {name: asked for name, (asked, _) in advice.items()}
        # Without advice every step is shown, so that a reader sees what a plan could still ask for.
        clean = Cleaning(**wanted) if any(wanted.values()) else Cleaning(borders=True, text=True, salt=True)
        spec = Preparation(clean=clean, size=(SHOWN, SHOWN))
        examples = cleaning_examples(seen.cohort, seen.facts, spec, EXAMPLES, options.seed) if pictures_only else []
        pictures: dict[str, bytes] = {}
        check["examples"] = []
        for number, (case_id, label, before, after, steps) in enumerate(examples):
            names = {"before": f"{number}-before.png", "after": f"{number}-after.png"}
            pictures |= {names["before"]: to_png(before), names["after"]: to_png(after)}
            check["examples"].append({"case_id": case_id, "label": label, **names, "steps": steps})
        target = {"task": check["task"], "classes": check["classes"]}
        named = named_cases(check["audits"])
        write_check(output, check, pictures, seen_cases(seen.everyone.table, seen.everything, target, named))
    return check


def to_png(pixels: npt.NDArray[np.uint8]) -> bytes:
    """Return a PNG of ``(rows, columns)`` grey or ``(rows, columns, 3)`` RGB, at most `SHOWN` pixels long."""
    shown: npt.NDArray[Any] = pixels[..., ::-1] if pixels.ndim == 3 and pixels.shape[2] == 3 else pixels
    factor = SHOWN / max(shown.shape[:2])
    if factor < 1:
        shown = cv2.resize(np.ascontiguousarray(shown), None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    done, data = cv2.imencode(".png", np.ascontiguousarray(shown))
    if not done:
        raise RuntimeError("OpenCV could not encode a PNG")
    return data.tobytes()
