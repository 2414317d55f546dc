"""Members of a run that judge cases together, and the maps of where they find it: by the code that explains at use."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from semeion.cohort.cohort import Cohort
from semeion.explain.view import WANTED, Method, ModelView
from semeion.model.cases import Case
from semeion.model.classifier import Classifier
from semeion.model.combine import Floats, combine_members
from semeion.model.engine import Engine
from semeion.model.linear import Linear, LinearMember
from semeion.model.manifest import Manifest
from semeion.model.observing import Look, Seen

Bytes = npt.NDArray[np.uint8]
Maps = npt.NDArray[np.float32]
Targets = Sequence[str | None]


@dataclass(frozen=True)
class Seeing:
    """A member that sees images.

    Attributes
    ----------
    name
        Of the member.
    graph
        Names its graph; members on the same frozen features share one.
    head
        Of a member on frozen features.
    share
        In what is said; of all members together 1.
    """

    name: str
    graph: str
    head: Linear | None
    share: float


@dataclass(frozen=True)
class Asked:
    """What members are asked, and of which images.

    Attributes
    ----------
    cohort
        The target, and the images of a case.
    preparation
        As :class:`semeion.plan.schema.Plan` has it.
    channels
        Of a picture; None of volumes.
    """

    cohort: Cohort
    preparation: Any
    channels: int | None = None


class Sight:
    """Members that judge together, and where each finds what it says.

    Parameters
    ----------
    asked, members
        The question, and who answers it.
    engines
        The opened graph of each name in `members`.
    """

    def __init__(self, asked: Asked, members: Sequence[Seeing], engines: Mapping[str, Engine]) -> None:
        self.asked, self.members, self.engines = asked, tuple(members), dict(engines)
        self.manifest = manifest_of(asked, members)
        heads = [None if one.head is None else LinearMember(one.head) for one in members]
        self.classifier = Classifier(self.manifest, "", [engines[one.graph] for one in members], heads)
        known = {one.name: head for one, head in zip(members, heads, strict=True) if head is not None}
        self.view = ModelView(self.manifest, known, self._combined)
        self._alone: dict[str, ModelView] = {}

    @property
    def gives_maps(self) -> bool:
        """Whether any graph gives what activation maps are made of."""
        return any(self.tells(one) for one in self.members)

    def tells(self, member: Seeing) -> bool:
        """Tell whether the graph of a member gives what activation maps are made of."""
        extras = self.engines[member.graph].extras
        return any(name == "maps" or name.startswith("map_") for name in extras)

    def look(self, pictures: Bytes, *, wants: bool = True) -> Look:
        """Return what the members say of prepared pictures, and with `wants` all that maps are made of."""
        return self.classifier.look(pictures, None, WANTED if wants else ())

    def said(self, look: Look) -> Floats:
        """Return the members' weighted mean, ``(N, K)``, before calibration."""
        return combine_members(look.said, self.manifest.task, self.manifest.weights)

    def targets(self, said: Floats) -> list[str | None]:
        """Return the class (label) of each case that is explained, the most probable; None where there is one score."""
        if self.manifest.task in ("regression", "ordinal"):
            return [None] * len(said)
        return [self.manifest.classes[int(place)] for place in said.argmax(axis=1)]

    def scores(self, said: Floats, targets: Targets) -> Floats:
        """Return what the model says of the explained score, ``(N,)``: a probability, a grade's mean, or the value."""
        if self.manifest.task == "regression":
            return said[:, 0]
        if self.manifest.task == "ordinal":
            return np.asarray(said @ np.arange(said.shape[1]), dtype=np.float64)
        column = {name: place for place, name in enumerate(self.manifest.classes)}
        return np.array([row[column[str(name)]] for row, name in zip(said, targets, strict=True)], dtype=np.float64)

    def maps(self, pictures: Bytes, look: Look, targets: Targets, method: Method, *, member: str | None = None) -> Maps:
        """Return the map of each case on the model's input grid, float32 ``(N, groups, *sides)``.

        Parameters
        ----------
        pictures, look
            Prepared cases, and what :meth:`look` gave of them.
        targets
            What is explained of each.
        method
            How.
        member
            Of this member alone; None: of all together.
        """
        from semeion.explain.where import explain_where

        view = self.view if member is None else self._view_of(member)
        found = []
        for row, (picture, target) in enumerate(zip(pictures, targets, strict=True)):
            extras = {path: {name: one[row] for name, one in given.items()} for path, given in look.extras.items()}
            seen = Seen(Case("", "", None), (), picture, (), look.said[:, row], extras)
            where = explain_where(view, seen, target, method)
            found.append(where.map if view.groups > 1 else where.map[np.newaxis])
        return np.stack(found)

    def _view_of(self, name: str) -> ModelView:
        if name not in self._alone:
            own = next(one for one in self.members if one.name == name)
            self._alone[name] = replace(self.view, manifest=manifest_of(self.asked, [replace(own, share=1.0)]))
        return self._alone[name]

    def _combined(self, pictures: Bytes, covariates: Mapping[str, Any]) -> Floats:
        return self.classifier.combined(pictures, covariates)


