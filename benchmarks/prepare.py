"""Peak memory of scanning and preparing the ACDC volumes with their masks: it must not grow with their number."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable

from benchmarks.processes import Measured, run
from benchmarks.record import record

COUNTS = (35, 70, 140)
LIMIT_MIB = 1.5 * 1024

_WORK = """
import sys
from pathlib import Path
from semeion.prepare.volume_spec import VolumePreparation
from semeion.prepare.volume_store import build_volume_store
from semeion.progress import Silent

data, n, folder = Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
# The largest first, so that more volumes are no larger ones.
images = sorted((data / "acdc" / "images").glob("*.nii.gz"), key=lambda path: (-path.stat().st_size, path.name))[:n]
assert len(images) == n, f"{len(images)} of {n} volumes are there"
masks = [data / "acdc" / "masks" / image.name for image in images]
spec = VolumePreparation(spacing=(1.5, 1.5, None), crop="body", margin_mm=10)
store = build_volume_store(
    [image.name.split(".")[0] for image in images],
    [(str(image),) for image in images],
    [str(mask) for mask in masks],
    spec,
    folder,
    progress=Silent(),
)
print(sum(int(store.image(row).nbytes) for row in range(store.n)))
"""


def prepared(n: int) -> Measured:
    """Prepare the `n` largest volumes in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        done = run([sys.executable, "-c", _WORK, os.environ.get("SEMEION_DATA", "../shared/data"), str(n), folder])
    if done.status:
        sys.exit(done.output)
    return done


def row() -> None:
    """Measure a quarter, half and all of the volumes."""
    figures = {}
    for n in COUNTS:
        done = prepared(n)
        figures[str(n)] = {
            "peak_mib": round(done.peak_mib, 1),
            "max_rss_mib": round(done.max_rss_mib, 1),
            "seconds": round(done.seconds, 1),
            "stored_mib": round(int(done.output.split()[-1]) / 2**20, 1),
        }
    record(
        "prepare-acdc",
        "build_volume_store on ACDC volumes and masks: 1.5 mm in the plane, cropped to the body",
        {"volumes": figures, "limit_mib": LIMIT_MIB},
    )


ROWS: dict[str, Callable[[], None]] = {"prepare-acdc": row}


if __name__ == "__main__":
    row()
