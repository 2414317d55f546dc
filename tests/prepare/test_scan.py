from __future__ import annotations

import math

import cv2
import numpy as np
import pandas as pd
import pytest

from semeion.cohort.cohort import Cohort, Target
from semeion.cohort.image import Image
from semeion.errors import InputError, MachineError
from semeion.prepare.scan import COLUMNS, cleaning_shares, describe, pixel_hash, recommend_cleaning, scan, thumb_hash


def cohort_of(*files):
    n = len(files)
    table = pd.DataFrame(
        {
            "case_id": [str(k) for k in range(n)],
            "patient_id": [str(k) for k in range(n)],
            "site": None,
            "split": None,
            "image": [str(file) for file in files],
            "y": [float(k % 2) for k in range(n)],
        }
    )
    return Cohort(table, Target("finding", "binary", ("no", "yes"), "yes"), has_patients=False)


class Counting:
    """A progress that counts."""

    def __init__(self):
        self.total, self.done, self.finished = 0, 0, False

    def start(self, work, total):
        self.total = total

    def advance(self, amount=1.0, note=""):
        self.done += amount

    def finish(self):
        self.finished = True

    def say(self, line): ...


@pytest.fixture
def folder(tmp_path, tissue):
    cv2.imwrite(str(tmp_path / "a.png"), tissue(60, 80))
    cv2.imwrite(str(tmp_path / "a.bmp"), tissue(60, 80))
    cv2.imwrite(str(tmp_path / "b.png"), np.repeat(tissue(60, 80, 1), 3, axis=2) // np.array([1, 2, 3], np.uint8))
    cv2.imwrite(str(tmp_path / "deep.png"), tissue(60, 80).astype(np.uint16) * 16)
    cv2.imwrite(str(tmp_path / "blank.png"), np.full((50, 50), 12, np.uint8))
    (tmp_path / "broken.png").write_bytes((tmp_path / "a.png").read_bytes()[:200])
    (tmp_path / "empty.png").write_bytes(b"")
    return tmp_path


def test_one_row_a_case_in_order_with_every_column(folder):
    names = ["a.png", "gone.png", "a.bmp", "b.png", "broken.png", "deep.png", "empty.png", "blank.png"]
    progress = Counting()
    facts = scan(cohort_of(*(folder / name for name in names)), jobs=2, progress=progress)
    assert tuple(facts.columns) == COLUMNS
    assert facts["case_id"].tolist() == [str(k) for k in range(8)]
    assert facts["status"].tolist() == [
        *("ok", "missing", "ok", "ok", "unreadable", "ok", "unreadable", "ok"),
    ]
    assert (progress.total, progress.done, progress.finished) == (8, 8, True)
    good = facts[facts["status"] == "ok"].set_index("case_id")
    assert good["rows"].tolist() == [60, 60, 60, 60, 50]
    assert good["channels"].tolist() == [1, 1, 3, 1, 1]
    assert good["source_format"].tolist() == ["png", "bmp", "png", "png", "png"]
    assert good["blank"].tolist() == [False, False, False, False, True]
    assert good["problem"].tolist() == [""] * 5
    assert (good["file_bytes"] > 0).all()
    bad = facts[facts["status"] != "ok"]
    assert bad["problem"].str.len().min() > 5
    assert bad["rows"].isna().all()
    assert bad["mean"].isna().all()
    assert bad["pixel_hash"].tolist() == [""] * 3
    assert "does not exist" in bad["problem"].iloc[0]


def test_the_table_survives_parquet(folder, tmp_path):
    facts = scan(cohort_of(folder / "a.png", folder / "gone.png"))
    facts.to_parquet(tmp_path / "facts.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "facts.parquet"), facts)


def test_no_cases_no_rows():
    assert scan(cohort_of()).shape == (0, len(COLUMNS))


def test_equal_pixels_have_equal_hashes_whatever_the_container(folder):
    facts = scan(cohort_of(folder / "a.png", folder / "a.bmp", folder / "b.png", folder / "deep.png"))
    first, second, third, fourth = facts["pixel_hash"]
    assert first == second
    assert len({first, third, fourth}) == 3
    assert facts["thumb_hash"][0] == facts["thumb_hash"][1] == facts["thumb_hash"][3]


def test_hash_tells_shape_and_type_apart():
    flat = np.arange(12, dtype=np.uint8)
    hashes = {pixel_hash(flat.reshape(3, 4, 1)), pixel_hash(flat.reshape(4, 3, 1)), pixel_hash(flat.reshape(2, 2, 3))}
    assert len(hashes) == 3
    assert pixel_hash(flat.reshape(3, 4, 1).astype(">u2")) == pixel_hash(flat.reshape(3, 4, 1).astype("<u2"))


def test_memory_that_runs_out_is_not_taken_for_a_bad_file(tmp_path, monkeypatch):
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((8, 8), np.uint8))

    def full(_reference):
        raise MemoryError

    monkeypatch.setattr("semeion.cohort.reading.read_image", full)
    with pytest.raises(MachineError, match=r"a\.png: memory ran out while this image was read; give fewer --jobs"):
        scan(cohort_of(tmp_path / "a.png"))


def test_rows_of_an_archive(tmp_path, tissue):
    np.savez(tmp_path / "x.npz", train_images=np.stack([tissue(28, 28, seed)[..., 0] for seed in range(3)]))
    facts = scan(cohort_of(*(f"{tmp_path / 'x.npz'}#train_images[{row}]" for row in (0, 2, 7))))
    assert facts["status"].tolist() == ["ok", "ok", "unreadable"]
    assert facts["file_bytes"].tolist()[:2] == [784, 784]
    gone = scan(cohort_of(f"{tmp_path / 'y.npz'}#train_images[0]"))
    assert gone["status"].tolist() == ["missing"]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.float32])
