from __future__ import annotations

import numpy as np
import pandas as pd

from semeion.audit.labels import class_counts, mask_counts, missing_values
from semeion.cohort.cohort import Cohort, Target


def test_enough_of_everything_is_clear(make_cohort):
    audit = class_counts(make_cohort(60))
    assert audit.verdict == "clear"
    assert audit.figures["cases_benign"] == audit.figures["cases_malignant"] == 30
    assert audit.figures["imbalance"] == 1


def test_too_few_cases_of_a_class(make_cohort):
    audit = class_counts(make_cohort(60, y=[1.0] * 7 + [0.0] * 53))
    assert audit.verdict == "warn"
    assert "Class 'malignant' has 7 cases, too few to learn or to measure" in audit.advice
    far = class_counts(make_cohort(60, y=[1.0] * 3 + [0.0] * 57))
    assert "has 3 cases, far too few" in far.advice
    assert "class 'malignant' has fewer patients (3) than folds (5)" in far.advice


def test_patients_and_not_cases_are_divided_into_folds(make_cohort):
    patients = [f"p{k % 3}" for k in range(30)] + [f"q{k}" for k in range(30)]
    audit = class_counts(make_cohort(60, y=[1.0] * 30 + [0.0] * 30, patient_id=patients))
    assert audit.verdict == "warn"
    assert "fewer patients (3) than folds (5)" in audit.advice


def test_a_class_absent_from_a_split(make_cohort):
    cohort = make_cohort(60, y=[0.0, 1.0] * 20 + [0.0] * 20, split=["train"] * 40 + ["test"] * 20)
    audit = class_counts(cohort)
    assert audit.verdict == "warn"
    assert "class 'malignant' has no case in test" in audit.advice.lower()
    assert audit.figures["test_malignant"] == 0


def test_one_class_only(make_cohort):
    audit = class_counts(make_cohort(30, y=[0.0] * 30))
    assert "only one class has cases" in audit.advice.lower()
    assert "class 'malignant' has no case" in audit.advice.lower()


def test_imbalance_is_a_note(make_cohort):
    audit = class_counts(make_cohort(330, y=[1.0] * 30 + [0.0] * 300))
    assert audit.verdict == "note"
    assert "the largest class has 10 times the cases of the smallest" in audit.advice.lower()


def test_labels_that_may_stand_together(make_cohort):
    target = Target("a,b", "multilabel", ("a", "b"))
    columns = {"y.a": [1.0] * 20 + [0.0] * 20, "y.b": [1.0] * 4 + [0.0] * 36}
    audit = class_counts(make_cohort(40, target=target, **columns))
    assert audit.verdict == "warn"
    assert (audit.figures["cases_a"], audit.figures["cases_b"]) == (20, 4)


def test_measured_values(make_cohort):
    target = Target("ef", "regression")
    assert class_counts(make_cohort(60, target=target, y=np.arange(60.0))).verdict == "clear"
    assert class_counts(make_cohort(20, target=target, y=np.arange(20.0))).verdict == "note"
    flat = class_counts(make_cohort(60, target=target, y=[2.0] * 60))
    assert flat.verdict == "warn"
    assert "one value only" in flat.advice


def test_nothing_missing(make_cohort):
    audit = missing_values(make_cohort(4))
    assert audit.verdict == "clear"
    assert audit.figures == {"cases": 4, "missing_site": 4}


def test_a_site_given_for_some(make_cohort):
    audit = missing_values(make_cohort(4, site=["A", None, " ", "B"]))
    assert audit.verdict == "warn"
    assert "Site is missing in 2 of 4 cases and given in the others" in audit.advice


def test_a_covariate_with_gaps_is_a_warning_and_another_column_a_note(make_cohort):
    cohort = make_cohort(4, age=[50.0, np.nan, 60, 70], height=[1.0, np.nan, np.nan, 2], unused=("age", "height"))
    audit = missing_values(cohort)
    assert (audit.verdict, audit.figures["missing_height"]) == ("note", 2)
    assert "2 columns not used have missing values" in audit.advice
    used = make_cohort(4, age=[50.0, np.nan, 60, 70], covariates=("age",))
    audit = missing_values(used)
    assert audit.verdict == "warn"
    assert "The covariate 'age' is missing in 1 of 4 cases" in audit.advice


def test_unknown_labels_of_several(make_cohort):
    target = Target("a,b", "multilabel", ("a", "b"))
    audit = missing_values(make_cohort(3, target=target, **{"y.a": [1.0, 0, 1], "y.b": [np.nan, 1, np.nan]}))
    assert audit.verdict == "note"
    assert "b (2)" in audit.advice


def test_columns_of_any_type_are_counted(make_cohort):
    cohort = make_cohort(
        3,
        when=pd.to_datetime(["2020-01-01", None, "2020-01-02"]),
        flag=pd.array([True, None, False], dtype="boolean"),
        kind=pd.Categorical(["a", None, "b"]),
        unused=("when", "flag", "kind"),
    )
    figures = missing_values(cohort).figures
    assert [figures[f"missing_{name}"] for name in ("when", "flag", "kind")] == [1, 1, 1]


def outlined(masks, classes):
    """A cohort of a segmentation whose scan found these labels in its masks, and the scan."""
    table = pd.DataFrame({"case_id": [str(n) for n in range(len(masks))], "split": pd.NA})
    target = Target("mask", "segmentation", tuple(classes), values=tuple(range(1, len(classes) + 1)))
    return Cohort(table, target), pd.DataFrame({"mask_labels": masks, "status": "ok"})


def test_labels_of_masks_are_counted():
    audit = mask_counts(*outlined(["1;2"] * 10 + ["1"] * 2 + [""], ["organ", "tumour"]))
    assert audit.figures == {"cases": 13, "empty_masks": 1, "cases_organ": 12, "cases_tumour": 10}
    assert (audit.verdict, audit.advice.startswith("1 mask is empty")) == ("warn", True)
    rare = mask_counts(*outlined(["1;2"] * 3 + ["1"] * 9, ["organ", "tumour"]))
    assert "label 'tumour' is in the masks of 3 cases".casefold() in rare.advice.casefold()


def test_an_image_named_as_a_mask_is_not_told_label_by_label():
    names = [f"label {n}" for n in range(1, 121)]
    audit = mask_counts(*outlined([";".join(map(str, range(1, 121)))], names))
    assert "120 labels are in the masks of fewer than 10 cases" in audit.advice
    assert "are these masks?" in audit.advice
    assert len(audit.advice) < 600
