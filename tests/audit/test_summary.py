from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from semeion.audit.checks import NAMES, run_checks
from semeion.audit.summary import case_labels, cleaning_examples, summarise, training_rows
from semeion.cohort.cohort import CohortOptions, Target
from semeion.cohort.gather import gather
from semeion.prepare.scan import recommend_cleaning, scan
from semeion.prepare.spec import Cleaning, Preparation


@pytest.fixture
def framed(make_cohort, tmp_path):
    """Twelve pictures, of which every third has a black frame; test cases have the widest."""
    files, splits = [], []
    for k in range(12):
        noise = cv2.GaussianBlur(np.random.default_rng(k).normal(size=(60, 80)).astype(np.float32), (0, 0), 3)
        picture = cv2.normalize(noise, None, 30, 220, cv2.NORM_MINMAX).astype(np.uint8)
        splits.append("test" if k >= 8 else "val" if k >= 6 else "train")
        wide = 30 if k >= 8 else 10 + k if k % 3 == 0 else 0
        files.append(str(tmp_path / f"{k}.png"))
        cv2.imwrite(files[-1], np.pad(picture, wide))
    return make_cohort(12, image=files, split=splits, has_patients=False, unused=("ward",), ward=["x"] * 12)


def told(cohort):
    facts = scan(cohort)
    advice = recommend_cleaning(facts, training_rows(cohort))
    return facts, summarise(cohort, facts, run_checks(cohort, facts), advice)


def test_summary_has_the_keys_of_check_json(framed):
    _, summary = told(framed)
    json.dumps(summary, allow_nan=False)
    assert set(summary) == {
        *("schema", "semeion", "synthetic", "target", "task", "positive", "classes", "why", "source", "n_cases"),
        *("n_patients", "has_patients", "has_split", "splits", "images", "unused", "covariates", "notes", "flow"),
        *("audits", "cleaning", "kind", "role", "image_names"),
    }
    assert list(summary["audits"]) == list(NAMES)
    assert summary["splits"]["train"] == {"n": 6, "n_patients": 6, "class_counts": {"benign": 3, "malignant": 3}}
    assert list(summary["splits"]) == ["train", "val", "test"]
    images = summary["images"]
    assert (images["ok"], images["formats"], images["bits"]) == (12, {"png": 12}, {"8": 12})
    assert images["rows"]["min"] == 60
    assert set(images["intensity"]) == {"minimum", "p005", "mean", "p995", "maximum"}
    assert summary["cleaning"]["borders"]["asked"] is True
    assert summary["cleaning"]["borders"]["share"] == pytest.approx(1 / 3, abs=1e-3)
    assert set(summary["cleaning"]) == {"borders", "text", "salt", "equalise"}


def test_summary_without_a_split_or_a_readable_image(make_cohort):
    _, summary = told(make_cohort(4))
    json.dumps(summary, allow_nan=False)
    assert summary["splits"]["all"]["n"] == 4
    assert summary["images"]["missing"] == 4
    assert summary["images"]["intensity"] == {}


def test_examples_show_training_cases_where_cleaning_does_most(framed):
    facts = scan(framed)
    spec = Preparation(clean=Cleaning(borders=True))
    shown = cleaning_examples(framed, facts, spec, n=2, seed=0)
    assert [case_id for case_id, *_ in shown] == ["c3", "c0"]
    for _, label, before, after, steps in shown:
        assert label in ("benign", "malignant")
        assert before.dtype == after.dtype == np.uint8
        assert after.size < before.size
        assert steps[0].startswith("borders cut (")
    many = cleaning_examples(framed, facts, spec, n=50, seed=0)
    assert {case_id for case_id, *_ in many} == {f"c{k}" for k in range(6)}


def test_examples_are_small_and_survive_a_file_that_vanished(make_cohort, tmp_path):
    picture = np.random.default_rng(0).integers(0, 255, (700, 1400, 3), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), picture)
    cv2.imwrite(str(tmp_path / "b.png"), picture)
    cohort = make_cohort(2, image=[str(tmp_path / "a.png"), str(tmp_path / "b.png")])
    facts = scan(cohort)
    (tmp_path / "b.png").unlink()
    shown = cleaning_examples(cohort, facts, Preparation(channels=3, clean=Cleaning(equalise=True)), n=2)
    assert [(case_id, before.shape) for case_id, _, before, _, _ in shown] == [("c0", (256, 512, 3))]


def test_labels_as_a_person_reads_them(make_cohort):
    assert case_labels(make_cohort(2)) == ["benign", "malignant"]
    several = make_cohort(3, target=Target("a,b", "multilabel", ("a", "b")), **{"y.a": [1.0, 1, 0], "y.b": [1.0, 0, 0]})
    assert case_labels(several) == ["a, b", "a", "none"]
    assert case_labels(make_cohort(2, target=Target("ef", "regression"), y=[55.0, 61.25])) == ["55", "61.25"]


def test_real_ultrasound_asks_for_text_to_be_removed(data):
    cohort = gather(data / "busi" / "cases.csv", CohortOptions(target="finding"))
    cohort = cohort.without(set(cohort.table["case_id"][cohort.table.index % 6 != 0]), "thinned", "to save time")
    facts, summary = told(cohort)
    assert {step: told["asked"] for step, told in summary["cleaning"].items()} == {
        "borders": False,
        "text": True,
        "salt": False,
        "equalise": False,
    }
    shown = cleaning_examples(cohort, facts, Preparation(clean=Cleaning(text=True)), n=3)
    assert all(steps and steps[0].startswith("text painted over") for *_, steps in shown)