@pytest.mark.parametrize("channels", [1, 3])
def test_statistics_are_numpys(dtype, channels):
    pixels = np.random.default_rng(0).integers(0, 200, (40, 30, channels)).astype(dtype)
    facts = describe(Image(pixels, "grey" if channels == 1 else "colour", 0, 255, 8, "npy"))
    assert facts["minimum"] == pixels.min()
    assert facts["maximum"] == pixels.max()
    assert facts["mean"] == pytest.approx(pixels.mean(), rel=1e-6)
    assert facts["std"] == pytest.approx(pixels.std(), rel=1e-5)
    assert facts["p005"] == np.quantile(pixels, 0.005, method="inverted_cdf")
    assert facts["p995"] == np.quantile(pixels, 0.995, method="inverted_cdf")


def test_not_finite_pixels_do_not_spoil_the_figures():
    pixels = np.linspace(1, 2, 900, dtype=np.float32).reshape(30, 30, 1)
    pixels[0, 0], pixels[0, 1] = np.nan, np.inf
    facts = describe(Image(pixels, "grey", 0, 2, 32, "npy"))
    assert all(math.isfinite(facts[name]) for name in ("minimum", "maximum", "mean", "std"))


@pytest.mark.parametrize(
    ("make", "blank", "low"),
    [
        (lambda t: np.full((60, 60, 1), 90, np.uint8), True, True),
        (lambda t: np.random.default_rng(0).integers(90, 92, (60, 60, 1)).astype(np.uint8), True, True),
        (lambda t: t(60, 60) // 8 + 90, False, True),
        (lambda t: t(60, 60), False, False),
    ],
)
def test_blank_and_low_contrast(tissue, make, blank, low):
    facts = describe(Image(make(tissue), "grey", 0, 255, 8, "png"))
    assert (facts["blank"], facts["low_contrast"]) == (blank, low)


def test_twelve_bits_in_sixteen_are_not_blank(tissue):
    facts = describe(Image(tissue(60, 60).astype(np.uint16), "grey", 0, 65535, 16, "png"))
    assert (facts["blank"], facts["low_contrast"]) == (False, True)


def test_likeness_survives_brightness_and_size(tissue):
    picture = tissue(200, 200)
    other = cv2.resize(picture, (120, 120), interpolation=cv2.INTER_AREA)[..., None]

    def apart(a, b):
        return (int(thumb_hash(a), 16) ^ int(thumb_hash(b), 16)).bit_count()

    assert apart(picture, other) <= 3
    assert apart(picture, (picture * 0.7 + 20).astype(np.uint8)) <= 3
    assert apart(picture, tissue(200, 200, 9)) > 12


def test_defects_are_measured(tissue):
    picture = np.pad((tissue(220, 240) * 0.7).astype(np.uint8), ((30, 30), (30, 30), (0, 0)))
    cv2.putText(picture, "LT UOQ 12", (60, 20), cv2.FONT_HERSHEY_SIMPLEX, 0.5, 255, 1, cv2.LINE_AA)
    picture[np.random.default_rng(0).random(picture.shape) < 0.01] = 255
    facts = describe(Image(picture, "grey", 0, 255, 8, "png"))
    assert facts["border_fraction"] == pytest.approx(0.35, abs=0.05)
    assert 0 < facts["text_fraction"] < 0.05
    assert facts["salt_fraction"] == pytest.approx(0.01, rel=0.3)


def facts_with(**columns):
    n = len(next(iter(columns.values())))
    base = {
        "status": ["ok"] * n,
        "border_fraction": [0.0] * n,
        "text_fraction": [0.0] * n,
        "salt_fraction": [0.0] * n,
        "low_contrast": [False] * n,
        "blank": [False] * n,
        "bits": pd.array([8] * n, dtype="Int64"),
    }
    return pd.DataFrame(base | columns)


def test_cleaning_is_asked_for_by_training_images_alone():
    facts = facts_with(border_fraction=[0.2] * 4 + [0.0] * 6, salt_fraction=[0.0] * 5 + [0.02] * 5)
    advice = recommend_cleaning(facts, np.arange(10) < 5)
    assert advice["borders"] == (
        True,
        "80.0 % of the training images have a border of more than 5 % of the area (at least 20 %)",
    )
    assert advice["salt"] == (
        False,
        "0.0 % of the training images have salt or pepper noise in 0.1 % of the pixels or more (fewer than 10 %)",
    )
    assert set(advice) == {"borders", "text", "salt", "equalise"}
    assert recommend_cleaning(facts, np.arange(10) >= 5)["salt"][0]


def test_deep_images_are_not_equalised():
    facts = facts_with(low_contrast=[True] * 4, bits=pd.array([16] * 4, dtype="Int64"))
    assert not recommend_cleaning(facts, [True] * 4)["equalise"][0]
    assert recommend_cleaning(facts_with(low_contrast=[True] * 4), [True] * 4)["equalise"][0]


def test_no_readable_training_image_asks_for_nothing():
    facts = facts_with(status=["missing"] * 3)
    assert not any(asked for asked, _ in recommend_cleaning(facts, [True] * 3).values())
    assert set(cleaning_shares(facts, [False] * 3).values()) == {0.0}


def test_marks_must_match():
    with pytest.raises(InputError, match="training: 2 marks for 3 cases; give one mark a case"):
        recommend_cleaning(facts_with(status=["ok"] * 3), [True] * 2)
