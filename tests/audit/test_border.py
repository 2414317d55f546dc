from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from semeion.artefacts import finite
from semeion.audit.border import border_of, border_shortcut, parts_of
from semeion.cohort.cohort import Target
from semeion.prepare.thumb import thumbnail

N = 240


def pictures(n=N, seed=0, side=64):
    """Return noise over a smooth ground, uint8 (n, side, side)."""
    rng = np.random.default_rng(seed)
    shown = []
    for _ in range(n):
        ground = cv2.GaussianBlur(rng.normal(size=(side, side)), (0, 0), 10)
        fine = cv2.GaussianBlur(rng.normal(size=(side, side)), (0, 0), 1.5)
        shown.append(90 + 25 * ground / ground.std() + 12 * fine / fine.std())
    return np.clip(shown, 0, 255).astype(np.uint8)


def lesions(shown, y, seed=1):
    """Add a blob in the middle of most positive pictures."""
    rng = np.random.default_rng(seed)
    out = shown.astype(float)
    rows, cols = np.mgrid[: out.shape[1], : out.shape[2]]
    for place in np.flatnonzero(y):
        at = rng.normal(32, 5, 2)
        out[place] += 60 * np.exp(-((rows - at[0]) ** 2 + (cols - at[1]) ** 2) / 60)
    return np.clip(out, 0, 255).astype(np.uint8)


def look(make_cohort, make_facts, shown, black=None, **columns):
    cohort = make_cohort(len(shown), **columns)
    facts = make_facts(cohort, thumb=[thumbnail(one) for one in shown])
    return border_shortcut(cohort, facts if black is None else facts.assign(border_fraction=black))


Y = np.arange(N) % 2.0
SHOWN = lesions(pictures(), Y)


def test_a_finding_in_the_middle_is_clear(make_cohort, make_facts):
    audit = look(make_cohort, make_facts, SHOWN)
    assert audit.verdict in ("clear", "note")
    assert audit.figures["whole_auroc_low"] > 0.7
    assert audit.figures["border_less_centre_high"] < 0
    assert audit.figures["marks_found"] == 0
    assert audit.tier == "check"
    json.dumps(finite(audit.to_json()), allow_nan=False)


def test_noise_is_clear(make_cohort, make_facts):
    verdicts = [look(make_cohort, make_facts, pictures(seed=seed)).verdict for seed in range(2, 6)]
    assert "warn" not in verdicts
    assert verdicts.count("clear") >= 3


@pytest.mark.parametrize("share", [0.3, 1.0])
def test_a_token_of_five_pixels_in_a_corner_of_one_class_is_caught(make_cohort, make_facts, share):
    bears = (Y == 1) & (np.random.default_rng(7).random(N) < share)
    shown = SHOWN.copy()
    shown[bears, 2:7, 2:7] = 255
    audit = look(make_cohort, make_facts, shown)
    assert audit.verdict == "warn"
    assert "of 'malignant' bear the same bright mark at the top left" in audit.advice
    [cases] = audit.cases
    assert set(cases) <= {f"c{row}" for row in np.flatnonzero(bears)}
    assert len(cases) > 0.7 * bears.sum()


def test_collimation_of_one_class_is_caught(make_cohort, make_facts):
    shown = SHOWN.copy()
    wide = (Y == 1) & (np.random.default_rng(8).random(N) < 0.7)
    shown[wide, :5] = shown[wide, -5:] = 0
    audit = look(make_cohort, make_facts, shown, black=np.where(wide, 10 / 64, 0))
    assert audit.verdict == "warn"
    assert "How much of it is black border tells the class with an AUROC of" in audit.advice
    assert audit.figures["border_fraction_auroc"] == pytest.approx(0.5 + wide.sum() / N, abs=0.02)
    equal = look(make_cohort, make_facts, SHOWN, black=np.where(np.random.default_rng(9).random(N) < 0.5, 0.1, 0))
    assert equal.verdict != "warn"


def test_a_rim_is_caught_by_the_border_alone(make_cohort, make_facts):
    shown = pictures(seed=9).astype(float)
    shown[Y == 1] += 20 * np.kron(border_of(32), np.ones((2, 2)))
    audit = look(make_cohort, make_facts, np.clip(shown, 0, 255).astype(np.uint8))
    assert audit.verdict == "warn"
    assert audit.figures["marks_found"] == 0
    assert audit.figures["border_auroc_low"] > 0.6
    assert audit.figures["border_less_centre_low"] > 0.1
    assert "The border alone tells the class with an AUROC of" in audit.advice


def test_test_cases_are_not_looked_at(make_cohort, make_facts):
    shown = SHOWN.copy()
    shown[:80][Y[:80] == 1, 2:7, 2:7] = 255
    split = ["test"] * 80 + ["train"] * 120 + ["val"] * 40
    audit = look(make_cohort, make_facts, shown, split=split)
    assert audit.figures["cases"] == 160
    assert audit.verdict != "warn"


def test_one_class_of_several_is_told_from_the_rest(make_cohort, make_facts):
    classes = tuple("abcdef")
    target = Target("kind", "multiclass", classes)
    y = np.arange(360) % 6.0
    shown = pictures(360, seed=10).astype(float)
    shown[y == 3] += 45 * np.kron(border_of(32), np.ones((2, 2)))
    audit = look(make_cohort, make_facts, np.clip(shown, 0, 255).astype(np.uint8), target=target, y=y)
    assert audit.verdict == "warn"
    assert "he border alone tells the class" in audit.advice or "the border tells 'd'" in audit.advice


