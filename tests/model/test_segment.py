from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk

from semeion.cohort.volumes.read import read_volume
from semeion.errors import InputError, MachineError, ModelRefused
from semeion.model import mask_findings, segment
from semeion.model.findings import write_findings
from semeion.model.runtime import load_model
from semeion.model.segment import peak_bytes


def wanted(image, values=(3, 7)):
    voxels = sitk.GetArrayFromImage(image)
    return np.select([voxels > 1.5, voxels > 0.5], [values[1], values[0]], 0)


@pytest.mark.parametrize(
    "patches", [((8, 8, 8),), ((16, 16),), ((8, 8, 8), (12, 12)), ((32, 32, 32),)], ids=["3d", "2d", "both", "larger"]
)
@pytest.mark.parametrize("kind", ["onnxruntime", "openvino"])
def test_a_mask_lies_on_the_grid_of_its_image(make_segmenter, make_volume, patches, kind):
    if kind == "openvino":
        pytest.importorskip("openvino")
    path, image = make_volume()
    mirror = {f"m{k}": (0, 1) for k in range(len(patches))}
    mask = load_model(make_segmenter(patches, mirror=mirror), engine=kind, threads=1).segment(path)
    np.testing.assert_array_equal(mask.plane, wanted(image))
    assert mask.plane.dtype == np.uint8
    assert mask.grid.same_as(read_volume(str(path)).grid)


def test_resampling_goes_back_to_the_image(make_segmenter, make_volume):
    path, image = make_volume(size=(30, 28, 16), spacing=(0.8, 0.8, 1.5))
    mask = load_model(make_segmenter(steps={"spacing": (1.0, 1.0, 1.0)}), threads=1).segment(path)
    truth = wanted(image)
    for value in (3, 7):
        a, b = mask.plane == value, truth == value
        assert 2 * (a & b).sum() / (a.sum() + b.sum()) > 0.85
    assert mask.grid.same_as(read_volume(str(path)).grid)


@pytest.mark.parametrize("suffix", ["nii.gz", "nrrd"])
def test_masks_are_written_in_the_geometry_of_the_image(make_segmenter, make_volume, tmp_path, suffix):
    paths = [make_volume(f"{k}.nii.gz", turn=0.3 * k)[0] for k in range(2)]
    model = load_model(make_segmenter(), threads=1)
    found = list(model.findings(list(map(str, paths)), masks=tmp_path / "masks", mask_format=suffix))
    assert [(row.case_id, row.target, row.status) for row in found] == [
        ("1", "rim", "called"),
        ("1", "core", "called"),
        ("2", "rim", "called"),
        ("2", "core", "called"),
    ]
    for k, path in enumerate(paths):
        written = tmp_path / "masks" / f"{k + 1}.{suffix}"
        assert found[2 * k].mask == str(written)
        mask, image = read_volume(str(written)), read_volume(str(path))
        assert mask.grid.same_as(image.grid, 1e-3)
        np.testing.assert_array_equal(mask.plane, model.segment(path).plane)
        for row, value in zip(found[2 * k : 2 * k + 2], (3, 7), strict=True):
            volume = (mask.plane == value).sum() * image.grid.voxel_ml
            assert row.call == float(f"{volume:.6g}")
    assert sorted(p.name for p in (tmp_path / "masks").iterdir()) == [f"1.{suffix}", f"2.{suffix}"]


def test_findings_are_a_table_of_volumes(make_segmenter, make_volume, tmp_path):
    path, _ = make_volume()
    model = load_model(make_segmenter(), threads=1)
    table = model.predict(str(path))
    assert list(table.columns) == [
        *("case_id", "image", "target", "status", "call", "mask", "explanation", "reasons", "model")
    ]
    assert table["call"].dtype == np.float64
    for suffix in (".csv", ".parquet", ".json"):
        write_findings(model.findings(str(path)), tmp_path / f"f{suffix}", model.probability_names)
    assert pd.read_parquet(tmp_path / "f.parquet")["call"].tolist() == table["call"].tolist()
    assert pd.read_csv(tmp_path / "f.csv")["call"].tolist() == table["call"].tolist()


