"""Another tool's table of predictions: what is understood, what is guessed, and what is refused in which words."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semeion.errors import InputError
from semeion.evidence.foreign.classes import Vocabulary
from semeion.evidence.foreign.columns import Named
from semeion.evidence.foreign.reading import Foreign, understand
from semeion.evidence.question import Question
from semeion.evidence.table import validate_predictions

SENSES = {"malignant": 1, "benign": -1, "1": 1, "0": -1, "yes": 1, "no": -1, "tumour": 1}
WORDS = Vocabulary(
    sense=lambda name: SENSES.get(name.lower(), 0),
    presence=lambda text: {"0": 0.0, "1": 1.0, "no": 0.0, "yes": 1.0}.get(text.lower()),
    splits={"train": "train", "validation": "val", "val": "val", "test": "test"},
    missing=frozenset(("", "nan", "na", "?")),
)


def table(n: int = 6, **columns: Any) -> pd.DataFrame:
    rows = {"y": [0, 1] * (n // 2), "p": np.linspace(0.1, 0.9, n), **columns}
    kept = {name: values for name, values in rows.items() if values is not None}
    return pd.DataFrame(kept, index=pd.RangeIndex(2, n + 2, name="row"))


def read(frame: pd.DataFrame, known: Question | None = None, **named: Any) -> Foreign:
    found = understand(frame, Named(**named), WORDS, known=known, where="p.csv")
    validate_predictions(found.predictions, found.question)
    return found


def refused(frame: pd.DataFrame, **named: Any) -> str:
    with pytest.raises(InputError) as caught:
        understand(frame, Named(**named), WORDS, where="p.csv")
    return str(caught.value)


# Columns


def test_columns_that_are_named_are_taken() -> None:
    frame = table(id=["a", "a", "b", "b", "c", "c"], file=list("uvwxyz"), hospital=["n", "s"] * 3, age=range(6))
    found = read(frame, truth=("y",), probability=("p",), patient="id", case="file", site="hospital")
    rows = found.predictions
    assert rows["case_id"].tolist() == list("uvwxyz")
    assert rows["patient_id"].tolist() == ["a", "a", "b", "b", "c", "c"]
    assert set(rows["split"]) == {"external"}
    assert set(rows["member"]) == {"ensemble"}
    assert rows["p_1"].tolist() == frame["p"].tolist()
    assert (found.has_patients, found.has_cases, found.has_split, found.own) == (True, True, False, False)
    assert found.guessed == ()
    assert found.notes == ("Not used: column age.",)
    assert found.strata is not None
    assert list(found.strata.columns) == ["case_id", "hospital"]


@pytest.mark.parametrize(
    "names",
    [
        {"y": "y_true", "p": "y_score"},
        {"y": "Label", "p": "Probability"},
        {"y": "ground truth", "p": "prob_1"},
        {"y": "target", "p": "predicted risk"},
    ],
)
def test_one_candidate_is_enough_to_guess(names: dict[str, str]) -> None:
    frame = table(**{"Patient ID": list("aabbcc"), "image_id": list("uvwxyz")}).rename(columns=names)
    found = read(frame)
    assert found.question.target == names["y"]
    assert found.predictions["patient_id"].tolist() == list("aabbcc")
    assert found.predictions["case_id"].tolist() == list("uvwxyz")
    assert f"Taken as the truth: column {names['y']!r}." in found.notes
    assert set(found.guessed) == {"prediction", "truth", "patient", "case"}


@pytest.mark.parametrize(
    ("frame", "named", "words"),
    [
        (
            table(label=[1] * 6),
            {},
            ["p.csv: 'y', 'label' may each be the truth; name one with --truth"],
        ),
        (table(score=[0.5] * 6), {}, ["the probability may be 'p', 'score'", "--probability"]),
        (
            table(p_a=[0.5] * 6, p_b=[0.5] * 6),
            {},
            ["the probability may be 'p', 'p_a' with 'p_b'", "one a class as p_a,p_b"],
        ),
        (table(y=None), {}, ["no column is called as a reference standard is (columns: p)", "--truth"]),
        (
            table(p=None, call=[1] * 6),
            {},
            ["no column is called as a probability is (columns: y, call)", "a call cannot be ranked", "--probability"],
        ),
        (table(subject=list("abcdef"), patient=list("abcdef")), {}, ["may each be the patient", "--patient"]),
        (table(image=list("abcdef"), id=list("abcdef")), {}, ["may each be the case; name one with --case"]),
        (table(), {"truth": ("yy",)}, ["no column 'yy' (--truth), did you mean 'y'?", "choose one of y, p"]),
        (table(sex=["m"] * 6), {"strata": ("sexx",)}, ["no column 'sexx' (--strata), did you mean 'sex'?"]),
        (table(), {"truth": ("y",), "probability": ("y",)}, ["'y' is --truth and --probability", "of its own"]),
        (table(), {"truth": ("y", "y")}, ["--truth names 'y' twice"]),
        (table(weight=[1] * 6), {"weights": "weight"}, ["--weights weight: case weights are not supported:"]),
        (table(), {"weights": "wieght"}, ["case weights are not supported (and there is no such column)"]),
        (table(), {"task": "binry"}, ["--task: unknown task 'binry', did you mean 'binary'?"]),
    ],
)
def test_columns_that_are_not_sure_are_refused(frame: pd.DataFrame, named: dict[str, Any], words: list[str]) -> None:
    message = refused(frame, **named)
    for word in words:
        assert word in message


def test_a_column_of_weights_that_nobody_asked_for_is_not_used() -> None:
    said = "Case weights are not supported: every case counts once, whatever {} says."
    for name in ("weight", "Sample_Weight"):
        assert {f"Not used: column {name}.", said.format(name)} <= set(read(table(**{name: [1] * 6})).notes)
    assert read(own().assign(weight=1.0)).notes == (said.format("weight"),)
    assert read(own()).notes == ()


def test_an_empty_table_is_refused() -> None:
    assert refused(table().iloc[:0]) == "p.csv: has no rows; predict at least one labelled case"


# Rows


def test_without_a_case_column_rows_have_their_numbers() -> None:
    found = read(table())
    assert found.predictions["case_id"].tolist() == ["2", "3", "4", "5", "6", "7"]
    assert not found.has_cases
    assert not found.has_patients


@pytest.mark.parametrize(
    ("columns", "named", "words"),
    [
        (
            {"case": ["a", "b", "a", "c", "d", "a"]},
            {},
            ["case 'a' (case) stands in rows 2, 4, 7", "keep one row a case", "--case", "--patient"],
        ),
        ({"case": ["a", None, "b", "c", "?", "d"]}, {}, ["no case (case) in rows 3, 6"]),
        ({"patient": ["a", "", "b", "c", "d", "d"]}, {}, ["no patient (patient) in row 3", "may belong to any"]),
        ({"y": [0, 1, None, 0, 1, 1]}, {}, ["no truth (y) in row 4", "leave out cases without a reference standard"]),
        ({"split": ["test"] * 5 + ["tset"]}, {}, ["split 'tset', in row 7, is none of", "did you mean 'test'?"]),
        ({"split": ["test"] * 5 + [None]}, {}, ["no split (split) in row 7", "--no-split"]),
        ({"split": ["train"] * 6}, {}, ["every row is of the split train", "--no-split"]),
    ],
)
def test_rows_that_cannot_be_placed_are_named(columns: dict[str, Any], named: dict[str, Any], words: list[str]) -> None:
    message = refused(table(**columns), **named)
    for word in words:
        assert word in message


def test_no_message_names_a_patient() -> None:
    frame = table(patient=["Anna Smith"] * 6, case=["a"] * 6)
    assert "Smith" not in refused(frame)


def test_splits_are_read_in_their_own_words() -> None:
    found = read(table(split=["Train", "validation", "TEST", "test", "external", "oof"]))
    assert found.predictions["split"].tolist() == ["train", "val", "test", "test", "external", "oof"]
    assert set(read(table(split=["x"] * 6), no_split=True).predictions["split"]) == {"external"}
    kept = read(table(split=["Calibration", "calib", "cal", "conformal", "test", "test"]))
    assert kept.predictions["split"].tolist() == ["calibration"] * 4 + ["test"] * 2
    assert "every row calibrates sets of classes or was learned from" in refused(
        table(split=["train", "train", *["calibration"] * 4])
    )


def test_folds_that_are_named_make_out_of_fold_predictions() -> None:
    found = read(table(k=[0, 0, 1, 1, 2, 2]), fold="k")
    assert set(found.predictions["split"]) == {"oof"}
    assert found.predictions["fold"].tolist() == [0, 0, 1, 1, 2, 2]
    named = read(table(k=["b", "b", "a", "a", "c", "c"]), fold="k")
    assert named.predictions["fold"].tolist() == [1, 1, 0, 0, 2, 2]
    assert set(read(table(fold=[0] * 6)).predictions["split"]) == {"external"}, "a column nobody named says nothing"


# Probabilities


@pytest.mark.parametrize(
    ("p", "words"),
    [
        ([0.1, 0.2, 1.2, 0.3, -0.1, 0.4], ["p is 1.2, outside 0 to 1, in rows 4, 6", "not scores or logits"]),
        (
            [10, 20, 87.5, 99, 0, 50],
            ["p is 10, outside 0 to 1, and looks like percent, in rows 2, 3", "divide them by 100"],
        ),
        (["10 %", "20 %", "30 %", "1 %", "2 %", "3 %"], ["p '10 %' is no number", "remove the percent signs"]),
        ([0.1, np.nan, 0.2, 0.3, 0.4, 0.5], ["no probability (p) in row 3", "on which the model failed"]),
        (["0.1", "NaN", "", "0.2", "0.3", "0.4"], ["no probability (p) in rows 3, 4"]),
        (["0.1", "high", "0.2", "low", "0.3", "0.4"], ["p 'high' is no number, in rows 3, 5"]),
        ([0.1, np.inf, 0.2, 0.3, 0.4, 0.5], ["p is infinite in row 3", "not logits or odds"]),
    ],
)
def test_what_is_no_probability_is_refused(p: list[Any], words: list[str]) -> None:
    message = refused(table(p=p))
    for word in words:
        assert word in message


def test_rounding_beyond_the_ends_is_put_back() -> None:
    found = read(table(p=[-1e-7, 1 + 1e-7, 0.5, 0.5, 0.2, 0.1]))
    assert found.predictions["p_1"].between(0, 1).all()


def test_decimal_commas_are_read_and_said() -> None:
    found = read(table(p=["0,1", "0,25", "0,3", "1", "0", "0,5"]))
    assert found.predictions["p_1"].tolist() == [0.1, 0.25, 0.3, 1, 0, 0.5]
    assert "p: decimal commas are read as points." in found.notes


def test_probabilities_that_rank_nothing_are_said() -> None:
    assert any("p is 0.5 in every row" in note and "AUROC is 0.5" in note for note in read(table(p=[0.5] * 6)).notes)
    assert any("these are calls and no probabilities" in note for note in read(table(p=[0, 1] * 3)).notes)


def several(n: int = 6, decimals: int = 3, **columns: Any) -> pd.DataFrame:
    p = np.random.default_rng(0).dirichlet(np.ones(3), n).round(decimals)
    kinds = [("cyst", "mass", "scar")[row % 3] for row in range(n)]
    return table(n, **{"y": kinds, "p": None, "p_cyst": p[:, 0], "p_mass": p[:, 1], "p_scar": p[:, 2], **columns})


def test_sums_that_rounding_explains_are_mended_and_said() -> None:
    found = read(several(60, 3))
    sums = found.predictions[["p_cyst", "p_mass", "p_scar"]].sum(axis=1)
    assert np.abs(sums - 1).max() < 1e-12
    assert any("sum to 1 within" in note for note in found.notes)


def test_sums_that_rounding_does_not_explain_are_refused() -> None:
    frame = several()
    frame.loc[3, "p_cyst"] += 0.1
    message = refused(frame)
    assert "the probabilities sum to 1.1 and not to 1, in row 3" in message
    assert "--task multilabel" in message


# Classes


@pytest.mark.parametrize(
    ("frame", "named", "classes", "positive"),
    [
        (table(), {}, ("0", "1"), "1"),
        (table(y=[0.0, 1.0] * 3), {}, ("0", "1"), "1"),
        (table(y=["-1", "1"] * 3), {}, ("-1", "1"), "1"),
        (table(y=[False, True] * 3), {}, ("False", "True"), "True"),
        (table(y=["benign", "malignant"] * 3), {}, ("benign", "malignant"), "malignant"),
        (table(y=["left", "right"] * 3), {"positive": "left"}, ("right", "left"), "left"),
        (table(), {"labels": {"0": "benign", "1": "malignant"}}, ("benign", "malignant"), "malignant"),
        (table(), {"labels": {"0": "left", "1": "right"}}, ("left", "right"), "right"),
        (table(y=["left", "right"] * 3).rename(columns={"p": "p_left"}), {}, ("right", "left"), "left"),
        (table(y=[0, 1, 2, 0, 1, 2]), {"labels": {"0": "no", "1": "yes", "2": "yes"}}, ("no", "yes"), "yes"),
        (table(y=[1] * 6), {}, ("0", "1"), "1"),
        (table(y=[0] * 6), {}, ("0", "1"), "1"),
        (table(y=["malignant"] * 6), {}, ("not malignant", "malignant"), "malignant"),
        (table(y=["benign"] * 6), {}, ("benign", "not benign"), "not benign"),
        (table(y=["Yes"] * 6), {}, ("No", "Yes"), "Yes"),
    ],
)
def test_the_positive_class_is_known_when_it_is_sure(
    frame: pd.DataFrame, named: dict[str, Any], classes: tuple[str, str], positive: str
) -> None:
    found = read(frame, **named)
    assert (found.question.classes, found.question.positive) == (classes, positive)
    assert positive in found.why
    column = found.predictions[f"p_{positive.replace(' ', '%20')}"]
    assert column.to_numpy() == pytest.approx(frame.iloc[:, -1].to_numpy(dtype=float))


@pytest.mark.parametrize(
    ("frame", "named", "words"),
    [
        (
            table(y=["left", "right"] * 3),
            {},
            ["'p' is the probability of one class, and nothing says of which ('left', 'right')", "--positive"],
        ),
        (table(y=[1, 2] * 3), {}, ["nothing says of which ('1', '2')", "--positive"]),
        (
            table(),
            {"labels": {"0": "malignant", "1": "benign"}},
            ["either 'malignant', by its name, or 'benign', by its code", "--positive"],
        ),
        (table(), {"positive": "2"}, ["--positive '2' is no class", "choose '0' or '1'"]),
        (table(y=["malignant"] * 6), {"positive": "malignnat"}, ["did you mean 'malignant'?"]),
        (
            table(y=["left", "right"] * 3).rename(columns={"p": "p_left"}),
            {"positive": "right"},
            ["'p_left' is by its name the probability of 'left'", "--positive left"],
        ),
        (table(y=["left"] * 6), {}, ["nothing says of which ('left')"]),
        (table(y=[0, 1, 2, 0, 1, 2]), {}, ["y holds 3 classes (0, 1, 2)", "p_a,p_b,p_c", "--labels"]),
        (table(), {"labels": {"5": "a", "6": "b"}}, ["--labels names '5', '6', and y holds '0', '1'"]),
        (table(), {"task": "multiclass"}, ["task multiclass, and 'p' is one column of probabilities"]),
        (several(y=["cyst", "mass", "node"] * 2), {}, ["y 'node' in rows 4, 7 matches no column", "--labels node="]),
        (several(y=["cyst", "mass", "scarr"] * 2), {}, ["did you mean 'scar'?"]),
        (several(), {"positive": "mass"}, ["--positive 'mass' needs a binary target, and this one is multiclass"]),
        (several(), {"task": "binary"}, ["--task binary, and there are 3 columns of probabilities"]),
    ],
)
def test_classes_that_cannot_be_known_are_refused(frame: pd.DataFrame, named: dict[str, Any], words: list[str]) -> None:
    message = refused(frame, **named)
    for word in words:
        assert word in message


def test_a_probability_of_the_other_class_is_never_taken_for_the_positive_one() -> None:
    """Whatever the names, p of the canonical table is that of the class which the column was said to be of."""
    for positive in ("left", "right"):
        found = read(table(y=["left", "right"] * 3), positive=positive)
        assert found.predictions[f"p_{positive}"].to_numpy() == pytest.approx(np.linspace(0.1, 0.9, 6))


def test_one_column_a_class() -> None:
    found = read(several(y=["cyst", "scar", "cyst", "scar", "cyst", "cyst"]))
    assert found.question == Question("y", "multiclass", ("cyst", "mass", "scar"))
    assert "No case is of 'mass': what needs one is undefined." in found.notes
    assert read(several(), task="ordinal").question.task == "ordinal"
    renamed = several().rename(columns={"p_cyst": "cyst", "p_mass": "mass", "p_scar": "scar"})
    assert read(renamed, probability=("scar", "cyst", "mass")).question.classes == ("scar", "cyst", "mass")
    coded = several(y=["0", "1", "2"] * 2).rename(columns={"p_cyst": "prob.0", "p_mass": "prob.1", "p_scar": "prob.2"})
    labels = {"0": "cyst", "1": "mass", "2": "scar"}
    assert read(coded, labels=labels).question.classes == ("cyst", "mass", "scar")


def test_two_columns_need_no_guess() -> None:
    frame = table(y=["left", "right", "left"] * 2, p=None, p_right=[0.25] * 6, p_left=[0.75] * 6)
    found = read(frame)
    assert (found.question.classes, found.question.positive) == (("right", "left"), "right")
    assert "the rarer one" in found.why
    assert read(frame, positive="left").question.positive == "left"
    encoded = table(y=["a b", "c"] * 3, p=None, **{"p_a%20b": [0.3] * 6, "p_c": [0.7] * 6})
    assert read(encoded, positive="c").question.classes == ("a b", "c")


# Other tasks


def test_several_labels() -> None:
    frame = table(y=None, p=None, edema=[1, 0, "yes", "no", None, 1], nodule=[0, 1] * 3)
    frame = frame.assign(p_nodule=0.25, p_edema=0.75)
    found = read(frame, truth=("edema", "nodule"))
    assert found.question == Question("edema,nodule", "multilabel", ("edema", "nodule"))
    rows = found.predictions[found.predictions["target"] == "edema"]
    assert rows["y_true"].fillna("unknown").tolist() == ["present", "absent", "present", "absent", "unknown", "present"]
    assert set(rows["p_present"]) == {0.75}
    ordered = frame.rename(columns={"p_nodule": "b", "p_edema": "a"})
    assert set(read(ordered, truth=("edema", "nodule"), probability=("a", "b")).predictions["p_present"][:6]) == {0.75}
    message = refused(frame.assign(edema="perhaps"), truth=("edema", "nodule"))
    assert "edema 'perhaps', in rows 2, 3, 4, 5, 6, 7, says neither present nor absent" in message
    assert "do not belong together by name" in refused(frame.drop(columns="p_edema"), truth=("edema", "nodule"))
    assert "--task binary has one column of truth" in refused(frame, truth=("edema", "nodule"), task="binary")


def test_a_measured_value() -> None:
    frame = table(y=[1.5, 2, 3, 4, 5, 6], p=None, y_pred=[1, 2, 3, 4, 5, 7])
    found = read(frame, task="regression", target="diameter")
    assert found.question == Question("diameter", "regression")
    assert found.predictions["y_pred"].tolist() == [1, 2, 3, 4, 5, 7]
    assert "y 'x' is no number, in row 2" in refused(frame.assign(y=["x", *"23456"]), task="regression")
    assert "without classes" in refused(frame, task="regression", positive="1")


# Semeion's own predictions


def own(**columns: Any) -> pd.DataFrame:
    rows = {
        "case_id": ["a", "b", "a", "b"],
        "patient_id": ["x", "y", "x", "y"],
        "site": ["n", "s", "n", "s"],
        "split": "test",
        "fold": -1,
        "member": ["ensemble", "ensemble", "seed0", "seed0"],
        "target": "finding",
        "y_true": ["normal or benign", "malignant"] * 2,
        "p_normal%20or%20benign": [0.7, 0.2] * 2,
        "p_malignant": [0.3, 0.8] * 2,
        "raw_malignant": [0.3, 0.8] * 2,
    }
    return pd.DataFrame({**rows, **columns})


def test_our_own_predictions_need_no_names() -> None:
    found = read(own())
    assert found.own
    assert found.question == Question("finding", "binary", ("normal or benign", "malignant"), "malignant")
    assert found.has_patients
    assert found.strata is not None
    assert found.strata["site"].tolist() == ["n", "s"]
    known = Question("finding", "binary", ("normal or benign", "malignant"), "normal or benign")
    assert read(own(), known).question == known
    assert read(own(), known, positive="malignant").question.positive == "malignant"
    assert not read(own(patient_id=["a", "b"] * 2)).has_patients


def test_what_our_own_predictions_do_not_say_is_asked() -> None:
    two = pd.concat([own(), own(target="grade")])
    assert refused(two) == "p.csv: holds 2 targets (finding, grade); name one with --target"
    assert read(two, target="grade").question.target == "grade"
    assert "no row for the target 'finging' (--target), did you mean 'finding'?" in refused(own(), target="finging")
    masks = own().drop(columns=["p_malignant", "p_normal%20or%20benign"])
    assert "holds neither probabilities (p_<class>) nor predicted values" in refused(masks)
    assert "name their classes" in refused(own(), labels={"0": "a"})
    assert "case weights are not supported" in refused(own(), weights="site")


def test_our_own_labels_and_values() -> None:
    labels = pd.concat([own(target=name, y_true=["absent", "present"] * 2) for name in ("a", "b")])
    labels = labels.rename(columns={"p_normal%20or%20benign": "p_absent", "p_malignant": "p_present"})
    assert read(labels).question == Question("a,b", "multilabel", ("a", "b"))
    values = own(y_true=[1.0, 2.0] * 2, y_pred=[1.0, 2.5] * 2).drop(columns=["p_malignant", "p_normal%20or%20benign"])
    assert read(values).question == Question("finding", "regression")


# Whatever is given


@settings(max_examples=20, deadline=None)
@given(
    p=st.lists(st.floats(0, 1, allow_nan=False), min_size=2, max_size=12),
    as_text=st.booleans(),
    order=st.randoms(use_true_random=False),
)
def test_what_was_given_comes_out_whatever_the_type_and_order(p: list[float], as_text: bool, order: Any) -> None:
    frame = pd.DataFrame(
        {"y": [row % 2 for row in range(len(p))], "p": p, "case": [f"c{row}" for row in range(len(p))]},
        index=pd.RangeIndex(2, len(p) + 2),
    )
    if as_text:
        frame = frame.astype("str")
    rows = list(range(len(p)))
    order.shuffle(rows)
    found = read(frame.iloc[rows]).predictions.set_index("case_id").loc[frame["case"]]
    assert found["p_1"].tolist() == pytest.approx(p, abs=1e-15)
    assert found["y_true"].tolist() == [str(row % 2) for row in range(len(p))]
