"""What a network from elsewhere answers, found by running it on images: probabilities or logits, and of which class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from semeion.adopt.bounds import run_bounded
from semeion.adopt.given import Given
from semeion.adopt.look import Look
from semeion.errors import InputError, ModelRefused, nearest
from semeion.model.combine import from_logits
from semeion.model.limited import TOGETHER
from semeion.model.manifest import Task

Values = npt.NDArray[np.float64]
Bytes = npt.NDArray[np.uint8]

KINDS = ("logits", "probabilities")
ALONE = 4
"""Images that are also run one by one, and twice."""
SAME = 1e-4
"""Largest difference of two answers to one image, absolute or relative, that is rounding."""
ROUGH = 1e-3
"""How far outside 0 to 1 a probability may lie, and how far from 1 the sum of a case's: what lies within is rounding,
and is mended by clipping and dividing by the sum; what lies beyond is no probability, and the case has no finding."""
STILL = 1e-6
"""Least difference between the answers to different images."""
SMALLEST = 1e-7
"""Probabilities are clipped to this before their logarithm is taken; float32 has no finer step below 1."""
_SCALE = "check --scale, --mean, --std, --layout and --blue-first against how it was trained"


@dataclass(frozen=True)
class Answer:
    """What the numbers of a case mean.

    Attributes
    ----------
    kind
        ``logits``, ``probabilities``, or ``value`` of a measured one.
    outputs
        Numbers of a case; 1 of two classes is of the class that is named second.
    classes
        What each stands for, in the graph's order; two where one number stands for two classes.
    order
        For each class of the target, its place in `classes`.
    single
        Whether images are run one at a time, since the graph takes one alone.
    why
        Reasons of these decisions by their names.
    """

    kind: str
    outputs: int
    classes: tuple[str, ...]
    order: tuple[int, ...]
    single: bool
    why: dict[str, str]


def answers(session: Any, given: Given, look: Look, pixels: Bytes, *, single: bool) -> Values:
    """Run the graph as it was given.

    Returns
    -------
    numpy.ndarray
        float64 ``(N, outputs)``.

    Raises
    ------
    ModelRefused
        When it fails, does not end, or answers in a shape that is not a few numbers an image.
    """
    size = 1 if single else TOGETHER
    parts = []
    for start in range(0, len(pixels), size):
        numbers = look.numbers(pixels[start : start + size], given.takes)
        found = np.asarray(run_bounded(session, given.output, {given.input: numbers}, given.name), dtype=np.float64)
        n = len(numbers)
        dense = found.ndim > 2 and max(found.shape[2:]) > 1
        if found.size < n or dense or (n > 1 and found.shape[0] != n) or (found.ndim > 1 and found.shape[0] != n):
            raise ModelRefused(
                f"the graph answers {found.shape} to {n} images, which is not a few numbers each",
                where=given.name,
                fix="export a classifier; name its output with --output-name where there are several",
            )
        parts.append(found.reshape(n, -1))
    return np.concatenate(parts)


def try_graph(session: Any, given: Given, look: Look, pixels: Bytes, cases: Sequence[str]) -> tuple[Values, bool]:
    """Run the graph on real images and refuse answers that nothing can be made of.

    Parameters
    ----------
    session, given, look
        The graph, opened, and what it sees.
    pixels, cases
        Prepared images that may choose, and the ids of their cases.

    Returns
    -------
    tuple
        The answers ``(N, outputs)``, and whether images must be run one at a time.

    Raises
    ------
    ModelRefused
        When answers are not numbers, are the same for every image, change from run to run, or depend on the other
        images of a batch.
    """
    few = pixels[np.linspace(0, len(pixels) - 1, min(ALONE, len(pixels))).astype(np.int64)]
    alone = answers(session, given, look, few, single=True)
    if not _close(alone, answers(session, given, look, few, single=True)):
        raise ModelRefused(
            "the graph answers differently when it is run twice on one image",
            where=given.name,
            fix="export it for use and not for training: model.eval() in PyTorch, training=False in Keras",
        )
    single = given.batch is not None
    if not single:
        try:
            together = answers(session, given, look, few, single=False)
        except ModelRefused:
            single = True  # the axis is free by name alone: something inside holds a number of images
        else:
            if not _close(alone, together):
                raise ModelRefused(
                    "the answer to an image depends on which other images are run with it",
                    where=given.name,
                    fix="export it for use and not for training: model.eval() in PyTorch, training=False in Keras",
                )
    found = answers(session, given, look, pixels, single=single)
    bad = np.flatnonzero(~np.isfinite(found).all(axis=1))
    if len(bad):
        raise ModelRefused(
            f"the graph's answer is not a number for {len(bad)} of {len(found)} images (first: case {cases[bad[0]]})",
            where=given.name,
            fix=_SCALE,
        )
    if len(found) > 1 and np.ptp(found, axis=0).max() < STILL:
        raise ModelRefused(
            f"the graph gives the same answer to all of {len(found)} images", where=given.name, fix=_SCALE
        )
    return found, single


def _close(a: Values, b: Values) -> bool:
    return a.shape == b.shape and bool(np.allclose(a, b, rtol=SAME, atol=SAME, equal_nan=True))


def understand(
    given: Given,
    values: Values,
    task: Task,
    classes: Sequence[str],
    *,
    single: bool,
    named: Sequence[str] = (),
    stated: str | None = None,
) -> Answer:
    """Decide what the graph's numbers mean; what is not sure is asked.

    Parameters
    ----------
    given, values, single
        The graph, its answers ``(N, outputs)``, and whether it takes images one at a time.
    task, classes
        Of the target: its classes or labels in the order of the house.
    named
        What each output stands for, as the user says.
    stated
        ``logits`` or ``probabilities``, as the user says.

    Raises
    ------
    InputError
        When classes are not named, are others than the table's, or the kind of the answer is not sure or not as stated.
    ModelRefused
        When the outputs do not fit the classes.
    """
    if stated is not None and stated not in KINDS:
        raise InputError(f"unknown kind {stated!r}", where="--gives", fix=f"write {' or '.join(KINDS)}")
    outputs = values.shape[1]
    allowed = {"binary": (1, 2), "regression": (1,)}.get(task, (len(classes),))
    if outputs not in allowed:
        wanted = "1 or 2" if len(allowed) > 1 else str(allowed[0])
        of = f"{len(classes)} {'labels' if task == 'multilabel' else 'classes'}" if classes else "a measured value"
        raise ModelRefused(
            f"the graph gives {outputs} numbers an image, and {of} of the table need {wanted}",
            where=given.name,
            fix="give a table with the classes that the model knows, or name another output with --output-name",
        )
    if task == "regression":
        if named or stated:
            raise InputError(
                "a measured value has no classes", where="--classes", fix="leave --classes and --gives out"
            )
        return Answer("value", 1, (), (), single, {"kind": "the target is a measured value"})
    order = class_order(given, classes, named)
    why = {"classes": "given with --classes" if named else "read from the file's metadata"}
    kind = _kind(given, values, task, stated, why)
    return Answer(kind, outputs, order, tuple(order.index(name) for name in classes), single, why)


def class_order(given: Given, classes: Sequence[str], named: Sequence[str]) -> tuple[str, ...]:
    """Return what each output stands for, as the user or the file says; each class of the table once.

    Parameters
    ----------
    given
        The graph, whose file may name them.
    classes
        Of the table: its classes or labels.
    named
        What the user says; empty for nothing.

    Raises
    ------
    InputError
        When nobody says it, both differ, or other classes are named than the table has.
    """
    found = tuple(named) or given.classes
    listed = ", ".join(classes)
    if not found:
        raise InputError(
            "which class each output stands for is not in the graph",
            where="--classes",
            fix="name them in the order of the outputs, of one output first the class of 0 and then that of 1; the "
            f"table has {listed}",
        )
    where = "--classes" if named else given.name
    if named and given.classes and tuple(named) != given.classes:
        raise InputError(
            f"the file says that its outputs are {', '.join(given.classes)}, in this order",
            where="--classes",
            fix="leave --classes out, or correct it",
        )
    for name in found:
        if name not in classes:
            raise InputError(
                f"the table has no class {name!r}{nearest(name, classes)}",
                where=where,
                fix=f"write the names as the table has them ({listed}), or name its codes with --labels",
            )
    if len(set(found)) != len(found) or len(found) != len(classes):
        raise InputError(
            f"{', '.join(found)} are not the {len(classes)} classes of the table",
            where=where,
            fix=f"name each of {listed} once",
        )
    return found


def _kind(given: Given, values: Values, task: Task, stated: str | None, why: dict[str, str]) -> str:
    inside = bool((values >= -ROUGH).all() and (values <= 1 + ROUGH).all())
    off = np.abs(values.sum(axis=1) - 1)
    one = bool(off.max() <= ROUGH)
    count = f"{len(values)} images"
    shares = task != "multilabel" and values.shape[1] > 1
    found, reason = None, ""
    if not inside:
        found, reason = "logits", f"of {count} some answers lie outside 0 to 1"
    elif shares and one:
        found, reason = "probabilities", f"of {count} every answer lies from 0 to 1 and its sum is 1"
    elif not shares and given.last == "Sigmoid":
        found, reason = "probabilities", f"the graph ends in a sigmoid, and of {count} every answer lies from 0 to 1"
    if stated is None and found is None:
        if shares:
            raise InputError(
                f"the answers to {count} lie from 0 to 1 and do not sum to 1, so they are no probabilities of classes "
                "of which one is true",
                where="--gives",
                fix="say --gives logits where they are logits, or export the network with its softmax",
            )
        raise InputError(
            f"the answers to {count} lie from 0 to 1 and could be either: whether they are probabilities is not sure",
            where="--gives",
            fix="say --gives probabilities or --gives logits",
        )
    if stated == "probabilities" and inside and shares and not one:
        raise InputError(
            f"the answers to {int((off > ROUGH).sum())} of {count} do not sum to 1 (one sums to "
            f"{values[int(off.argmax())].sum():.4g}), so they are no probabilities of classes of which one is true",
            where="--gives",
            fix="say --gives logits where they are logits, or export the network with its softmax",
        )
    if stated is not None and found is not None and stated != found:
        raise InputError(f"the network gives {found}: {reason}", where="--gives", fix="leave it out, or correct it")
    why["kind"] = reason if found is not None else "given with --gives"
    return found or str(stated)


def probabilities(values: Values, answer: Answer, task: Task) -> Values:
    """Return what the graph's answers mean in the order of the target's classes, ``(N, classes)``.

    It follows the graph as given step by step, and is what the wrapped graph is compared with. A case whose answers
    are no probabilities, as :data:`ROUGH` says, is NaN throughout.
    """
    if task == "regression":
        return values
    if answer.kind == "probabilities":
        sound = np.asarray((np.abs(values - 0.5) < 0.5 + ROUGH).all(axis=1))
        if task != "multilabel" and answer.outputs > 1:
            sound = sound & (np.abs(values.sum(axis=1) - 1) < ROUGH)
        values = np.where(sound[:, None], values, np.nan)
    if task == "multilabel":
        p = values if answer.kind == "probabilities" else from_logits(values, "multilabel")
    elif answer.outputs == 1:
        yes = values[:, 0] if answer.kind == "probabilities" else from_logits(values, "multilabel")[:, 0]
        p = np.column_stack([1 - yes, yes])
    else:
        p = values if answer.kind == "probabilities" else from_logits(values, "multiclass")
    p = np.clip(p, 0, 1)[:, list(answer.order)]
    return np.asarray(p if task == "multilabel" else p / p.sum(axis=1, keepdims=True), dtype=np.float64)