@pytest.mark.parametrize("code", ["no-spacing", "one-slice"])
def test_a_volume_is_not_told_where_the_size_of_a_voxel_is_not_known(
    make_segmenter, make_volume, monkeypatch, tmp_path, code
):
    path, _ = make_volume()
    whole = mask_findings.read_volumes
    bare = lambda *given: [replace(one, notes=(f"{code}: a stand-in",)) for one in whole(*given)]  # noqa: E731
    monkeypatch.setattr(mask_findings, "read_volumes", bare)
    rows = list(load_model(make_segmenter(), threads=1).findings(str(path), masks=tmp_path / "m"))
    assert [(row.status, row.call) for row in rows] == [("called", None)] * 2
    assert all(f"corrected: {code}: a stand-in" in row.reasons and row.mask for row in rows)


def test_channels_come_from_a_table_or_as_files_in_order(make_segmenter, make_volume, tmp_path):
    (a, image), (b, _) = make_volume("a.nii.gz", scale=1.5), make_volume("b.nii.gz", scale=0.5)
    model = load_model(make_segmenter(channels=("FLAIR", "T1")), threads=1)
    np.testing.assert_array_equal(model.segment([a, b]).plane, wanted(image / 1.5))
    table = tmp_path / "t.csv"
    table.write_text("case_id,image.T1,image.FLAIR\nx,b.nii.gz,a.nii.gz\ny,,a.nii.gz\n")
    found = list(model.findings(str(table), masks=tmp_path / "m"))
    assert [row.status for row in found] == ["called", "called", "failed", "failed"]
    assert found[2].reasons == ("missing-file: the table names no image 'T1' for this case",)
    loose = list(model.findings([str(a), str(b)]))
    assert [row.call for row in loose] == [row.call for row in found[:2]]


def test_a_missing_channel_is_named(make_segmenter, make_volume, tmp_path):
    a, _ = make_volume("a.nii.gz")
    model = load_model(make_segmenter(channels=("FLAIR", "T1", "T2")), threads=1)
    with pytest.raises(InputError, match=r"1 of 3 channels are there; give T1, T2 as well"):
        model.segment(a)
    with pytest.raises(InputError, match=r"a case has 3 images \(FLAIR, T1, T2\), and 2 files were given"):
        model.findings([str(a), str(a)])
    table = tmp_path / "t.csv"
    table.write_text("image.FLAIR,image.T1\na.nii.gz,a.nii.gz\n")
    with pytest.raises(InputError, match=r"the table has no column 'image.T2'"):
        model.findings(str(table))
    (row, _) = model.findings([str(a)])
    assert row.status == "failed"
    assert "1 of 3 channels are there, give T1, T2 as well" in row.reasons[0]


def test_a_case_that_fails_keeps_its_rows_and_the_others_go_on(make_segmenter, make_volume, tmp_path):
    good, _ = make_volume("good.nii.gz")
    (tmp_path / "cut.nii.gz").write_bytes(good.read_bytes()[:300])
    (tmp_path / "note.nii.gz").write_text("no image at all")
    given = [str(tmp_path / name) for name in ("absent.nii.gz", "cut.nii.gz", "note.nii.gz", "good.nii.gz")]
    found = list(load_model(make_segmenter(), threads=1).findings(given, masks=tmp_path / "m"))
    assert [row.status for row in found] == ["failed"] * 6 + ["called"] * 2
    codes = [row.reasons[0].split(":")[0] for row in found[:6:2]]
    assert codes == ["missing-file", "unreadable", "not-an-image"]
    assert [path.name for path in (tmp_path / "m").iterdir()] == ["4.nii.gz"]


def test_a_file_name_never_leaves_the_folder(make_segmenter, make_volume, tmp_path):
    make_volume("a.nii.gz")
    table = tmp_path / "t.csv"
    table.write_text("case_id,image\n../../up,a.nii.gz\n.hidden,a.nii.gz\na b/c,a.nii.gz\n")
    list(load_model(make_segmenter(), threads=1).findings(str(table), masks=tmp_path / "m"))
    names = sorted(path.name for path in (tmp_path / "m").iterdir())
    assert names == ["%2E.%2F..%2Fup.nii.gz", "%2Ehidden.nii.gz", "a%20b%2Fc.nii.gz"]
    assert not (tmp_path.parent / "up.nii.gz").exists()


