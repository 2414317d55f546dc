from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from semeion.audit.raters import rater_agreement, reader_columns
from semeion.cohort.cohort import Target

NAMES = np.array(["benign", "malignant"])


def read(truth, right, seed, *, classes=2):
    """Return one reader's class numbers: the truth in a share of the cases, else any class."""
    rng = np.random.default_rng(seed)
    return np.where(rng.random(len(truth)) < right, truth, rng.integers(0, classes, len(truth)))


def cohort_with(make_cohort, n=200, *, right=0.95, readers=2, **more):
    y = np.arange(n) % 2
    columns = {f"finding_rater{k + 1}": NAMES[read(y, right, k)] for k in range(readers)}
    columns |= {"finding": NAMES[y], **more}
    return make_cohort(n, y=y.astype(float), unused=tuple(name for name in columns if name != "finding"), **columns)


@pytest.mark.parametrize(
    ("columns", "found"),
    [
        (("finding_rater1", "finding_rater2"), 2),
        (("finding_r1", "finding_r2", "finding_r3"), 3),
        (("reader_1_finding", "Reader2Finding"), 2),
        (("finding_radiologist_smith", "finding_radiologist_jones"), 2),
        (("rater1", "rater2"), 2),
        (("reader_a", "reader_b"), 2),
        (("finding_rater1",), 0),
        (("finding_1", "finding_2"), 0),
        (("r1", "r2"), 0),
        (("expert", "reader"), 0),
        (("other_rater1", "other_rater2"), 0),
        (("finding_comment", "finding_date"), 0),
    ],
)
def test_which_columns_are_readers(make_cohort, columns, found):
    cohort = make_cohort(4, unused=columns, **{name: ["benign"] * 4 for name in columns})
    assert len(reader_columns(cohort).get("finding", ())) == found


def test_inputs_are_no_readers(make_cohort):
    columns = ("finding_rater1", "finding_rater2")
    cohort = make_cohort(4, covariates=columns, **{name: ["benign"] * 4 for name in columns})
    assert reader_columns(cohort) == {}
    audit = rater_agreement(cohort)
    assert audit.verdict == "not_run"
    assert "for example finding_rater1 and finding_rater2" in audit.advice


def test_a_target_that_is_one_reader_counts_as_one(make_cohort):
    y = np.arange(40) % 2
    target = Target("rater1", "binary", ("no", "yes"), "yes")
    cohort = make_cohort(40, target=target, y=y.astype(float), rater1=y, rater2=y, unused=("rater2",))
    assert reader_columns(cohort) == {"rater1": ("rater1", "rater2")}
    assert rater_agreement(cohort, resamples=50).figures["agreement"]["value"] == 1


@pytest.mark.parametrize(
    ("right", "verdict"), [(0.98, "clear"), (0.85, "clear"), (0.7, "warn"), (0.5, "warn"), (0.1, "warn")]
)
def test_two_readers_by_cohens_kappa(make_cohort, right, verdict):
    n = 2000
    y = np.arange(n) % 2
    one, two = read(y, right, 0), read(y, right, 1)
    cohort = make_cohort(
        n,
        y=y.astype(float),
        finding=NAMES[y],
        finding_rater1=NAMES[one],
        finding_rater2=two,  # codes where the other has names
        unused=("finding_rater1", "finding_rater2"),
    )
    cohort.table["finding"] = y  # the table writes codes, the classes have names
    audit = rater_agreement(cohort, resamples=100)
    agreement = audit.figures["agreement"]
    assert agreement["value"] == pytest.approx(cohen_kappa_score(one, two))
    assert agreement["low"] < agreement["value"] < agreement["high"]
    assert audit.verdict == verdict
    assert audit.figures["cases_with_different_readings"] == int((one != two).sum()) == len(audit.cases)
    assert audit.figures["pairs"][0]["same"] == pytest.approx((one == two).mean())
    json.dumps(audit.to_json(), allow_nan=False)


def test_several_readers_and_the_majority(make_cohort):
    cohort = cohort_with(make_cohort, readers=3, right=0.9)
    audit = rater_agreement(cohort, resamples=50)
    assert audit.figures["agreement"]["measure"] == "kappa_fleiss"
    assert len(audit.figures["pairs"]) == 3
    assert audit.figures["cases_with_a_majority"] == 200
    assert audit.figures["target_is_majority_share"] > 0.95
    assert "3 readers agree" in audit.advice
    assert "The target is what most readers said in" in audit.advice


def test_missing_readings_make_it_krippendorffs_alpha(make_cohort):
    cohort = cohort_with(make_cohort, readers=3)
    cohort.table.loc[:50, "finding_rater2"] = None
    cohort.table.loc[60:80, "finding_rater3"] = "NA"
    audit = rater_agreement(cohort, resamples=50)
    assert audit.figures["agreement"]["measure"] == "alpha"
    assert audit.figures["agreement"]["n"] == 200


