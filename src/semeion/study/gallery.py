"""Pictures for the report: cases called right, wrong and unsure, as the network sees them."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd

from semeion.artefacts import write_bytes, write_json
from semeion.cohort.cohort import Cohort
from semeion.evidence.question import Question
from semeion.evidence.use.operating import OperatingPoints
from semeion.naming import encode_class
from semeion.prepare.store import Store
from semeion.study.folder import RunFolder

EACH, FEW, MOST = 6, 2, 120
"""Pictures of a kind; of a kind and label when there are several labels; of all."""
SHOWN = 168
"""Smallest side of a shown picture in pixels."""
ORDER = ("test", "oof", "val")


def write_gallery(
    run: RunFolder,
    predictions: pd.DataFrame,
    question: Question,
    points: OperatingPoints | None,
    cohort: Cohort,
    store: Store,
) -> None:
    """Write ``gallery/gallery.json`` and a PNG of each chosen case.

    The split shown is test, else out of fold, else validation. For a measured value the nearest and the farthest cases
    are shown as right and wrong.
    """
    split = next(name for name in ORDER if (predictions["split"] == name).any())
    rows = predictions[(predictions["member"] == "ensemble") & (predictions["split"] == split)]
    chosen = []
    for asked in [question.label(name) for name in question.classes] if question.task == "multilabel" else [question]:
        own = points.of(asked.target) if points is not None and question.task == "multilabel" else points
        known = rows[rows["target"] == asked.target].dropna(subset=["y_true"]).reset_index(drop=True)
        chosen += _choose(_judge(known, asked, own, split), asked, each=EACH if asked is question else FEW)
    row_of = {case: row for row, case in enumerate(cohort.table["case_id"])}
    several = cohort.images.kind == "picture" and cohort.images.role != "single"
    pictures = len(cohort.images.names) if several else 1
    entries = []
    for number, entry in enumerate(chosen[:MOST]):
        name = f"{number:03d}.png"
        pixels = store.take(np.array([row_of[entry["case_id"]]]))[0]
        write_bytes(run / "gallery" / name, to_png(pixels, pictures))
        entries.append({**entry, "file": name, "split": split})
    write_json(run / "gallery" / "gallery.json", {"cases": entries})


def to_png(pixels: npt.NDArray[np.uint8], images: int = 1) -> bytes:
    """Return a PNG of one prepared case, enlarged by whole pixels when small.

    Parameters
    ----------
    pixels
        ``(channels, height, width)``; of `images` pictures one after the other, shown side by side. Of volumes
        ``(planes, slices, height, width)``: of every plane three slices, a row a plane.
    images
        Pictures in `pixels`.
    """
    if pixels.ndim == 4:
        chosen = np.unique(np.round(np.linspace(0, pixels.shape[1] - 1, 5)[1:4]).astype(int))
        rows = [np.concatenate([plane[place] for place in chosen], axis=1) for plane in pixels]
        pixels = np.concatenate(rows, axis=0)[np.newaxis]
    elif images > 1:
        pixels = np.concatenate(np.split(pixels, images), axis=2)
    shown: npt.NDArray[Any] = np.ascontiguousarray(np.moveaxis(pixels, 0, 2)[..., ::-1])
    factor = max(1, -(-SHOWN // min(shown.shape[:2])))
    if factor > 1:
        shown = cv2.resize(shown, None, fx=factor, fy=factor, interpolation=cv2.INTER_NEAREST)
    done, data = cv2.imencode(".png", shown)
    if not done:
        raise RuntimeError("OpenCV could not encode a PNG")
    return data.tobytes()


def _judge(rows: pd.DataFrame, question: Question, points: OperatingPoints | None, split: str) -> pd.DataFrame:
    if question.task == "regression":
        error = (rows["y_pred"] - rows["y_true"]).abs()
        middle = float(error.median())
        return rows.assign(
            truth=rows["y_true"].round(3),
            call=rows["y_pred"].round(3),
            p=np.nan,
            right=error <= middle,
            sure=(error - middle).abs(),
        )
    names = list(question.classes)
    p = rows[[f"p_{encode_class(name)}" for name in names]].to_numpy()
    best = p.argmax(1)
    sure = np.sort(p, axis=1)[:, -1] - np.sort(p, axis=1)[:, -2]
    if question.task == "binary" and points is not None:
        limits = points.thresholds(split, rows["fold"].to_numpy())
        index = question.positive_index
        best = np.where(p[:, index] >= limits, index, 1 - index)
        sure = np.abs(p[:, index] - limits)
    call = np.array(names, dtype=object)[best]
    return rows.assign(
        truth=rows["y_true"], call=call, p=p[np.arange(len(p)), best], right=call == rows["y_true"], sure=sure
    )


def _choose(judged: pd.DataFrame, question: Question, each: int) -> list[dict[str, Any]]:
    by_sure = judged.sort_values(["sure", "case_id"], ascending=[False, True])
    unsure = by_sure.iloc[::-1].head(each if question.task != "regression" else 0)
    rest = by_sure[~by_sure["case_id"].isin(unsure["case_id"])]
    right = _alternate(rest[rest["right"]]).head(each)
    groups = {"wrong": rest[~rest["right"]].head(each), "right": right, "unsure": unsure}
    return [
        {
            "case_id": row["case_id"],
            "target": question.target,
            "truth": row["truth"],
            "call": row["call"],
            "p": None if pd.isna(row["p"]) else float(row["p"]),
            "kind": kind,
        }
        for kind, group in groups.items()
        for row in group[["case_id", "truth", "call", "p"]].to_dict("records")
    ]


def _alternate(right: pd.DataFrame) -> pd.DataFrame:
    """Take the surest of every class in turn, so that one easy class does not fill the row."""
    turn = right.groupby("truth", sort=False).cumcount()
    return right.assign(turn=turn).sort_values("turn", kind="stable")