def test_post_processing_travels_with_the_model(make_segmenter, make_volume):
    path, image = make_volume()
    voxels = sitk.GetArrayFromImage(image)
    voxels[0, 0, 0] = 2
    again = sitk.GetImageFromArray(voxels)
    again.CopyInformation(image)
    sitk.WriteImage(again, str(path))
    rules = {"values": [3, 7], "postprocess": ["largest:union"]}
    plain = load_model(make_segmenter(), threads=1).segment(path)
    clean = load_model(make_segmenter(name="clean", segmentation=rules), threads=1).segment(path)
    assert plain.plane[0, 0, 0] == 7
    assert clean.plane[0, 0, 0] == 0
    np.testing.assert_array_equal(clean.plane.ravel()[1:], plain.plane.ravel()[1:])


def test_what_is_unlike_the_training_volumes_is_said(make_segmenter, make_volume):
    path, _ = make_volume()
    seen = {"spacing": [[0.9, 1.0], [0.9, 1.0], [0.9, 1.0]], "size": [[18, 22], [18, 22], [60, 80]]}
    folder = make_segmenter(inputs={"modality": [], "images": 1, "volumes_seen": seen, "unit": "HU"})
    row = next(iter(load_model(folder, threads=1).findings(str(path))))
    codes = [text.split(":")[0] for text in row.reasons]
    assert codes[:3] == ["unit-differs", "spacing-far", "size-far"]
    assert "1 x 1.2 x 2.5 mm, trained on 0.9 x 0.9 x 0.9 to 1 x 1 x 1 mm" in row.reasons[1]


def test_what_needs_more_memory_than_there_is_fails_with_numbers(make_segmenter, make_volume, monkeypatch):
    path, _ = make_volume()
    monkeypatch.setattr(segment, "available_bytes", lambda: 1 << 20)
    model = load_model(make_segmenter(), threads=1)
    with pytest.raises(MachineError, match=r"3 classes of 14 x 18 x 20 voxels need 0\.\d GiB, and 0\.0 GiB"):
        model.segment(path)
    rows = list(model.findings(str(path)))
    assert [row.reasons[-1].split(":")[0] for row in rows] == ["too-large", "too-large"]


def test_the_bound_grows_with_voxels_and_labels_only():
    assert peak_bytes((10, 10, 10), 3) < peak_bytes((100, 100, 100), 3) < peak_bytes((100, 100, 100), 9)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"segmentation": {"values": [3]}}, "2 classes need as many distinct values"),
        ({"segmentation": {"values": [3, 3]}}, "2 classes need as many distinct values"),
        ({"segmentation": {"values": [3, 7], "postprocess": ["largest:5"]}}, "'largest:5' is no rule"),
        ({"segmentation": {"values": [3, 7], "lesions": ["x"]}}, "a lesion is not among the classes"),
        ({"segmentation": None}, "how labels are found belongs to"),
        ({"operating_point": {"rule": "argmax"}}, "a mask has neither calibration nor operating point"),
        ({"preparation": {"channels": 1, "size": (8, 8)}}, " volumes; pictures"),
    ],
)
def test_a_manifest_that_contradicts_itself_is_refused(make_segmenter, change, message):
    with pytest.raises(InputError) as caught:
        make_segmenter(**change)
    assert message in str(caught.value)


def test_a_graph_that_does_not_fit_is_refused(make_segmenter):
    with pytest.raises(ModelRefused, match="mirrored along axis 2, and its window has 2"):
        make_segmenter(((8, 8),), mirror={"m0": (2,)})
    with pytest.raises(ModelRefused, match="the graph has 3 outputs, but the segmentation model needs 2"):
        make_segmenter(classes=["rim"], segmentation={"values": [1]})


