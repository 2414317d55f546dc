from __future__ import annotations

import json
import shutil
import struct
import subprocess
import sys
import textwrap
import zlib
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from semeion.calibration.maps import Temperature
from semeion.errors import InputError, ModelRefused
from semeion.model import classifier
from semeion.model.combine import calibrate, combine_members, from_logits
from semeion.model.findings import write_findings
from semeion.model.runtime import load_model

TASKS = ("binary", "multiclass", "ordinal", "multilabel", "regression")
AFTER = ["mask", "explanation", "reasons", "model"]
TEMPERATURE = {
    "binary": Temperature(1.5),
    "multiclass": Temperature(0.8),
    "ordinal": Temperature(0.8),
    "multilabel": [Temperature(2.0), Temperature(0.5)],
    "regression": None,
}


def pixels(paths: list[str]) -> np.ndarray:
    return np.stack([cv2.imread(path, cv2.IMREAD_GRAYSCALE)[None] for path in paths])


@pytest.mark.parametrize("task", TASKS)
def test_numbers_equal_a_numpy_reference(make_model, reference, task):
    model = load_model(make_model(task, members=3))
    images = np.random.default_rng(0).integers(0, 256, (20, 1, 8, 8), dtype=np.uint8)
    raw = model.raw(images)
    expected = from_logits(reference(task, images, 3), task)
    assert raw.shape == (3, 20, max(len(model.classes), 1))
    assert raw.dtype == np.float64
    np.testing.assert_allclose(raw, expected, atol=1e-5)
    combined = expected.mean(axis=0)
    np.testing.assert_allclose(model.combined(images), combined, atol=1e-5)
    np.testing.assert_allclose(model.probabilities(images), calibrate(combined, task, TEMPERATURE[task]), atol=1e-5)
    assert model.raw(images[:0]).shape == (3, 0, raw.shape[2])


@pytest.mark.parametrize("task", ["binary", "multiclass", "ordinal"])
def test_findings_of_classes(make_model, reference, pictures, task):
    folder, paths = make_model(task), pictures()
    model = load_model(folder)
    table = model.predict(paths)
    names = {"binary": ["p_normal%20or%20benign", "p_malignant"], "multiclass": ["p_a", "p_b", "p_c"]}
    p_columns = names.get(task, ["p_grade%201", "p_grade%202", "p_grade%203"])
    assert list(table.columns) == ["case_id", "image", "target", "status", "call", *p_columns, *AFTER]
    assert list(model.columns) == list(table.columns)
    assert table["case_id"].tolist() == ["1", "2", "3", "4", "5"]
    assert table["image"].tolist() == paths
    assert set(table["target"]) == {"finding"}
    assert set(table["status"]) == {"called"}
    assert set(table["model"]) == {(folder / "model.sha256").read_text().split()[0]} == {model.hash}
    assert table[["mask", "explanation", "reasons"]].isna().all(axis=None)
    logits = reference(task, pixels(paths))
    p = calibrate(combine_members(from_logits(logits, task), task), task, TEMPERATURE[task])
    np.testing.assert_allclose(table[p_columns].to_numpy(), p, atol=1e-6)
    calls = (p[:, 1] >= 0.4).astype(int) if task == "binary" else p.argmax(axis=1)
    assert table["call"].tolist() == [model.classes[k] for k in calls]
    assert table["call"].nunique() > 1


def test_findings_of_several_labels(make_model, reference, pictures):
    model, paths = load_model(make_model("multilabel")), pictures()
    table = model.predict(paths)
    assert list(table.columns) == ["case_id", "image", "target", "status", "call", "p_absent", "p_present", *AFTER]
    assert table["case_id"].tolist() == [str(k) for k in range(1, 6) for _ in range(2)]
    assert table["target"].tolist() == ["effusion", "nodule"] * 5
    combined = from_logits(reference("multilabel", pixels(paths)), "multilabel").mean(axis=0)
    p = calibrate(combined, "multilabel", TEMPERATURE["multilabel"]).ravel()
    np.testing.assert_allclose(table["p_present"], p, atol=1e-6)
    np.testing.assert_allclose(table["p_absent"], 1 - p, atol=1e-6)
    limits = np.tile([0.3, 0.6], 5)
    assert table["call"].tolist() == ["present" if yes else "absent" for yes in p >= limits]


def test_findings_of_a_measured_value(make_model, reference, pictures):
    model, paths = load_model(make_model("regression")), pictures()
    paths.append("nowhere.png")
    table = model.predict(paths)
    assert list(table.columns) == ["case_id", "image", "target", "status", "call", *AFTER]
    assert table["call"].dtype == "float64"
    np.testing.assert_allclose(
        table["call"][:5], reference("regression", pixels(paths[:5])).mean(axis=0)[:, 0], atol=1e-4
    )
    assert table["call"].isna().tolist() == [False] * 5 + [True]


