"""Maps of the cases that the report shows, by members that did not learn from them, beside their pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from semeion.artefacts import read_json, write_bytes, write_json
from semeion.cohort.cohort import Cohort
from semeion.explain.content import shown_unit
from semeion.explain.overlay import Bytes, Scale, above, beside, outlined, overlay, scale_of, shown_size, to_jpeg
from semeion.explain.planes import SLICES, slice_shares, strongest
from semeion.explain.view import Method
from semeion.model.engine import open_engine
from semeion.plan.splits import Sides
from semeion.prepare.store import Store
from semeion.study.explaining import as_seeing, asked_of_members, graph_files
from semeion.study.folder import RunFolder
from semeion.study.learning import Trained
from semeion.study.sight import Opened, Sight

Floats = npt.NDArray[np.float32]

KIND = "where"
"""Of an entry of ``gallery.json`` that is a map."""
EACH: Mapping[str, int] = {"activation": 6, "occlusion": 2}
"""Maps of the cases called wrong, right and unsure; occlusion reads each case hundreds of times."""
METHODS: tuple[Method, ...] = ("activation", "occlusion")
SHOWN = ("wrong", "unsure", "right")


def add_maps(
    run: RunFolder,
    cohort: Cohort,
    trained: Trained,
    store: Store,
    parts: Sequence[Sides],
    explanations: Mapping[str, Any],
) -> int:
    """Add maps to ``gallery/gallery.json``, each with its members, its method and what it explains.

    Parameters
    ----------
    run, cohort, trained, store, parts
        The finished members, the prepared cases, and who learned from whom. A case that no fold's members held out is
        read by all members, which ship.
    explanations
        From :func:`semeion.study.explaining.try_explanations`; a method that did not pass shows nothing.

    Returns
    -------
    int
        How many were added.
    """
    passed = [name for name in METHODS if (explanations.get(name) or {}).get("verdict") == "passed"]
    path = run / "gallery" / "gallery.json"
    if not passed or not path.is_file():
        return 0
    method = passed[0]
    entries: list[dict[str, Any]] = read_json(path)["cases"]
    row_of = {case: row for row, case in enumerate(cohort.table["case_id"])}
    files = graph_files(run, trained.plan)
    opened = Opened(lambda graph, *_: open_engine(files[graph], trained.plan.threads))
    added: list[dict[str, Any]] = []
    for kind in SHOWN:
        for entry in [one for one in entries if one.get("kind") == kind][: EACH[method]]:
            sight = _sight(run, cohort, trained, parts, row_of[entry["case_id"]], str(entry["split"]), opened)
            if sight is not None:
                added.append(_add(run, entry, sight, store, row_of[entry["case_id"]], method, len(added)))
    write_json(path, {"cases": [*entries, *added]})
    return len(added)


def _sight(
    run: RunFolder, cohort: Cohort, trained: Trained, parts: Sequence[Sides], row: int, split: str, opened: Opened
) -> Sight | None:
    """Return the members that read a case: those of the fold that held it out, else all."""
    members = list(trained.plan.members)
    if split == "oof":
        folds = {side.fold for side in parts if row in side.held_out}
        members = [member for member in members if member.fold in folds]
    seeing = as_seeing(run, trained, members)
    if not seeing:
        return None
    engines = {one.graph: opened.engine(one.graph) for one in seeing}
    return Sight(asked_of_members(cohort, trained.plan), seeing, engines)


def _add(
    run: RunFolder, entry: dict[str, Any], sight: Sight, store: Store, row: int, method: Method, number: int
) -> dict[str, Any]:
    """Write the map of one case, and return its entry."""
    pictures = store.take(np.array([row]))
    look = sight.look(pictures)
    target = _target(entry, sight)
    [found] = sight.maps(pictures, look, [target], method)
    scale = scale_of(found, *shown_unit(method, sight.view.unit, found.size))
    name = f"{number:03d}.where.jpg"
    write_bytes(run / "gallery" / name, to_jpeg(map_picture(pictures[0], found, scale.most)))
    explained = target if target is not None else str((sight.manifest.classes or [sight.manifest.target])[-1])
    return {
        **entry,
        "file": name,
        "kind": KIND,
        "outcome": entry["kind"],
        "explains": explained,
        "method": method,
        "members": [one.name for one in sight.members],
        "most": float(f"{scale.most * scale.times:.3g}"),
        "unit": scale.unit,
    }


def _target(entry: Mapping[str, Any], sight: Sight) -> str | None:
    """Return the class or label that is explained: the called one; None where there is one score."""
    if sight.manifest.task in ("regression", "ordinal"):
        return None
    return str(entry["target"] if sight.manifest.task == "multilabel" else entry["call"])


def map_picture(pixels: Bytes, values: Floats, most: float) -> Bytes:
    """Return a prepared case with its map, uint8 ``(rows, columns, 3)``.

    Parameters
    ----------
    pixels
        ``(planes, rows, columns)`` or ``(planes, slices, rows, columns)``, those of each group one after the other; of
        several planes the mean is shown.
    values
        The map of each group, ``(groups, ...)``. Groups stand side by side; of volumes the slices that add most, one
        below the other.
    most
        What full colour means.
    """
    shown = []
    for own, one in zip(np.split(pixels, len(values)), values, strict=True):
        grey = np.rint(own.mean(axis=0)).astype(np.uint8)
        if one.ndim == 2:
            shown.append(_tile(grey, one, most))
            continue
        tiles = [_tile(grey[at], one[at], most) for at in sorted(strongest(slice_shares(one), SLICES))]
        shown.append(above(*tiles, gap=2))
    return beside(*shown, gap=2)


def _tile(grey: Bytes, values: Floats, most: float) -> Bytes:
    scale = Scale(most, "")
    rows, columns = shown_size(*grey.shape)
    if (rows, columns) != grey.shape:
        grey = np.asarray(cv2.resize(grey, (columns, rows), interpolation=cv2.INTER_NEAREST), dtype=np.uint8)
        values = np.asarray(cv2.resize(values, (columns, rows), interpolation=cv2.INTER_LINEAR), dtype=np.float32)
    return outlined(overlay(grey, values, scale), values, scale)
