from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from semeion.errors import InputError
from semeion.evidence.question import Question
from semeion.evidence.table import split_cases, validate_predictions

BINARY = Question("finding", "binary", ("normal or benign", "malignant"), "malignant")
LABELS = Question("a,b", "multilabel", ("a", "b"))


def table(**changed: Any) -> pd.DataFrame:
    rows: dict[str, Any] = {
        "case_id": ["1", "2", "3", "4"],
        "patient_id": ["p", "p", "q", "r"],
        "split": ["test", "test", "test", "val"],
        "fold": -1,
        "member": "ensemble",
        "target": "finding",
        "y_true": ["malignant", "normal or benign", "malignant", "malignant"],
        "p_normal%20or%20benign": [0.1, 0.8, 0.5, 0.3],
        "p_malignant": [0.9, 0.2, 0.5, 0.7],
    }
    return pd.DataFrame({**rows, **changed})


def test_a_good_table_becomes_arrays() -> None:
    val, test = list(split_cases(validate_predictions(table(), BINARY), BINARY))
    assert (val[0].split, test[0].split) == ("val", "test")
    np.testing.assert_array_equal(test[0].y, [1, 0, 1])
    np.testing.assert_array_equal(test[0].patient, [0, 0, 1])
    assert test[0].n_patients == 2
    np.testing.assert_array_equal(test[0].p[:, 1], [0.9, 0.2, 0.5])


def test_other_targets_and_rounding_are_forgiven() -> None:
    other = table(target="other", y_true="whatever", p_malignant=np.nan)
    good = table(p_malignant=[0.9, 0.2, 0.5, 0.7 + 5e-7])
    found = validate_predictions(pd.concat([other, good]), BINARY)
    assert set(found["target"]) == {"finding"}
    beyond = validate_predictions(
        table(**{"p_malignant": [1 + 1e-12, 0.2, 0.5, 0.7], "p_normal%20or%20benign": [-1e-12, 0.8, 0.5, 0.3]}), BINARY
    )
    assert beyond["p_malignant"].max() == 1


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"member": "fold0"}, "predictions: no row with the member 'ensemble'; average the members and add those rows"),
        (
            {"case_id": ["1", "2", "1", "4"]},
            "predictions row 3: the same case, target, split and member as in an earlier",
        ),
        ({"case_id": ["1", None, "3", "4"]}, "predictions row 2: no case_id; fill the column case_id"),
        ({"patient_id": ["p", None, None, "r"]}, "predictions row 2: no patient_id (and 1 more rows); fill the column"),
        (
            {"split": "tset"},
            "predictions row 1: unknown split 'tset', did you mean 'test'? (and 3 more rows); use train, ",
        ),
        ({"target": "diagnosis"}, "predictions: no row for the target 'finding'; the table holds diagnosis"),
        ({"fold": [0, 1, 1.5, 2]}, "predictions row 3: fold is not an integer; number the folds, or write -1 for none"),
        ({"fold": [0, "x", 1, 2]}, "predictions row 2: fold is not an integer"),
        (
            {"y_true": ["malignant", "malignat", "malignant", "malignant"]},
            "predictions row 2: unknown class 'malignat', did you mean 'malignant'?; the classes are normal or",
        ),
        (
            {"y_true": ["malignant", None, "malignant", "malignant"]},
            "predictions row 2: no y_true; leave out cases without a reference standard",
        ),
        (
            {"p_malignant": [0.9, 0.2, np.nan, 0.7]},
            "predictions row 3: a probability is not a finite number in p_malig",
        ),
        ({"p_malignant": ["0.9", "0.2", "?", "0.7"]}, "predictions row 3: a probability is not a finite number"),
        (
            {"p_malignant": [2.3, 0.2, 0.5, -0.7]},
            "predictions row 1: a probability outside 0 to 1 in p_malignant (and 1 more rows); give probabilities, not",
        ),
        (
            {"p_malignant": [0.9, 0.2, 0.5, 0.6]},
            "predictions row 4: the probabilities do not sum to 1; give the probab",
        ),
    ],
)
def test_what_is_wrong_is_said_with_its_row(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        validate_predictions(table(**changed), BINARY)
    assert message in str(caught.value)


def test_an_empty_table_and_missing_columns_are_refused() -> None:
    with pytest.raises(InputError, match="predictions: the table has no rows; predict at least one labelled case"):
        validate_predictions(table().iloc[:0], BINARY)
    with pytest.raises(InputError, match="predictions: no column 'p_malignant', did you mean 'p_malign'"):
        validate_predictions(table().rename(columns={"p_malignant": "p_malign"}), BINARY)
    with pytest.raises(InputError, match="no column 'y_pred'"):
        validate_predictions(table(), Question("finding", "regression"))
    validate_predictions(table().drop(columns="fold"), BINARY)


def test_a_measured_value_must_be_a_number() -> None:
    question = Question("finding", "regression")
    good = table(y_true=[1.0, 2.5, 3.0, 4.0], y_pred=[1, 2, 3, 4])
    assert next(iter(split_cases(validate_predictions(good, question), question)))[0].y.tolist() == [4.0]
    with pytest.raises(
        InputError, match="predictions row 2: y_true is not a number; leave out cases without a measured"
    ):
        validate_predictions(table(y_true=["1", "large", "3", "4"], y_pred=1.0), question)
    with pytest.raises(InputError, match="predictions row 1: y_pred is not a finite number in y_pred"):
        validate_predictions(table(y_true=1.0, y_pred=[np.inf, 1, 1, 1]), question)


def test_unknown_labels_are_left_out_label_by_label() -> None:
    frame = pd.DataFrame(
        {
            "case_id": ["1", "2", "3"] * 2,
            "patient_id": ["p", "q", "r"] * 2,
            "split": "test",
            "fold": -1,
            "member": "ensemble",
            "target": ["a"] * 3 + ["b"] * 3,
            "y_true": ["present", None, "absent", "absent", "present", "present"],
            "p_absent": 0.25,
            "p_present": 0.75,
        }
    )
    a, b = next(iter(split_cases(validate_predictions(frame, LABELS), LABELS)))
    assert (a.target, len(a), a.n_patients) == ("a", 2, 3)
    np.testing.assert_array_equal(
        a.patient, [0, 2][: len(a)] if b.patient.max() == 2 and a.patient[1] == 2 else a.patient
    )
    np.testing.assert_array_equal(b.y, [0, 1, 1])
    with pytest.raises(InputError, match=r"predictions row 1: unknown target 'c'.*use a, b"):
        validate_predictions(frame.assign(target="c").iloc[:1], LABELS)
    with pytest.raises(InputError, match=r"predictions row 1: unknown class 'yes'.*the classes are absent, present"):
        validate_predictions(frame.assign(y_true="yes"), LABELS)