@dataclass
class Opened:
    """Graphs that were opened, by their name and what was done to their weights."""

    opening: Callable[[str, int, int], Engine]
    """Opens a graph by its name with so many layers drawn anew from a seed."""
    kept: dict[tuple[str, int, int], Engine] = field(default_factory=dict)

    def engine(self, graph: str, last: int = 0, seed: int = 0) -> Engine:
        """Return a graph with its last layers drawn anew; opened once."""
        key = (graph, last, seed if last else 0)
        if key not in self.kept:
            self.kept[key] = self.opening(*key)
        return self.kept[key]

    def forget(self, graphs: Collection[str]) -> None:
        """Close those of `graphs` that were drawn anew."""
        self.kept = {key: engine for key, engine in self.kept.items() if not key[1] or key[0] not in graphs}


def manifest_of(asked: Asked, members: Sequence[Seeing]) -> Manifest:
    """Return a manifest of some members alone, with neither calibration nor what a folder holds besides."""
    cohort = asked.cohort
    target, images = cohort.target, cohort.images
    several = images.role != "single"
    listed: dict[str, Any] = {}
    entries = []
    for one in members:
        path = f"members/{one.graph}.onnx"
        entry: dict[str, Any] = {"name": one.name, "file": path, "weight": one.share}
        listed[path] = _LISTED
        if one.head is not None:
            entry |= {"kind": "frozen", "output": "features", "head": f"members/{one.name}.json"}
            listed[entry["head"]] = _LISTED
        entries.append(entry)
    return Manifest.model_validate(
        {
            "schema": 1,
            "semeion": "of a run",
            "created": "of a run",
            "task": target.task,
            "target": target.name,
            "classes": list(target.classes),
            "positive": target.positive,
            "unit": target.unit,
            "inputs": {
                "images": max(1, len(images.names)) if several else 1,
                "names": list(images.names) if several else [],
                "role": images.role,
                **({} if asked.channels is None else {"photometry": "colour" if asked.channels == 3 else "grey"}),
            },
            "preparation": asked.preparation,
            "operating_point": _point(target.task, list(target.classes)),
            "members": entries,
            "combination": "weighted",
            "files": {"CARD.md": _LISTED, **listed},
        }
    )


_LISTED = {"size": 0, "sha256": "0" * 64}


def _point(task: str, classes: list[str]) -> dict[str, Any] | None:
    """Return an operating point that a manifest of the task may have; nothing is called here."""
    if task == "regression":
        return None
    if task == "multilabel":
        return {"rule": "youden", "by_target": dict.fromkeys(classes, 0.5)}
    return {"rule": "youden", "value": 0.5} if task == "binary" else {"rule": "argmax"}
