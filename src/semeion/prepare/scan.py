"""Every image read once: what it is, what it holds, and a fingerprint of its pixels."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import numpy.typing as npt

from semeion.cohort.body_parts import regions_of, side_of
from semeion.cohort.image import Image
from semeion.errors import InputError, SemeionError, too_large
from semeion.parallel import ordered_map
from semeion.prepare.borders import border_fraction
from semeion.prepare.levels import Pixels, counted_quantiles, finite_pixels, histogram, quantiles
from semeion.prepare.salt import find_salt, remove_salt
from semeion.prepare.text import find_text, remove_text
from semeion.prepare.thumb import grey_bytes, thumbnail
from semeion.progress import Progress, Silent

if TYPE_CHECKING:
    import pandas as pd

    from semeion.cohort.cohort import Cohort

WHOLE = ("rows", "cols", "channels", "bits", "file_bytes")
NUMBERS = (
    *("spacing_row", "spacing_col", "minimum", "maximum", "mean", "std", "p005", "p995"),
    *("border_fraction", "text_fraction", "salt_fraction"),
)
FLAGS = ("blank", "low_contrast")
TEXTS = (
    "photometry",
    "source_format",
    "modality",
    "body_part",
    "laterality",
    "unit",
    "pixel_hash",
    "thumb_hash",
    "notes",
)
COLUMNS = (
    *("case_id", "status", "problem", "rows", "cols", "channels", "photometry", "bits", "source_format", "modality"),
    *("body_part", "laterality"),
    *("unit", "spacing_row", "spacing_col", "minimum", "maximum", "mean", "std", "p005", "p995", "pixel_hash"),
    *("thumb_hash", "blank", "border_fraction", "text_fraction", "salt_fraction", "low_contrast", "notes"),
    *("file_bytes", "thumb"),
)
"""Columns of the table, in order."""

_FLAT = 0.01
"""An image is blank when 99 % of its pixels lie within this share of the range (for 8 bits that of the format)."""
_LOW_CONTRAST = 0.25
"""Contrast is low when 99 % of the pixels lie within this share of the range of the format."""


def scan(cohort: Cohort, *, jobs: int | None = None, progress: Progress | None = None) -> pd.DataFrame:
    """Read every image of a cohort.

    Parameters
    ----------
    cohort
        The cases.
    jobs
        Threads; all cores by default. Memory holds a few images a thread, whatever the size of the cohort.
    progress
        Told of every image.

    Returns
    -------
    pandas.DataFrame
        One row a case, in cohort order, with the columns `COLUMNS`. ``status`` is ``ok``, ``missing`` or
        ``unreadable``, then ``problem`` says why, numbers are missing and texts empty. Intensities are in the image's
        own (for DICOM physical) unit. ``pixel_hash`` is equal for equal pixels of one type whatever the container;
        ``thumb_hash`` is a 64-bit perceptual hash (hexadecimal), ``thumb`` a grey picture of 32 x 32 bytes
        (:func:`semeion.prepare.thumb.unpacked`). ``border_fraction`` is measured after the text and salt that were
        found are removed.
    """
    import pandas as pd

    progress = progress or Silent()
    table = cohort.table
    case_ids, references = table["case_id"].astype(str).tolist(), table["image"].astype(str).tolist()
    values: dict[str, list[Any]] = {name: [] for name in COLUMNS}
    progress.start("reading images", max(len(references), 1))
    try:
        for case_id, facts in zip(case_ids, ordered_map(_facts_of, references, jobs=jobs), strict=True):
            facts["case_id"] = case_id
            for name, column in values.items():
                column.append(facts.get(name))
            progress.advance()
    finally:
        progress.finish()
    columns: dict[str, Any] = {}
    for name in COLUMNS:
        if name in WHOLE:
            columns[name] = pd.array(values[name], dtype="Int64")
        elif name in NUMBERS:
            columns[name] = np.array([np.nan if value is None else value for value in values[name]], dtype=np.float64)
        elif name in FLAGS:
            columns[name] = np.array([bool(value) for value in values[name]], dtype=np.bool_)
        elif name == "thumb":
            columns[name] = np.array([value or b"" for value in values[name]], dtype=object)
        else:
            columns[name] = pd.array([value or "" for value in values[name]], dtype="str")
    return pd.DataFrame(columns)


def describe(image: Image) -> dict[str, Any]:
    """Return the facts of one image, a dictionary of the columns of :func:`scan` that do not concern the file."""
    pixels = finite_pixels(image.pixels)
    facts = _levels(pixels)
    rows, cols, channels = pixels.shape
    middle, full = facts["p995"] - facts["p005"], image.high - image.low
    flat = middle <= _FLAT * (facts["maximum"] - facts["minimum"]) or (image.bits <= 8 and middle <= _FLAT * full)
    salt, text = find_salt(pixels), find_text(pixels)
    clean = remove_salt(pixels, salt)
    if salt.any():  # grains look like dots of letters
        text = find_text(clean)
    return facts | {
        "rows": rows,
        "cols": cols,
        "channels": channels,
        "photometry": image.photometry,
        "bits": image.bits,
        "source_format": image.source_format,
        "modality": image.modality,
        "body_part": " ".join(sorted(regions_of(image.body_part))),
        "laterality": side_of(image.laterality),
        "unit": image.unit,
        "spacing_row": image.spacing[0] if image.spacing else None,
        "spacing_col": image.spacing[1] if image.spacing else None,
        "pixel_hash": pixel_hash(image.pixels),
        "thumb_hash": thumb_hash(pixels),
        "thumb": thumbnail(grey_bytes(image, (facts["p005"], facts["p995"]))),
        "blank": bool(flat),
        "border_fraction": border_fraction(remove_text(clean, text)),
        "text_fraction": float(text.mean()),
        "salt_fraction": float(salt.any(axis=2).mean()),
        "low_contrast": bool(middle < _LOW_CONTRAST * full),
        "notes": ";".join(image.notes),
    }


def pixel_hash(pixels: Pixels) -> str:
    """Return the SHA-256, hexadecimal, of shape, type and pixels (little-endian)."""
    data = np.ascontiguousarray(pixels, dtype=pixels.dtype.newbyteorder("<"))
    digest = hashlib.sha256(f"{data.shape} {data.dtype.str}".encode())
    digest.update(data.data)
    return digest.hexdigest()


def thumb_hash(pixels: Pixels) -> str:
    """Return a 64-bit perceptual hash, 16 hexadecimal digits: signs of the lowest 8 x 8 cosine coefficients of the
    image at 32 x 32 pixels, about their median (after Zauner, Implementation and Benchmarking of Perceptual Image
    Hash Functions, 2010). Differences of few bits mean likeness, never proof of a copy.
    """
    grey = np.ascontiguousarray(pixels.mean(axis=2) if pixels.shape[2] > 1 else pixels[..., 0])
    if grey.dtype == np.float64:
        grey = grey.astype(np.float32)
    shrinks = min(grey.shape) >= 32
    small = cv2.resize(grey, (32, 32), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    low = np.asarray(cv2.dct(small.astype(np.float32)))[:8, :8].ravel()
    bits = low > np.median(low[1:])
    return f"{int.from_bytes(np.packbits(bits).tobytes(), 'big'):016x}"


def cleaning_shares(facts: pd.DataFrame, training: npt.ArrayLike) -> dict[str, float]:
    """Return, for each cleaning step, the share of readable training images that show what it removes.

    ``borders``: more than 5 % of the area; ``text``: any; ``salt``: 0.1 % of the pixels or more; ``equalise``: low
    contrast in 8 bits (deeper images want a window or percentiles instead).
    """
    seen = facts[np.asarray(training, dtype=np.bool_) & (facts["status"] == "ok").to_numpy()]
    if seen.empty:
        return dict.fromkeys(("borders", "text", "salt", "equalise"), 0.0)
    dull = seen["low_contrast"].to_numpy() & ~seen["blank"].to_numpy() & (seen["bits"] <= 8).to_numpy(dtype=np.bool_)
    return {
        "borders": float((seen["border_fraction"] > 0.05).mean()),
        "text": float((seen["text_fraction"] > 0).mean()),
        "salt": float((seen["salt_fraction"] >= 0.001).mean()),
        "equalise": float(dull.mean()),
    }


_ASKED_FROM = {"borders": 0.2, "text": 0.05, "salt": 0.1, "equalise": 0.5}
_SHOWS = {
    "borders": "have a border of more than 5 % of the area",
    "text": "have burned-in text or markers",
    "salt": "have salt or pepper noise in 0.1 % of the pixels or more",
    "equalise": "use less than a quarter of the 8-bit grey scale",
}


def recommend_cleaning(facts: pd.DataFrame, training: npt.ArrayLike) -> dict[str, tuple[bool, str]]:
    """Say which cleaning steps the training images ask for.

    Parameters
    ----------
    facts
        As :func:`scan` returns.
    training
        Which rows may shape a plan, boolean, one a row: never test cases.

    Returns
    -------
    dict
        For each field of :class:`~semeion.prepare.spec.Cleaning`, whether it is asked for, and a sentence why.
    """
    chosen = np.asarray(training, dtype=np.bool_)
    if len(chosen) != len(facts):
        raise InputError(f"{len(chosen)} marks for {len(facts)} cases", where="training", fix="give one mark a case")
    advice = {}
    for step, share in cleaning_shares(facts, chosen).items():
        asked = share >= _ASKED_FROM[step]
        sign = "at least" if asked else "fewer than"
        limit = 100 * _ASKED_FROM[step]
        why = f"{100 * share:.1f} % of the training images {_SHOWS[step]} ({sign} {limit:.0f} %)"
        advice[step] = (asked, why)
    return advice


def _facts_of(reference: str) -> dict[str, Any]:
    """Return the facts of one image file, whatever happens to it."""
    from semeion.cohort.reading import read_image

    path = Path(reference.split(".npz#")[0] + ".npz") if ".npz#" in reference else Path(reference)
    try:
        image = read_image(reference)
        facts = describe(image)
        facts["file_bytes"] = image.pixels.nbytes if ".npz#" in reference else path.stat().st_size
    except MemoryError as error:  # the machine's fault, which must not leave the case out
        raise too_large(reference) from error
    except Exception as error:  # one bad file, whatever a decoder makes of it, must not end the reading of the others
        problem = error.what if isinstance(error, SemeionError) else f"{type(error).__name__}: {error}"
        return {"status": "unreadable" if path.exists() else "missing", "problem": problem}
    return facts | {"status": "ok", "problem": ""}


def _levels(pixels: Pixels) -> dict[str, Any]:
    """Return the statistics of all values, from a histogram where the type has few enough."""
    ends = (0.005, 0.995)
    if pixels.dtype.kind == "f":
        wide = pixels.astype(np.float64)
        low, high = quantiles(pixels, ends)
        mean, std, first, last = float(wide.mean()), float(wide.std()), float(wide.min()), float(wide.max())
    else:
        values, counts = histogram(pixels)
        low, high = counted_quantiles(values, counts, ends)
        held = np.flatnonzero(counts)
        first, last = float(values[held[0]]), float(values[held[-1]])
        mean = float(np.dot(counts, values)) / pixels.size
        std = float(np.sqrt(np.dot(counts, (values - mean) ** 2) / pixels.size))
    return {"minimum": first, "maximum": last, "mean": mean, "std": std, "p005": low, "p995": high}