def test_raw_is_kept_beside_the_calibrated(make_model, pictures):
    model = load_model(make_model())
    for finding in model.findings(pictures()):
        np.testing.assert_allclose(calibrate([finding.raw], "binary", Temperature(1.5))[0], finding.p)


def test_a_failed_picture_keeps_its_row(make_model, pictures, tmp_path):
    good = pictures(2)
    bad = {name: tmp_path / name for name in ("gone.png", "cut.png", "empty.png", "text.png", "bomb.png")}
    bad["cut.png"].write_bytes(Path(good[0]).read_bytes()[:60])
    bad["empty.png"].write_bytes(b"")
    bad["text.png"].write_bytes(b"this is no picture")
    bad["bomb.png"].write_bytes(png_of_declared_size(200_000, 200_000))
    paths = [good[0], *map(str, bad.values()), good[1]]
    table = load_model(make_model()).predict(paths)
    assert table["image"].tolist() == paths
    assert table["status"].tolist() == ["called", *["failed"] * 5, "called"]
    codes = table["reasons"].fillna("").str.split(":").str[0].tolist()
    assert codes == ["", "missing-file", "unreadable", "unreadable", "not-an-image", "too-large", ""]
    assert "looks like text" in table.loc[4, "reasons"]
    assert "200000 x 200000 pixels" in table.loc[5, "reasons"]
    failed = table[table["status"] == "failed"]
    assert failed[["call", "p_malignant", "p_normal%20or%20benign"]].isna().all(axis=None)
    assert failed["model"].notna().all()
    assert not table["reasons"].str.contains(str(tmp_path), regex=False).fillna(False).any()