def test_an_answer_that_is_no_class_is_a_disagreement(make_cohort):
    cohort = cohort_with(make_cohort, right=1.0)
    assert rater_agreement(cohort, resamples=50).figures["agreement"]["value"] == 1
    cohort.table.loc[:9, "finding_rater2"] = "unsure"
    audit = rater_agreement(cohort, resamples=50)
    assert audit.figures["readings_not_understood"] == 10
    assert audit.figures["agreement"]["value"] < 1
    assert set(audit.cases) == {f"c{k}" for k in range(10)}


def test_yes_and_no_are_the_positive_class_and_the_other(make_cohort):
    cohort = cohort_with(make_cohort, right=1.0)
    cohort.table["finding_rater2"] = np.where(cohort.table["y"] == 1, "Yes", "no")
    assert rater_agreement(cohort, resamples=50).figures["agreement"]["value"] == 1


def test_grades_are_weighed_by_their_distance(make_cohort):
    target = Target("grade", "ordinal", ("g0", "g1", "g2", "g3"))
    y = np.arange(120) % 4
    one, two = read(y, 0.7, 0, classes=4), read(y, 0.7, 1, classes=4)
    names = np.array(target.classes)
    columns = {"grade_rater1": names[one], "grade_rater2": names[two]}
    cohort = make_cohort(120, target=target, y=y.astype(float), grade=names[y], unused=tuple(columns), **columns)
    audit = rater_agreement(cohort, resamples=50)
    assert audit.figures["agreement"]["measure"] == "kappa_quadratic"
    assert audit.figures["agreement"]["value"] == pytest.approx(cohen_kappa_score(one, two, weights="quadratic"))
    far = np.abs(one - two)
    assert far[int(audit.cases[0][1:])] == far.max()


@pytest.mark.parametrize(("n", "verdict"), [(40, "note"), (2000, "warn")])
def test_kappa_that_is_surely_inadequate_is_warned_of(make_cohort, n, verdict):
    """Of readers that agree moderately a few cases say little."""
    y = np.arange(n) % 2
    one, two = y.copy(), y.copy()
    two[: n // 4] = 1 - two[: n // 4]
    cohort = make_cohort(n, finding_rater1=one, finding_rater2=two, unused=("finding_rater1", "finding_rater2"))
    audit = rater_agreement(cohort, resamples=200)
    assert audit.figures["agreement"]["value"] == pytest.approx(0.5, abs=0.02)
    assert audit.verdict == verdict
    assert "agree moderately" in audit.advice


@pytest.mark.parametrize(("noise", "verdict"), [(0.1, "clear"), (0.8, "note"), (2.0, "warn")])
def test_measured_values_by_icc(make_cohort, noise, verdict):
    target = Target("volume", "regression")
    rng = np.random.default_rng(0)
    y = rng.normal(size=300)
    columns = {f"volume_reader{k}": y + noise * rng.normal(size=300) for k in (1, 2, 3)}
    cohort = make_cohort(300, target=target, y=y, volume=y, unused=tuple(columns), **columns)
    audit = rater_agreement(cohort, resamples=50)
    assert audit.figures["agreement"]["measure"] == "icc_2_1"
    assert audit.verdict == verdict
    assert audit.figures["agreement"]["value"] == pytest.approx(1 / (1 + noise**2), abs=0.08)
    assert "target_less_mean_reading" in audit.figures


def test_each_label_of_several_is_judged_and_the_worst_decides(make_cohort):
    target = Target("mass,cyst", "multilabel", ("mass", "cyst"))
    y = (np.arange(100) % 2).astype(float)
    columns = {
        "mass_rater1": y,
        "mass_rater2": y,
        "cyst_rater1": y,
        "cyst_rater2": np.roll(np.repeat([0.0, 1.0], 50), 3),
    }
    cohort = make_cohort(100, target=target, unused=tuple(columns), **{"y.mass": y, "y.cyst": y}, **columns)
    audit = rater_agreement(cohort, resamples=50)
    assert audit.verdict == "warn"
    assert audit.figures["mass_agreement"]["value"] == 1
    assert audit.figures["cyst_agreement"]["value"] < 0.2
    assert "cyst: 2 readers agree poorly" in audit.advice


def test_too_little_is_not_run(make_cohort):
    few = rater_agreement(cohort_with(make_cohort, 8), resamples=20)
    assert few.verdict == "not_run"
    assert "only 8 cases were read by several" in few.advice
    same = cohort_with(make_cohort)
    same.table["finding_rater1"] = same.table["finding_rater2"] = "benign"
    audit = rater_agreement(same, resamples=20)
    assert audit.verdict == "not_run"
    assert audit.figures["agreement"]["value"] is None
    assert "all readings are the same" in audit.advice
    empty = rater_agreement(make_cohort(0))
    assert empty.verdict == "not_run"
