"""A member that judges what is known of a patient, alone or together with what other members say of the images.

It ships as one JSON file: how covariates become features, and trees or a linear model on these. numpy only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, ValidationError, model_validator

from semeion.errors import ModelRefused
from semeion.model.linear import Linear, LinearMember
from semeion.model.manifest import Manifest
from semeion.model.strict_json import read_strict
from semeion.model.trees import TreeMember, Trees
from semeion.prepare.covariates import Encoding, Part, Values

Floats = npt.NDArray[np.float64]
Task = Literal["binary", "multiclass", "multilabel", "ordinal", "regression"]

IMAGES = "images"
"""What the image is called where contributions are told by column."""
MAX_FILE = 64 << 20
"""Largest file of such a member, in bytes."""
_LEAST_P = 1e-4
"""Probabilities of other members are cut here before their logarithm is taken."""


class CovariateHead(Part):
    """What a member's file holds.

    Attributes
    ----------
    task, outputs
        The question, and the number of classes, labels or values K.
    encoding
        From columns of the table to features.
    after
        Names of the members whose mean opinion of the images is a feature too; empty for covariates alone.
    trees
        One model of classes or of a value, or one a label; or
    linear
        a linear model. One of both is given.
    """

    schema_version: Literal[1] = Field(default=1, alias="schema")
    task: Task
    outputs: Annotated[int, Field(ge=1, le=1000)]
    encoding: Encoding
    after: Annotated[list[Annotated[str, Field(min_length=1, max_length=200)]], Field(max_length=64)] = Field(
        default_factory=list
    )
    trees: Annotated[list[Trees], Field(max_length=1000)] = Field(default_factory=list)
    linear: Linear | None = None

    @property
    def features(self) -> list[str]:
        """Names of all features, in the order in which they are put together."""
        return feature_names(self.encoding, self.task, self.outputs, images=bool(self.after))

    @model_validator(mode="after")
    def _sound(self) -> CovariateHead:
        if bool(self.trees) == (self.linear is not None):
            raise ValueError("either trees or a linear model must be given")
        if self.linear is not None:
            if self.linear.features != self.features:
                raise ValueError("the features of the linear model are not those of the encoding")
            link = {"multilabel": ("sigmoid",), "regression": ("identity",), "ordinal": ("ordered", "softmax")}
            if self.linear.link not in link.get(self.task, ("softmax",)) or self.linear.outputs != self.outputs:
                raise ValueError(f"a linear model by {self.linear.link} does not answer a {self.task} question")
            return self
        several = self.task == "multilabel"
        if len(self.trees) != (self.outputs if several else 1):
            raise ValueError(f"{len(self.trees)} models of trees do not answer a {self.task} question")
        for one in self.trees:
            if one.features != self.features:
                raise ValueError("the features of the trees are not those of the encoding")
            if (one.link == "identity") != (self.task == "regression"):
                raise ValueError("trees of a value belong to a regression, and to nothing else")
            if one.outputs != (2 if several else self.outputs):
                raise ValueError(f"trees of {one.outputs} classes do not answer a question of {self.outputs}")
        return self


def feature_names(encoding: Encoding, task: str, outputs: int, *, images: bool) -> list[str]:
    """Return the names of a head's features: those of the covariates, then those of what others say of the images."""
    said = (1 if task in ("binary", "regression") else outputs) if images else 0
    return [*encoding.features, *(f"({IMAGES} {number + 1})" for number in range(said))]


def image_features(said: npt.ArrayLike, task: str) -> Floats:
    """Return what members say of the images, ``(N, K)`` probabilities or values, as features of a further learner.

    Log odds of the second of two classes and of each label, log probabilities of several classes, a value as it is.
    """
    values = np.asarray(said, dtype=np.float64)
    if task == "regression":
        return values
    p = np.clip(values, _LEAST_P, 1 - _LEAST_P)
    if task == "multilabel":
        return np.asarray(np.log(p / (1 - p)))
    logs = np.log(p / p.sum(axis=1, keepdims=True))
    return np.asarray(logs[:, 1:] - logs[:, :1] if task == "binary" else logs)