def png_of_declared_size(rows: int, cols: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", cols, rows, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )


def test_a_case_of_several_labels_fails_as_a_whole(make_model):
    table = load_model(make_model("multilabel")).predict("nowhere.png")
    assert table[["case_id", "target", "status"]].values.tolist() == [
        ["1", "effusion", "failed"],
        ["1", "nodule", "failed"],
    ]


def test_an_answer_that_is_no_number_fails(make_model, pictures):
    class Broken:
        channels, size, n_outputs, extras = 1, (8, 8), 2, ()

        def look(self, batch, names):
            said = [[np.nan, 0.0] if image.mean() > 100 else [0.0, 0.0] for image in batch]
            return {"logits": np.array(said, np.float32)}

    model = load_model(make_model())
    model._engines = [Broken()] * len(model.manifest.members)
    table = model.predict(pictures())
    assert table["status"].tolist() == ["called", "called", "failed", "failed", "failed"]
    assert set(table["reasons"].dropna()) == {"not-finite"}
    assert table["call"].isna().sum() == 3


def test_colour_into_grey_is_warned_and_still_called(make_model, pictures):
    model = load_model(make_model(members=1))
    table = model.predict(pictures(3, "colour", colour=True))
    assert set(table["status"]) == {"called"}
    assert set(table["reasons"]) == {"colour-into-grey: a colour image, but the model was trained on grey ones"}
    colour = load_model(make_model(members=1, channels=3, name="rgb"))
    assert colour.predict(pictures(3, "colour", colour=True))["reasons"].isna().all()
    assert colour.predict(pictures(3))["reasons"].str.startswith("grey-into-colour: ").all()


def test_far_images_are_warned(make_model, pictures):
    inputs = {
        "photometry": "grey",
        "intensity": {"low": 0.0, "high": 0.2, "mean_low": 0.05, "mean_high": 0.1},
        "size_seen": {"rows": [100, 200], "cols": [100, 200]},
    }
    table = load_model(make_model(inputs=inputs)).predict(pictures(3))
    codes = [[reason.split(":")[0] for reason in text.split(";")] for text in table["reasons"]]
    assert codes == [["size-far"], ["intensity-far", "size-far"], ["intensity-far", "size-far"]]


def test_batches_and_threads_do_not_change_results(make_model, pictures, monkeypatch):
    model, paths = load_model(make_model()), pictures(23)
    paths.insert(5, "nowhere.png")
    whole = model.predict(paths)
    for size, jobs in ((1, 1), (4, 3), (7, 2)):
        monkeypatch.setattr(classifier, "_BATCH", size)
        other = model.predict(paths, jobs=jobs)
        pd.testing.assert_frame_equal(other, whole, rtol=0, atol=1e-6)


def test_every_kind_of_input_gives_the_same(make_model, pictures, tmp_path):
    model, paths = load_model(make_model()), pictures()
    expected = model.predict(paths)["p_malignant"].to_numpy()
    stack = pixels(paths)[:, 0]
    np.savez(tmp_path / "m.npz", test_images=stack)
    pd.DataFrame({"image": paths, "case_id": list("abcde"), "finding": ["?"] * 5}).to_csv(
        tmp_path / "t.csv", index=False
    )
    given = [tmp_path / "pictures", tmp_path / "t.csv", tmp_path / "m.npz", stack, np.repeat(stack[..., None], 3, 3)]
    for images in given:
        table = model.predict(images)
        np.testing.assert_allclose(table["p_malignant"], expected, atol=1e-6)
        assert table["reasons"].isna().all()
    assert model.predict(tmp_path / "t.csv")["case_id"].tolist() == list("abcde")


def test_what_is_not_usable_at_all_is_refused_at_once(make_model):
    model = load_model(make_model())
    with pytest.raises(InputError, match="no images were given"):
        model.findings([])
    with pytest.raises(InputError, match="jobs is 0"):
        model.findings(["a.png"], jobs=0)


def test_progress_is_told_of_every_case(make_model, pictures):
    class Told:
        def __init__(self):
            self.total = self.done = self.finished = 0

        def start(self, work, total):
            self.total = total

        def advance(self, amount=1.0, note=""):
            self.done += amount

        def finish(self):
            self.finished += 1

        def say(self, line): ...

    told = Told()
    list(load_model(make_model("multilabel")).findings([*pictures(70), "nowhere.png"], progress=told))
    assert (told.total, told.done, told.finished) == (71, 71, 1)


def test_stopping_early_leaves_nothing_running(make_model, pictures):
    import threading

    before = threading.active_count()
    findings = load_model(make_model()).findings(pictures(80) * 3)
    assert next(findings).case_id == "1"
    findings.close()
    assert threading.active_count() <= before


def test_a_changed_model_is_refused(make_model):
    folder = make_model()
    with (folder / "members" / "m0.onnx").open("ab") as file:
        file.write(b"\0")
    with pytest.raises(ModelRefused, match=r"members/m0\.onnx: the file was changed"):
        load_model(folder)


def test_a_graph_changed_between_loading_and_use_is_refused(make_model, pictures):
    folder = make_model()
    model = load_model(folder)
    shutil.copy(folder / "members" / "m1.onnx", folder / "members" / "m0.onnx")
    with pytest.raises(ModelRefused, match="changed since the model was opened"):
        model.findings(pictures())


def test_it_says_what_it_is(make_model):
    model = load_model(str(make_model()))
    assert repr(model) == f"<Model binary 'finding' {model.hash[:12]}>"


def test_real_ultrasound_pictures(make_model, data, reference):
    model = load_model(make_model(size=(28, 28)))
    table = model.predict(data / "breastmnist" / "breastmnist.npz")
    with np.load(data / "breastmnist" / "breastmnist.npz") as arrays:
        stacks = [arrays[f"{split}_images"] for split in ("train", "val", "test")]
    images = np.concatenate(stacks)[:, None]
    assert len(table) == len(images) == 780
    combined = from_logits(reference("binary", images), "binary").mean(axis=0)
    np.testing.assert_allclose(table["p_malignant"], calibrate(combined, "binary", Temperature(1.5))[:, 1], atol=1e-5)


COLD = """
import sys
from pathlib import Path

HEAVY = {HEAVY}

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in HEAVY:
            raise ModuleNotFoundError(f"{{name}} must not be needed", name=name)

sys.meta_path.insert(0, Refuse())
from semeion.model.findings import write_findings
from semeion.model.runtime import load_model

model = load_model({model!r})
counts = write_findings(model.findings({images!r}), Path({output!r}), model.probability_names)
assert counts == {{"called": {count}}}, counts
assert not HEAVY & set(sys.modules), HEAVY & set(sys.modules)
"""


@pytest.mark.parametrize("suffix", [".csv", ".json"])
def test_it_predicts_where_nothing_heavy_is_installed(make_model, pictures, tmp_path, suffix):
    heavy = {
        "pandas",
        "scipy",
        "sklearn",
        "matplotlib",
        "pyarrow",
        "torch",
        "monai",
        "pydicom",
        "jinja2",
        "onnx",
        "typer",
    }
    output, paths = tmp_path / f"f{suffix}", pictures(3)
    script = textwrap.dedent(COLD).format(
        HEAVY=heavy, model=str(make_model()), images=paths, output=str(output), count=3
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    if suffix == ".json":
        assert [row["image"] for row in json.loads(output.read_text())] == paths


def test_written_findings_equal_the_data_frame(make_model, pictures, tmp_path):
    model, paths = load_model(make_model()), pictures()
    table = model.predict(paths)
    write_findings(model.findings(paths), tmp_path / "f.csv", model.probability_names)
    again = pd.read_csv(
        tmp_path / "f.csv", dtype={"case_id": "str", "mask": "str", "explanation": "str", "reasons": "str"}
    )
    pd.testing.assert_frame_equal(again, table, check_exact=True)
