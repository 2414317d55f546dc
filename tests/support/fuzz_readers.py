"""The readers of what strangers send: for each, good files to start from, and what reads one."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

MODEL = Path(__file__).parents[1] / "model" / "fixtures" / "schema1"


@dataclass(frozen=True)
class Reader:
    """A reader: how its good files are made, what reads one, and the suffix that such a file has."""

    seeds: Callable[[Path], list[bytes]]
    read: Callable[[Path], Any]
    suffix: str


def _packed(folder: Path) -> list[bytes]:
    from semeion.model.archive import in_order, write_archive

    files = {file.relative_to(MODEL).as_posix(): file.read_bytes() for file in MODEL.rglob("*") if file.is_file()}
    path = folder / "good.semeion"
    write_archive(path, ((name, files[name]) for name in in_order(files)))
    return [path.read_bytes()]


def _read_graph(path: Path) -> None:
    from semeion.model.engine import open_engine

    open_engine(path, 1)


def _read_packed(path: Path) -> None:
    from semeion.model.runtime import load_model

    load_model(path, threads=1).try_out()


def _read_manifest(path: Path) -> None:
    from semeion.model.manifest_file import parse_manifest

    parse_manifest(path.read_bytes(), where="model.json")


def _read_parts(path: Path) -> None:
    """Read a file as each of the small files of a model; one refusal is as good as another."""
    from semeion.errors import ModelRefused
    from semeion.model.covariates import open_head as open_covariates
    from semeion.model.golden import read_golden
    from semeion.model.heads import open_head
    from semeion.model.manifest_file import parse_manifest
    from semeion.model.neighbours import open_neighbours
    from semeion.model.reference import open_reference
    from semeion.model.values import open_values

    manifest = parse_manifest((MODEL / "model.json").read_bytes(), where="model.json")
    data = path.read_bytes()
    refused = []
    for read in (
        lambda: open_head(data, manifest, where="head"),
        lambda: open_covariates(data, where="member"),
        lambda: read_golden(data, where="golden"),
        lambda: open_reference(data, manifest, where="reference"),
        lambda: open_values(data, manifest, where="values"),
        lambda: open_neighbours(data, manifest, None, where="neighbours"),
    ):
        try:
            read()
        except ModelRefused as error:
            refused.append(error)
    if refused:
        raise refused[0]


def _parts(_: Path) -> list[bytes]:
    head = (
        b'{"schema": 1, "features": 2, "mean": [0.0, 0.5], "scale": [1.0, 2.0], "coefficients": '
        b'[[1.0, -1.0], [0.5, 2.0], [0.0, 1.0]], "intercepts": [0.1, 0.2, 0.3], "link": "softmax"}'
    )
    golden = b'{"schema": 1, "seed": 0, "answers": {"members/m0.onnx": [0.1, 0.2, 0.7]}}'
    member = (
        b'{"schema": 1, "task": "multiclass", "outputs": 3, "encoding": {"schema": 1, "columns": [{"kind": "number", '
        b'"name": "age", "fill": 50.0, "low": 20.0, "high": 80.0, "margin": 5.0}]}, "after": [], "trees": [{'
        b'"schema": 1, "features": ["age", "age: (missing)"], "fill": [0.0, 0.0], "outputs": 3, "link": "mean", '
        b'"base": [], "roots": [0], "feature": [0, -1, -1], "threshold": [50.0, 0.0, 0.0], "left": [1, 0, 0], '
        b'"right": [2, 0, 0], "value": [[0.3, 0.3, 0.4], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]], '
        b'"share": [0.5, 0.0, 0.0]}], "linear": null}'
    )
    reference = (
        b'{"schema": 1, "space": {"graph": "members/m0.onnx", "width": 4, "columns": [0, 2], '
        b'"mean": [0.0, 1.5], "scale": [1.0, 2.0], '
        b'"projection": [[1.0, 0.0]], "means": [[0.0], [2.5]], "covariance": [[4.0]], "location": [0.0, 0.1], '
        b'"spread": [1.0, 1.0], "limit": 2.5, "far": 5.0, "quantiles": {"0.5": 0.0}, "rate": 0.025, "cases": 100, '
        b'"patients": 90}, "disagreement": null, "reason": null, "patients": 90}'
    )
    values = (
        b'{"schema": 1, "groups": ["a", "b", "c"], "columns": [{"name": "age", "title": "age", "unit": "a", "numbers": '
        b'{"a": {"n": 20, "quantiles": {"10": 30.5, "50": 50.0, "90": 70.5}}}, "shares": {"b": {"n": 12, "shares": '
        b'{"F": 0.5}}}}]}'
    )
    neighbours = (
        b'{"schema": 1, "graph": "members/m0.onnx", "dims": 1, "cases": ["1", "2"], "standards": ["a", "b"], '
        b'"places": "AAAAAAAAgD8=", "usual": 0.5, "far": 2.5}'
    )
    return [head, golden, reference, member, values, neighbours]


def _pictures(folder: Path) -> list[bytes]:
    import cv2
    import numpy as np

    grey = np.random.default_rng(0).integers(0, 256, (24, 20), dtype=np.uint8)
    colour = np.random.default_rng(1).integers(0, 256, (16, 18, 3), dtype=np.uint8)
    suffixes = (".png", ".jpg", ".tif", ".bmp")
    made = [cv2.imencode(suffix, pixels)[1].tobytes() for suffix in suffixes for pixels in (grey, colour)]
    made.append(cv2.imencode(".png", grey.astype(np.uint16) * 200)[1].tobytes())
    np.save(folder / "a.npy", grey)
    return [*made, (folder / "a.npy").read_bytes()]


def _dicom(folder: Path) -> list[bytes]:
    from support.series import ct_slices, save

    save(ct_slices(1), folder / "ct")
    return [file.read_bytes() for file in sorted((folder / "ct").iterdir())]


ENCODED = ("MR_small_RLE", "MR_small_jp2klossless", "MR_small_jpeg_ls_lossless", "JPEG2000", "JPEGLSNearLossless_08")
ENCODED += ("JPEGLSNearLossless_16", "SC_rgb_small_odd_jpeg", "SC_rgb_dcmtk_+eb+cr", "SC_rgb_jpeg_gdcm", "SC_rgb_rle")
ENCODED += ("JPEG-lossy", "JPGExtended", "693_J2KI", "SC_rgb_jls_lossy_line", "SC_rgb_rle_16bit", "image_dfl")
VOLUMES = ("MR_small", "MR_small_RLE", "MR_small_jp2klossless", "MR_small_bigendian")


def _shipped(names: tuple[str, ...]) -> Callable[[Path], list[bytes]]:
    """Return small files that ship with pydicom: every way to encode pixels that is read."""

    def files(_: Path) -> list[bytes]:
        from pydicom.data import get_testdata_file

        return [Path(str(get_testdata_file(f"{name}.dcm", download=False))).read_bytes() for name in names]

    return files


@lru_cache(maxsize=1)
def _slices() -> tuple[bytes, ...]:
    """Return three slices of a series; the last one is spoiled."""
    import pydicom
    from pydicom.data import get_testdata_file

    made = []
    for number in range(3):
        dataset = pydicom.dcmread(get_testdata_file("MR_small.dcm", download=False))
        x, y, z = dataset.ImagePositionPatient
        dataset.ImagePositionPatient, dataset.InstanceNumber = [x, y, z + 2.0 * number], number + 1
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{number + 1}"
        file = io.BytesIO()
        dataset.save_as(file, enforce_file_format=True)
        made.append(file.getvalue())
    return tuple(made)


def _read_series(path: Path) -> None:
    """Read a file as the last slice of a series."""
    from semeion.cohort.volumes.read import read_volume

    with tempfile.TemporaryDirectory() as folder:
        for number, data in enumerate((*_slices()[:2], path.read_bytes())):
            Path(folder, f"{number}.dcm").write_bytes(data)
        read_volume(folder)


def _read_image(path: Path) -> None:
    from semeion.cohort.reading import read_image

    read_image(str(path))


def _volumes(suffix: str) -> Callable[[Path], list[bytes]]:
    def make(folder: Path) -> list[bytes]:
        import numpy as np
        import SimpleITK as sitk

        made = []
        for kind in (np.uint8, np.int16, np.float32):
            image = sitk.GetImageFromArray(np.random.default_rng(0).integers(0, 99, (6, 7, 8)).astype(kind))
            image.SetSpacing((1.0, 1.5, 2.0))
            sitk.WriteImage(image, str(folder / f"v{suffix}"))
            made.append((folder / f"v{suffix}").read_bytes())
        return made

    return make


def _read_volume(path: Path) -> None:
    from semeion.cohort.volumes.read import read_volume

    read_volume(str(path))


def _tables(_: Path) -> list[bytes]:
    rows = [f"c{row},p{row // 2},{row}.png,{'yes' if row % 3 else 'no'},{row / 7:.3f}" for row in range(12)]
    text = "\n".join(["case_id,patient_id,image,finding,age", *rows]) + "\n"
    return [text.encode(), text.replace(",", ";").encode("utf-16"), text.replace(",", "\t").encode("latin-1")]


def _workbooks(folder: Path) -> list[bytes]:
    import openpyxl

    book = openpyxl.Workbook()
    for line in _tables(folder)[0].decode().splitlines():
        book.active.append(line.split(","))
    book.save(folder / "t.xlsx")
    return [(folder / "t.xlsx").read_bytes()]


def _parquets(folder: Path) -> list[bytes]:
    import io

    import pandas as pd

    made = pd.read_csv(io.BytesIO(_tables(folder)[0]))
    made.to_parquet(folder / "t.parquet")
    return [(folder / "t.parquet").read_bytes()]


def _read_table(path: Path) -> None:
    from semeion.cohort.cohort import CohortOptions
    from semeion.cohort.gather import gather

    gather(path, CohortOptions(target="finding"))


def _medmnist(folder: Path) -> list[bytes]:
    import numpy as np

    chance = np.random.default_rng(0)
    arrays = {}
    for part, count in (("train", 6), ("val", 3), ("test", 3)):
        arrays[f"{part}_images"] = chance.integers(0, 256, (count, 10, 10), dtype=np.uint8)
        arrays[f"{part}_labels"] = np.arange(count, dtype=np.uint8)[:, None] % 2
    made = []
    for save in (np.savez, np.savez_compressed):
        save(folder / "m.npz", **arrays)
        made.append((folder / "m.npz").read_bytes())
    return made


def _read_medmnist(path: Path) -> None:
    from semeion.cohort.gather import gather

    gather(path)


def _arrays(folder: Path) -> list[bytes]:
    import numpy as np

    made = []
    for kind in (np.uint8, np.float32):
        np.save(folder / "v.npy", np.arange(6 * 7 * 3, dtype=kind).reshape(6, 7, 3))
        made.append((folder / "v.npy").read_bytes())
    return made


def _plans(folder: Path) -> list[bytes]:
    from support.tiny import save_plan

    return [save_plan(folder).read_bytes()]


def _read_plan(path: Path) -> None:
    from semeion.plan.files import read_plan

    read_plan(path)


def _one(path: Path) -> Callable[[Path], list[bytes]]:
    return lambda _: [path.read_bytes()]


def _logs(folder: Path) -> list[bytes]:
    """Return logs of a model in service, of three and of forty cases."""
    from semeion.monitor.logfile import LOG, append

    made = []
    for number in (3, 40):
        rows = [
            {
                "time": 1_700_000_000 + row,
                "entry": f"{row:032x}",
                "model": "a" * 64,
                "status": "called",
                "mean": 1.5 * row,
            }
            for row in range(number)
        ]
        (folder / str(number)).mkdir()
        append(folder / str(number), "a" * 64, ["mean", "p_x", "feature_0"], rows)
        made.append((folder / str(number) / LOG).read_bytes())
    return made


def _read_log(path: Path) -> None:
    from semeion.monitor.logfile import read_log

    read_log(path)


def _baselines(_: Path) -> list[bytes]:
    import numpy as np

    from semeion.monitor.baseline import baseline_json, embedding_of
    from semeion.monitor.kernel import fit_kernel
    from support.watched import baseline

    kernel = fit_kernel(np.random.default_rng(0).normal(size=(60, 2)), 0)
    return [baseline_json(baseline(100)), baseline_json(baseline(60, embedding=embedding_of(kernel)))]


def _read_baseline(path: Path) -> None:
    """Read a baseline, and make what is computed with of what was taken."""
    from semeion.monitor.baseline import read_baseline

    found = read_baseline(path.read_bytes(), where="baseline.json")
    for one in found.statistics:
        one.bins.tally([0.0, float("nan"), 1e9])
    if found.embedding is not None:
        assert len(found.embedding.kernel.frequencies)


READERS = {
    "manifest": Reader(_one(MODEL / "model.json"), _read_manifest, ".json"),
    "parts": Reader(_parts, _read_parts, ".json"),
    "archive": Reader(_packed, _read_packed, ".semeion"),
    "graph": Reader(_one(MODEL / "members" / "m0.onnx"), _read_graph, ".onnx"),
    "table": Reader(_tables, _read_table, ".csv"),
    "workbook": Reader(_workbooks, _read_table, ".xlsx"),
    "parquet": Reader(_parquets, _read_table, ".parquet"),
    "medmnist": Reader(_medmnist, _read_medmnist, ".npz"),
    "array": Reader(_arrays, _read_image, ".npy"),
    "log": Reader(_logs, _read_log, ".parquet"),
    "baseline": Reader(_baselines, _read_baseline, ".json"),
    "plan": Reader(_plans, _read_plan, ".yaml"),
    "picture": Reader(_pictures, _read_image, ".png"),
    "dicom": Reader(_dicom, _read_image, ".dcm"),
    "encoded": Reader(_shipped(ENCODED), _read_image, ".dcm"),
    "volume": Reader(_shipped(VOLUMES), _read_volume, ".dcm"),
    "series": Reader(lambda _: [_slices()[-1]], _read_series, ".dcm"),
    "nifti": Reader(_volumes(".nii"), _read_volume, ".nii"),
    "nifti_gz": Reader(_volumes(".nii.gz"), _read_volume, ".nii.gz"),
    "nrrd": Reader(_volumes(".nrrd"), _read_volume, ".nrrd"),
    "metaimage": Reader(_volumes(".mha"), _read_volume, ".mha"),
}