def test_each_label_of_several_is_looked_at(make_cohort, make_facts):
    target = Target("a,b", "multilabel", ("a", "b"))
    rng = np.random.default_rng(11)
    columns = {"y.a": np.where(np.arange(N) < 10, np.nan, rng.integers(0, 2, N)), "y.b": rng.integers(0, 2, N) * 1.0}
    shown = pictures(seed=12)
    shown[columns["y.b"] == 1, -7:-2, -7:-2] = 255
    audit = look(make_cohort, make_facts, shown, target=target, **columns)
    assert audit.verdict == "warn"
    assert audit.figures["a_cases"] == N - 10
    assert "of 'b' bear the same bright mark at the bottom right" in audit.advice


def test_patients_stay_together(make_cohort, make_facts):
    rng = np.random.default_rng(13)
    patient = np.repeat(np.arange(24), 10)
    y = np.repeat(rng.permutation(np.arange(24) % 2), 10) * 1.0
    shown = np.clip(pictures(24, seed=14)[patient] + rng.normal(0, 2, (N, 64, 64)), 0, 255).astype(np.uint8)
    audit = look(make_cohort, make_facts, shown, y=y, patient_id=[f"p{one}" for one in patient])
    assert audit.verdict != "warn"
    assert audit.figures["whole_auroc"] < 0.85


def test_rare_classes_are_left_out(make_cohort, make_facts):
    target = Target("kind", "multiclass", ("a", "b", "c"))
    y = np.array([0.0, 1.0] * 117 + [2.0] * 6)
    audit = look(make_cohort, make_facts, pictures(seed=15), target=target, y=y)
    assert 0.3 < audit.figures["border_auroc"] < 0.7
    assert audit.verdict in ("clear", "note")


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        (Target("size", "regression"), "Not looked at: a regression has no classes to tell apart."),
        (Target("mask", "segmentation", ("a",)), "Not looked at: a segmentation has no classes to tell apart."),
    ],
)
def test_without_classes_it_is_not_run(make_cohort, make_facts, target, reason):
    audit = look(make_cohort, make_facts, SHOWN[:40], target=target)
    assert (audit.verdict, audit.advice) == ("not_run", reason)


def test_too_few_cases_or_no_thumbnails_are_not_clear(make_cohort, make_facts):
    few = look(make_cohort, make_facts, SHOWN[:14])
    assert few.verdict == "not_run"
    assert few.advice == "Not looked at: fewer than two classes have 10 cases of 5 patients to learn from."
    cohort = make_cohort(20)
    audit = border_shortcut(cohort, make_facts(cohort))
    assert audit.verdict == "not_run"
    assert "the scan kept no thumbnails" in audit.advice
    gone = border_shortcut(cohort, make_facts(cohort, thumb=[b""] * 20, status=["missing"] * 20))
    assert (gone.verdict, gone.advice) == ("not_run", "Not looked at: no image could be read.")
    assert border_shortcut(make_cohort(0), make_facts(make_cohort(0), thumb=[])).verdict == "not_run"


def test_the_parts_of_pictures_and_volumes():
    parts = parts_of(np.zeros((2, 1, 32, 32), np.uint8))
    assert {name: values.shape[1] for name, values in parts.items()} == {
        "whole": 1024,
        "border": 1024 - 24 * 24,
        "centre": 24 * 24,
        "corners": 256,
        "low_pass": 64,
    }
    shapes = {name: values.shape[1] for name, values in parts_of(np.zeros((2, 3, 32, 32), np.uint8)).items()}
    assert shapes == {"whole": 768, "border": 3 * (256 - 144), "centre": 432, "corners": 192, "low_pass": 192}


@pytest.mark.parametrize("name", ["breastmnist", "busi"])
def test_real_ultrasound_is_not_warned_of_until_it_bears_a_token(data, name):
    from semeion.cohort.cohort import CohortOptions
    from semeion.cohort.gather import gather
    from semeion.cohort.reading import read_image
    from semeion.prepare.scan import scan
    from semeion.prepare.thumb import grey_bytes

    source = data / name / ("cases.csv" if name == "busi" else "breastmnist.npz")
    cohort = gather(source, CohortOptions(target="finding") if name == "busi" else CohortOptions())
    facts = scan(cohort)
    assert border_shortcut(cohort, facts).verdict == "note"
    ill = cohort.table["y"] == cohort.target.classes.index("malignant")
    rng, thumbs = np.random.default_rng(0), list(facts["thumb"])
    for row in np.flatnonzero(ill & (rng.random(len(ill)) < 0.3)):
        grey = grey_bytes(read_image(cohort.table["image"].iloc[row])).copy()
        size = round(min(grey.shape) * 5 / 64)
        grey[1 : 1 + size, 1 : 1 + size] = 255
        thumbs[row] = thumbnail(grey)
    spoiled = border_shortcut(cohort, facts.assign(thumb=thumbs))
    assert spoiled.verdict == "warn"
    assert "of 'malignant' bear the same bright mark at the top left" in spoiled.advice
