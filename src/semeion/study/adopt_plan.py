"""What is decided of a network from elsewhere before it reads a case; what would be a guess is asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from semeion.adopt.answer import Answer
from semeion.adopt.given import Given
from semeion.adopt.look import Look, parse_numbers
from semeion.audit.checks import duplicate_groups
from semeion.cohort.cohort import Cohort
from semeion.errors import InputError
from semeion.plan.adopt_schema import FOLDS, AdoptedPlan, ChoosingPlan
from semeion.plan.inputs import PreparationPlan
from semeion.plan.schema import TargetPlan
from semeion.study.inspect import labels
from semeion.study.teaching import refuse_unused

WINDOWS = ("stored", "percentiles")


@dataclass(frozen=True)
class AdoptOptions:
    """What a user says of a network, by the names of the command line; None where it is left to the graph.

    Attributes
    ----------
    scale, mean, std
        ``LOW..HIGH``: what black and white become; then ``a,b,c`` that is taken off, and that is divided by.
    layout, blue_first
        ``nchw`` or ``nhwc``; whether blue comes first.
    fit, window
        ``pad`` or ``stretch``; ``LOW,HIGH`` in the image's unit, ``stored`` or ``percentiles``.
    gives, classes
        ``logits`` or ``probabilities``; the class of each output.
    output_name
        The output that is read, of several.
    learned_from
        What the network learned from, in the user's words.
    """

    scale: str | None = None
    mean: str | None = None
    std: str | None = None
    layout: str | None = None
    blue_first: bool = False
    fit: str | None = None
    window: str | None = None
    gives: str | None = None
    classes: tuple[str, ...] = ()
    output_name: str | None = None
    learned_from: str | None = None


def refuse_cohort(cohort: Cohort) -> None:
    """Refuse what an adopted network cannot read or answer, and a split in which nobody may choose.

    Raises
    ------
    InputError
        Saying what is adopted.
    """
    if cohort.target.task == "segmentation" or cohort.structures:
        raise InputError(
            "networks that outline are not adopted yet", where=cohort.source, fix="give a column of classes or a number"
        )
    if cohort.images.kind != "picture" or cohort.images.role != "single":
        what = "volumes" if cohort.images.kind != "picture" else "several images"
        raise InputError(
            f"the cases are {what}, and a network that reads one picture a case is adopted",
            where=cohort.source,
            fix="give a table with one picture a case",
        )
    if cohort.covariates:
        raise InputError(
            f"covariates were named ({', '.join(cohort.covariates)}), and the network takes an image alone",
            where="--covariates",
            fix="leave the option out",
        )
    refuse_unused(cohort, "a network that was trained elsewhere")
    if cohort.has_split and not (cohort.table["split"] == "val").any():
        raise InputError(
            "the split has no val cases, which choose calibration and operating point; train cases may be those that "
            "the network learned from, and test cases choose nothing",
            where=cohort.source,
            fix="call some cases val, or give cases that it never saw and --no-split: folds are drawn then",
        )


def prepared_as(look: Look, facts: pd.DataFrame, fit: str | None, window: str | None) -> PreparationPlan:
    """Decide how pictures become bytes of the network's size; what would be a guess is asked.

    Parameters
    ----------
    look
        What the network sees.
    facts
        The scan of the pictures.
    fit, window
        As :class:`AdoptOptions` has them.

    Raises
    ------
    InputError
        When pictures have other proportions than the input and `fit` is not given, or are of more than 256 steps and
        `window` is not given.
    """
    rows, columns = look.size
    why = {"size": f"the network takes {rows} x {columns} pixels", "channels": f"it takes {look.channels}"}
    if fit is not None and fit not in ("pad", "stretch"):
        raise InputError(f"unknown fit {fit!r}", where="--fit", fix="write pad or stretch")
    same = facts["rows"].astype(float) * columns == facts["cols"].astype(float) * rows
    if fit is None and not bool(same.all()):
        raise InputError(
            f"{int((~same).sum())} of {len(facts)} pictures have other proportions than the network's input, "
            f"{rows} x {columns}",
            where="--fit",
            fix="say how it was trained: --fit stretch (tf.image.resize, Resize((h, w))) or --fit pad",
        )
    why["fit"] = "given with --fit" if fit is not None else "every picture has the proportions of the input"
    intensity: Any = "stored"
    limits: tuple[float, float] | None = None
    if window in WINDOWS:
        intensity = window
    elif window is not None:
        found = parse_numbers(window, "--window")
        if len(found) != 2 or not found[0] < found[1]:
            raise InputError(
                f"{window!r} is no window", where="--window", fix=f"write LOW,HIGH, or {' or '.join(WINDOWS)}"
            )
        intensity, limits = "window", (found[0], found[1])
    elif not bool((facts["bits"].astype(float) == 8).all()):
        raise InputError(
            "the pictures have more or fewer than 256 steps, and how the network's were brought to 256 is not known",
            where="--window",
            fix="say it: --window LOW,HIGH (in the images' unit), --window stored (the whole range of the format) or "
            "--window percentiles (each image's own 0.5 and 99.5)",
        )
    why["intensity"] = "given with --window" if window is not None else "every picture has 256 steps"
    return PreparationPlan(
        channels=1 if look.channels == 1 else 3,
        intensity=intensity,
        window=limits,
        size=(rows, columns),
        fit="pad" if fit == "pad" else "stretch",
        why=why,
    )


def choosing_plan(cohort: Cohort, facts: pd.DataFrame) -> ChoosingPlan:
    """Decide who chooses calibration and operating point: the val cases, or folds where no split is given."""
    if cohort.has_split:
        return ChoosingPlan(
            scheme="given",
            why={"scheme": "the table has val cases: they choose; test cases are read once, train cases not at all"},
        )
    groups = groups_of(cohort, facts)
    count = len(np.unique(groups))
    if cohort.target.task in ("binary", "multiclass", "ordinal"):
        y = labels(cohort)
        count = min(len(np.unique(groups[y == number])) for number in range(len(cohort.target.classes)))
    folds = max(2, min(FOLDS, count))
    why = {
        "scheme": "no split is given: calibration and operating point of each fold are chosen on the other folds",
        "folds": "the usual number" if folds == FOLDS else "as many as the rarest class has patients",
    }
    return ChoosingPlan(scheme="folds", folds=folds, why=why)


def groups_of(cohort: Cohort, facts: pd.DataFrame) -> npt.NDArray[np.int64]:
    """Return the number of the patient of every case; exact copies count as one patient."""
    return np.asarray(pd.factorize(duplicate_groups(cohort, facts))[0], dtype=np.int64)


def network_plan(given: Given, look: Look, answer: Answer, asked: AdoptOptions) -> AdoptedPlan:
    """Return what is known of the network, each with the reason."""
    single = "the graph takes one image alone" if given.batch is not None else "its first axis is free by name alone"
    why = {
        **look.why,
        "gives": answer.why["kind"],
        **({"classes": answer.why["classes"]} if answer.classes else {}),
        "output": "the only one" if asked.output_name is None else "given with --output-name",
        "learned_from": "not known" if asked.learned_from is None else "as the user states; not checked",
        **({"one_at_a_time": single} if answer.single else {}),
    }
    return AdoptedPlan(
        file=given.name,
        sha256=given.sha256,
        producer=given.producer,
        opset=given.opset,
        input=given.input,
        output=given.output,
        takes=given.takes,
        layout=look.layout,
        scale=(look.low, look.high),
        mean=list(look.mean),
        std=list(look.std),
        blue_first=look.blue_first,
        one_at_a_time=answer.single,
        gives=answer.kind,
        outputs=answer.outputs,
        classes=list(answer.classes),
        learned_from=asked.learned_from,
        why=why,
    )


def target_plan(cohort: Cohort) -> TargetPlan:
    """Return the question as a plan states it."""
    target = cohort.target
    return TargetPlan(
        name=target.name,
        task=target.task,
        classes=list(target.classes),
        positive=target.positive,
        why={"positive": target.why} if target.why else {},
    )