def test_a_model_of_pictures_has_no_masks(make_model, pictures, tmp_path):
    model = load_model(make_model(), threads=1)
    with pytest.raises(InputError, match="a binary model has no masks"):
        model.findings(pictures(1), masks=tmp_path / "m")
    with pytest.raises(InputError, match="a binary model has no masks"):
        model.segment("x.nii.gz")


def test_segmenting_needs_neither_torch_nor_pandas(make_segmenter, make_volume):
    path, _ = make_volume()
    code = (
        "import sys; from semeion.model.runtime import load_model; "
        "assert not {'SimpleITK', 'scipy', 'pandas'} & set(sys.modules); "
        f"print(load_model({str(make_segmenter())!r}, threads=1).segment({str(path)!r}).plane.max()); "
        "assert not {'torch', 'monai', 'pandas', 'sklearn', 'onnx'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "7"


def test_a_faster_graph_is_used_by_onnx_runtime_and_checked(make_segmenter, make_volume, tmp_path, monkeypatch):
    from semeion.model import opened_members
    from semeion.model.package import write_model

    path, image = make_volume()
    folder = make_segmenter()
    plain = (folder / "members" / "m0.onnx").read_bytes()
    parts = load_model(folder).manifest.model_dump(exclude={"schema_version", "members", "card", "files"})
    write_model(tmp_path / "fast", parts, {"m0": plain}, "card", fast={"m0": plain})
    opened = []
    real = opened_members.open_engine
    monkeypatch.setattr(opened_members, "open_engine", lambda *a, **k: opened.append(k["where"]) or real(*a, **k))
    np.testing.assert_array_equal(load_model(tmp_path / "fast").segment(path).plane, wanted(image))
    pytest.importorskip("openvino")
    np.testing.assert_array_equal(load_model(tmp_path / "fast", engine="openvino").segment(path).plane, wanted(image))
    assert [where.rsplit("/", 1)[1] for where in opened] == ["m0.fast.onnx", "m0.onnx"]
    other = (make_segmenter(name="other", offset=0.01) / "members" / "m0.onnx").read_bytes()
    with pytest.raises(ModelRefused, match=r"the faster graph differs by 0\.\d+ in probability; at most 0.0001"):
        write_model(tmp_path / "wrong", parts, {"m0": plain}, "card", fast={"m0": other})


def test_one_odd_volume_does_not_lose_the_others(make_segmenter, make_volume, tmp_path, monkeypatch):
    make_volume("a.nii.gz")
    given = [str(tmp_path / "a.nii.gz")] * 2
    model, wrong = load_model(make_segmenter(), threads=1), [False, True]
    whole, written = segment.Segmenter.labels, mask_findings.write_mask

    def labels(self, prepared):
        if wrong.pop():
            raise RuntimeError("first line\nan odd volume")
        wrong.append(False)
        return whole(self, prepared)

    monkeypatch.setattr(segment.Segmenter, "labels", labels)
    found = list(model.findings(given))
    assert [row.status for row in found] == ["failed"] * 2 + ["called"] * 2
    assert found[0].reasons == ("not-prepared: an odd volume",)
    monkeypatch.setattr(segment.Segmenter, "labels", whole)

    def write(path, mask):
        if path.name.startswith("1"):
            raise InputError("the mask cannot be written", where=str(path))
        written(path, mask)

    monkeypatch.setattr(mask_findings, "write_mask", write)
    found = list(model.findings(given, masks=tmp_path / "m"))
    assert [row.status for row in found] == ["failed"] * 2 + ["called"] * 2
    assert found[0].reasons[-1] == "not-prepared: the mask cannot be written"


def test_a_case_id_that_names_no_file_is_no_hindrance_without_masks(make_segmenter, make_volume, tmp_path):
    make_volume("a.nii.gz")
    table = tmp_path / "t.csv"
    table.write_text(f"case_id,image\n{'x' * 300},a.nii.gz\n")
    model = load_model(make_segmenter(), threads=1)
    assert [row.status for row in model.findings(str(table))] == ["called"] * 2
    with pytest.raises(InputError, match="a case id of 300 letters cannot name a file"):
        list(model.findings(str(table), masks=tmp_path / "m"))
