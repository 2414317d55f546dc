"""What is noted of an image: numbers that move when a scanner or its settings change, and words from closed lists.

A header may hold a name in any text, so no text of a header is noted as it stands: a manufacturer and a modality are
named where a list knows them, and a scanner's model is a code made with the log's own key.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from semeion.cohort.image import Image

if TYPE_CHECKING:
    from semeion.cohort.volume import Volume

LOOKS = ("mean", "sd", "p05", "p50", "p95", "sharpness")
SIZES = ("size_i", "size_j", "size_k", "spacing_i", "spacing_j", "spacing_k")
INPUTS = (*LOOKS, *SIZES)
"""Statistics of an image: of how the networks see it, and of its grid as it was read."""
OTHER = "other"
MODALITIES = frozenset(
    [
        *("AR", "AU", "BDUS", "BI", "BMD", "CFM", "CR", "CT", "DMS", "DX", "ECG", "EPS", "ES", "GM", "HC", "HD", "IO"),
        *("IVOCT", "IVUS", "KER", "LEN", "LS", "MG", "MR", "NM", "OAM", "OCT", "OP", "OPM", "OPT", "OPTBSV", "OPTENF"),
        *("OPV", "OSS", "OT", "PA", "POS", "PT", "PX", "RF", "RG", "RTIMAGE", "SC", "SM", "TG", "US", "VA", "XA", "XC"),
    ]
)
"""Of DICOM PS3.3 C.7.3.1.1.1, those of images and some that images are given."""
_MOST_VOXELS, _MOST_SLICES = 4 << 20, 64
"""Of a volume as it was read, those that statistics are of."""
_MAKERS = {
    "agfa": "Agfa",
    "bruker": "Bruker",
    "canon": "Canon",
    "carestream": "Carestream",
    "carl zeiss": "Zeiss",
    "zeiss": "Zeiss",
    "dentsply": "Dentsply Sirona",
    "esaote": "Esaote",
    "fuji": "Fujifilm",
    "ge healthcare": "GE",
    "ge medical": "GE",
    "general electric": "GE",
    "hamamatsu": "Hamamatsu",
    "heidelberg": "Heidelberg Engineering",
    "hitachi": "Hitachi",
    "hologic": "Hologic",
    "kodak": "Kodak",
    "konica": "Konica Minolta",
    "leica": "Leica",
    "mindray": "Mindray",
    "nidek": "Nidek",
    "olympus": "Olympus",
    "philips": "Philips",
    "picker": "Picker",
    "planmeca": "Planmeca",
    "samsung": "Samsung",
    "medison": "Samsung",
    "shimadzu": "Shimadzu",
    "siemens": "Siemens",
    "supersonic": "SuperSonic Imagine",
    "topcon": "Topcon",
    "toshiba": "Toshiba",
    "united imaging": "United Imaging",
    "varian": "Varian",
    "ziehm": "Ziehm",
}


def looks(array: npt.NDArray[np.uint8]) -> dict[str, float]:
    """Return :data:`LOOKS` of an image as the networks see it.

    Mean, standard deviation and percentiles are of its values, 0 to 255. Sharpness is the logarithm of one more than
    the variance of the Laplacian within slices (Pech-Pacheco et al. 2000, "Diatom autofocusing in brightfield
    microscopy").

    Parameters
    ----------
    array
        uint8 ``(C, H, W)`` or ``(C, D, H, W)``.
    """
    counts = np.bincount(array.ravel(), minlength=256)
    values, n = np.arange(256), array.size
    mean = float(counts @ values / n)
    sd = max(float(counts @ values.astype(np.float64) ** 2) / n - mean**2, 0.0) ** 0.5
    ends = [_percentile(counts, share) for share in (0.05, 0.5, 0.95)]
    planes = array.reshape(-1, *array.shape[-2:])
    # A plane at a time: a volume of floats would take many times its memory.
    blurred = [_laplacian(plane) for plane in planes if min(plane.shape) > 2]
    sharp = float(np.log1p(np.mean(blurred))) if blurred else float("nan")
    return dict(zip(LOOKS, [mean, sd, *ends, sharp], strict=True))


def looks_as_read(volume: Volume) -> dict[str, float]:
    """Return :data:`LOOKS` of a volume as it was read, in its own unit: of models that outline, whose networks see it
    scaled by its own values, so that a change of contrast would not show.

    Of the first channel or frame; of a large one every so many-th voxel and slice. NaN where nothing is finite.
    """
    plane = volume.voxels[0]
    flat = plane.reshape(-1)
    some = flat[:: -(-flat.size // _MOST_VOXELS)].astype(np.float64)
    some = some[np.isfinite(some)]
    if not some.size:
        return dict.fromkeys(LOOKS, float("nan"))
    slices = [one for one in plane[:: -(-len(plane) // _MOST_SLICES)] if min(one.shape) > 2 and np.isfinite(one).all()]
    sharp = float(np.log1p(np.mean([_laplacian(one) for one in slices]))) if slices else float("nan")
    ends = np.percentile(some, (5, 50, 95)).tolist()
    return dict(zip(LOOKS, [float(some.mean()), float(some.std()), *ends, sharp], strict=True))


def _percentile(counts: npt.NDArray[np.int64], share: float) -> float:
    """Return a percentile of grey values as if each were spread evenly over its step, so that it moves with all."""
    sums = counts.cumsum()
    value = int(np.searchsorted(sums, share * sums[-1]))
    before = int(sums[value] - counts[value])
    return value - 0.5 + (share * int(sums[-1]) - before) / max(int(counts[value]), 1)


def _laplacian(plane: npt.NDArray[Any]) -> float:
    """Return the variance of the Laplacian of four neighbours."""
    own = plane.astype(np.float32)
    around = own[:-2, 1:-1] + own[2:, 1:-1] + own[1:-1, :-2] + own[1:-1, 2:]
    return float((around - 4 * own[1:-1, 1:-1]).var())


def sizes(image: Image | Volume) -> dict[str, float]:
    """Return :data:`SIZES` of an image as it was read: columns, rows and slices, and their spacing in mm; NaN where
    there is none.
    """
    found = dict.fromkeys(SIZES, float("nan"))
    if isinstance(image, Image):
        rows, cols = image.pixels.shape[:2]
        found |= {"size_i": float(cols), "size_j": float(rows)}
        if image.spacing is not None:
            found |= {"spacing_i": image.spacing[1], "spacing_j": image.spacing[0]}
        return found
    for axis, size, spacing in zip("ijk", image.grid.size, image.grid.spacing, strict=True):
        found |= {f"size_{axis}": float(size), f"spacing_{axis}": float(spacing)}
    return found


def modality(text: str | None) -> str:
    """Return a modality that DICOM knows, `OTHER` for any other text, nothing for none."""
    if not text:
        return ""
    return text if text in MODALITIES else OTHER


def scanner(origin: Mapping[str, Any], key: bytes) -> str:
    """Return ``<manufacturer> <code of the model>`` of what a file says of its origin; nothing where it says nothing.

    Parameters
    ----------
    origin
        From :func:`semeion.cohort.origin.read_origin`.
    key
        Of the log: the same model has the same code in one log, and no code can be read without the key.
    """
    maker, model = (str(origin.get(name) or "") for name in ("manufacturer", "scanner_model"))
    if not maker and not model:
        return ""
    words = " ".join(re.sub(r"[^a-z]+", " ", maker.lower()).split())
    named = next((name for known, name in _MAKERS.items() if known in words), "GE" if words == "ge" else OTHER)
    code = hmac.new(key, f"scanner\0{maker}\0{model}".encode(), hashlib.sha256).hexdigest()[:8]
    return f"{named} {code}"