def open_head(data: bytes, *, where: str) -> CovariateHead:
    """Read a member's file as hostile input.

    Raises
    ------
    ModelRefused
        When it is too large, or is not what it should be.
    """
    again = "get the model from its source again"
    if len(data) > MAX_FILE:
        raise ModelRefused(f"the file is larger than {MAX_FILE >> 20} MiB", where=where, fix=again)
    try:
        read_strict(data, MAX_FILE)
        return CovariateHead.model_validate_json(data, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(str(part) for part in first["loc"][:4])
        raise ModelRefused(
            f"no member of covariates ({place}: {first['msg']})"[:400], where=where, fix=again
        ) from error
    except ValueError as error:
        raise ModelRefused("no member of covariates: its JSON cannot be read", where=where, fix=again) from error


def open_covariates(data: bytes, manifest: Manifest, name: str, *, where: str) -> CovariateMember:
    """Read the file of a manifest's member as hostile input.

    Raises
    ------
    ModelRefused
        When it is no such file, or does not fit the question, the covariates or the members of the manifest.
    """
    head = open_head(data, where=where)
    seeing = {member.name for member in manifest.members if member.kind != "covariates"}
    kinds = {column.name: column.kind for column in manifest.inputs.covariates}
    problem = ""
    if head.task != manifest.task or head.outputs != manifest.n_outputs:
        problem = f"answers a {head.task} question with {head.outputs} outputs, not {manifest.task}"
    elif any(kinds.get(column.name) != column.kind for column in head.encoding.columns):
        problem = "takes a covariate that is not among the inputs"
    elif not set(head.after) <= seeing:
        problem = "goes by a member that sees no image"
    if problem:
        raise ModelRefused(f"member {name} {problem}", where=where, fix="get the model from its source again")
    return CovariateMember(head)


def judge_covariates(
    members: Mapping[str, CovariateMember], said: Mapping[str, Floats], rows: Mapping[str, Values]
) -> dict[str, Floats]:
    """Return what members of covariates say of cases, ``(N, K)`` by their name.

    Parameters
    ----------
    members
        By name.
    said
        What each member that sees images says of the same cases, ``(N, K)`` by its name.
    rows
        The covariates by column.

    Raises
    ------
    InputError
        When a column is missing.
    """
    return {
        name: member.outputs(
            rows, np.mean([said[other] for other in member.head.after], axis=0) if member.head.after else None
        )
        for name, member in members.items()
    }


class CovariateMember:
    """A member of covariates ready to judge; see :class:`CovariateHead`."""

    def __init__(self, head: CovariateHead) -> None:
        self.head = head
        self._trees = [TreeMember(trees) for trees in head.trees]
        self._linear = None if head.linear is None else LinearMember(head.linear)

    def features(self, rows: Mapping[str, Values], said: npt.ArrayLike | None = None) -> Floats:
        """Return the features ``(N, F)`` of cases; see :meth:`outputs`."""
        x = self.head.encoding.encode(rows)
        if not self.head.after:
            return x
        if said is None:
            raise ValueError("the member needs what others say of the images")
        return np.concatenate([x, image_features(said, self.head.task)], axis=1)

    def outputs(self, rows: Mapping[str, Values], said: npt.ArrayLike | None = None) -> Floats:
        """Return probabilities (regression: values) of cases.

        Parameters
        ----------
        rows
            The values of each column by its name, one a case.
        said
            ``(N, K)``: the mean of what the members named in ``after`` say; needed when there are any.

        Returns
        -------
        numpy.ndarray
            float64 ``(N, K)``: of classes; for multi-label that each label is present; for regression the value.

        Raises
        ------
        InputError
            When a column is missing.
        """
        x = self.features(rows, said)
        if self._linear is not None:
            return self._linear.outputs(x)
        found = [trees.probabilities(x) for trees in self._trees]
        return np.stack([p[:, 1] for p in found], axis=1) if self.head.task == "multilabel" else found[0]

    def contributions(self, rows: Mapping[str, Values], said: npt.ArrayLike | None = None) -> dict[str, Floats]:
        """Say what each covariate added to each score, ``(N, S)`` by the column's name; the images are one column.

        Scores are log odds of the second of two classes and of each label (S = K), logits of several classes, values,
        or, of ordered grades by a linear model, the place on their scale. Of trees they are Shapley values
        (:mod:`semeion.model.tree_shap`), of a linear model every term is credited to its feature.
        """
        x = self.features(rows, said)
        if self._linear is not None:
            added = self._linear.contributions(x)[1]
        elif self.head.task == "multilabel":
            each = [trees.contributions(x)[1] for trees in self._trees]
            added = np.stack([one[:, :, 1] - one[:, :, 0] for one in each], axis=2)
        else:
            added = self._trees[0].contributions(x)[1]
        if self.head.task == "binary":
            added = added[:, :, 1:] - added[:, :, :1]
        encoding = self.head.encoding
        width = len(encoding.features)
        by_column = encoding.by_column(added[:, :width])
        found = {name: by_column[:, column] for column, name in enumerate(encoding.names)}
        return {**found, IMAGES: added[:, width:].sum(axis=1)} if self.head.after else found
