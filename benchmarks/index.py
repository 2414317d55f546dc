"""What indexing costs: `semeion index`, the whole command, against a plain pydicom loop over the same files."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from statistics import median

import pyarrow.parquet as pq

from benchmarks.processes import Measured, run
from benchmarks.record import data, record

FILES = 20_000
LARGEST = 200_000
"""Bytes of a real slice that is copied: more would fill the disk and change nothing, pixels are not read."""
ROUNDS = 3

LOOP = """
import os, sys, warnings
import pydicom
warnings.simplefilter("ignore")
TAGS = [int(tag) for tag in sys.argv[2].split(",")]
series = set()
for folder, _, names in os.walk(sys.argv[1]):
    for name in names:
        try:
            dataset = pydicom.dcmread(os.path.join(folder, name), stop_before_pixels=True{more})
        except pydicom.errors.InvalidDicomError:
            continue
        values = [dataset[tag].value for tag in TAGS if tag in dataset]
        series.add(dataset.SeriesInstanceUID)
print(len(series))
"""
"""Single process; `more` is empty in the plain loop."""


def tree(home: Path, files: int) -> int:
    """Copy real slices until there are `files`, each copy of a series with identifiers of its own."""
    import pydicom

    warnings.filterwarnings("ignore", category=UserWarning, module="pydicom")  # some real UIDs have a leading zero
    sources = []
    for path in sorted((data() / "dicom").rglob("*")):
        if path.is_file() and path.stat().st_size <= LARGEST and path.read_bytes()[128:132] == b"DICM":
            header = pydicom.dcmread(path, stop_before_pixels=True)
            uids = [str(header[tag].value) for tag in (0x00080018, 0x0020000D, 0x0020000E)]
            sources.append((path.read_bytes(), uids))
    for number in range(files):
        raw, uids = sources[number % len(sources)]
        copy = number // len(sources)
        for uid in uids:
            raw = raw.replace(uid.encode(), _renamed(uid, copy).encode())
        folder = home / f"patient{copy:03d}" / f"{number % len(sources) // 100}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"IM{number:06d}").write_bytes(raw)
    return sum(file.stat().st_size for file in home.rglob("*") if file.is_file())


def _renamed(uid: str, copy: int) -> str:
    """Return a UID of the same length with another end."""
    digits = str(int.from_bytes(hashlib.sha256(f"{uid} {copy}".encode()).digest()[:8], "big") % 10**8).zfill(8)
    return uid[: -min(8, len(uid))].rstrip() + digits


def index() -> None:
    """Measure at 20,000 files, or at the number named by BENCH_FILES to try it out without recording."""
    from semeion.cohort.series.values import WANTED

    files = int(os.environ.get("BENCH_FILES", FILES))
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "tree"
        size = tree(home, files)
        table = Path(folder) / "series.parquet"
        tags = ",".join(str(tag) for tag in sorted(WANTED))
        commands = {
            "semeion": [sys.executable, "-m", "semeion", "index", str(home), "-o", str(table), "--quiet"],
            "plain": [sys.executable, "-c", LOOP.format(more=""), str(home), tags],
            "specific_tags": [sys.executable, "-c", LOOP.format(more=", specific_tags=TAGS"), str(home), tags],
        }
        results: dict[str, list[Measured]] = {name: [] for name in commands}
        for name, command in commands.items():
            _checked(name, run(command))  # once for nothing: every contender finds the files in memory
        for _ in range(ROUNDS):
            for name, command in commands.items():
                results[name].append(_checked(name, run(command)))
        series = len(set(pq.read_table(table, columns=["series_uid"]).column(0).to_pylist()))
        shutil.rmtree(home)
    seen = {int(results[name][0].output.split()[-1]) for name in ("plain", "specific_tags")}
    if seen != {series}:
        sys.exit(f"the loops saw {seen} series and the index {series}")
    ours = [result.seconds for result in results["semeion"]]
    figures = {
        "files": files,
        "mib": round(size / 2**20),
        "series": series,
        "seconds": {name: round(median(r.seconds for r in found), 2) for name, found in results.items()},
        "peak_mib": round(max(result.peak_mib for result in results["semeion"])),
        "rounds": ROUNDS,
    }
    for name in ("plain", "specific_tags"):
        ratios = [slow.seconds / fast for slow, fast in zip(results[name], ours, strict=True)]
        figures[f"ratio_to_{name}"] = {
            "median": round(median(ratios), 2),
            "min": round(min(ratios), 2),
            "max": round(max(ratios), 2),
        }
    if files == FILES:
        record("index", "python -m benchmarks index", figures)
    else:
        print(figures)


def _checked(name: str, result: Measured) -> Measured:
    if result.status:
        sys.exit(f"{name}: {result.output}")
    return result


ROWS: dict[str, Callable[[], None]] = {"index": index}
