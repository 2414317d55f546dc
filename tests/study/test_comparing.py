"""Two files, folders or runs compared: what is paired with what, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from semeion.artefacts import read_json
from semeion.errors import InputError
from semeion.evidence.foreign.columns import Named
from semeion.report.compare_page import sentences
from semeion.study.comparing import compare_files, comparison_of
from semeion.study.weigh_file import weigh_file
from support.tiny import PATIENT


def rows(noise: float, seed: int, n: int = 60, **columns: Any) -> pd.DataFrame:
    y = np.random.default_rng(0).integers(0, 2, n)
    p = 1 / (1 + np.exp(-(2 * y - 1 + noise * np.random.default_rng(seed).normal(size=n))))
    made = {
        "case_id": [f"c{row:03}" for row in range(n)],
        "patient_id": [f"{PATIENT}{row // 2:03}" for row in range(n)],
        "y": y,
        "p": p,
    }
    return pd.DataFrame({**made, **columns})


def saved(path: Path, table: pd.DataFrame) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(path, index=False)
    return path


def compared(a: Path, b: Path, split: str | None = None) -> dict[str, Any]:
    return comparison_of(a, b, split=split, resamples=20, jobs=1)


def refused(a: Path, b: Path, split: str | None = None) -> str:
    with pytest.raises(InputError) as caught:
        compared(a, b, split)
    return str(caught.value)


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    return saved(tmp_path / "a.csv", rows(2.0, 1)), saved(tmp_path / "b.csv", rows(0.5, 2))


def test_two_files(two: tuple[Path, Path], tmp_path: Path) -> None:
    found = compare_files(*two, tmp_path / "out", resamples=20, jobs=1)
    tables = [pd.read_csv(path) for path in two]
    areas = [roc_auc_score(table["y"], table["p"]) for table in tables]
    assert found["figures"]["auroc"]["difference"]["value"] == pytest.approx(areas[1] - areas[0])
    assert found["sentences"][0].startswith("B is better by ")
    assert found["sentences"][0].endswith(" in AUROC on 60 cases, 30 patients.")
    assert {file.name for file in (tmp_path / "out").iterdir()} == {"compare.json", "compare.html"}
    assert read_json(tmp_path / "out" / "compare.json")["sentences"] == found["sentences"]
    assert (found["a"]["source"], found["a"]["split"]) == ("a.csv", "external")
    assert PATIENT not in (tmp_path / "out" / "compare.html").read_text()
    assert PATIENT not in (tmp_path / "out" / "compare.json").read_text()


def test_a_folder_that_was_weighed_keeps_its_names_and_its_point(two: tuple[Path, Path], tmp_path: Path) -> None:
    odd = pd.read_csv(two[1]).rename(columns={"case_id": "exam", "patient_id": "who", "y": "cancer", "p": "risk"})
    path = saved(tmp_path / "odd.csv", odd)
    assert "no column is called as a reference standard is" in refused(two[0], path)
    weigh_file(path, tmp_path / "w", Named(("cancer",), patient="who", target="y"), threshold=0.3, resamples=5)
    found = compared(two[0], tmp_path / "w")
    assert found["b"]["operating_point"]["value"] == 0.3
    assert found["n_patients"] == 30
    plain = compared(*two)
    assert found["figures"]["auroc"] == plain["figures"]["auroc"]


def test_cases_that_one_lacks_are_left_out_and_said(two: tuple[Path, Path], tmp_path: Path) -> None:
    saved(two[1], pd.read_csv(two[1]).iloc[:50])
    found = compared(*two)
    assert found["n"] == 50
    assert found["a"]["left_out"] == 10
    assert "10 cases of A left out: B has no prediction of them." in found["notes"]


def test_rows_without_case_ids_are_not_paired_by_number(two: tuple[Path, Path], tmp_path: Path) -> None:
    nameless = saved(tmp_path / "n.csv", pd.read_csv(two[1]).drop(columns="case_id"))
    assert "no column says which case a row is" in refused(two[0], nameless)
    weigh_file(nameless, tmp_path / "w", Named(), resamples=5)
    assert "no column says which case a row is" in refused(two[0], tmp_path / "w")


def test_which_split_is_compared(two: tuple[Path, Path], tmp_path: Path) -> None:
    split = ["val"] * 20 + ["test"] * 40
    a = saved(tmp_path / "sa.csv", rows(2.0, 1, split=split))
    b = saved(tmp_path / "sb.csv", rows(0.5, 2, split=split))
    assert compared(a, b)["n"] == 40
    val = compared(a, b, "val")
    assert val["n"] == 20
    assert any("optimistic" in note for note in val["notes"])
    mixed = compared(a, two[1])
    assert (mixed["a"]["split"], mixed["b"]["split"], mixed["n"]) == ("test", "external", 40)
    assert "The split is called test in A and external in B; cases are paired by their ids." in mixed["notes"]
    assert compared(a, two[1], "val")["n"] == 20
    assert "has no cases of the split 'oof' (its splits: val, test)" in refused(a, b, "oof")
    assert "--split: unknown split 'tset'" in refused(a, b, "tset")


def test_disagreement_is_refused(two: tuple[Path, Path], tmp_path: Path) -> None:
    a, b = two
    other = pd.read_csv(b)
    wrong = saved(tmp_path / "1.csv", other.assign(y=1 - other["y"]))
    assert "the truth differs in 60 cases: c000, c001" in refused(a, wrong)
    torn = saved(tmp_path / "2.csv", other.assign(patient_id=[f"q{row // 3}" for row in range(60)]))
    message = refused(a, torn)
    assert "cases that are one patient's in one file are of several in the other" in message
    assert PATIENT not in message
    apart = saved(tmp_path / "3.csv", other.assign(case_id="z" + other["case_id"]))
    assert "no case is in both (60 cases of the split external, 60 of external)" in refused(a, apart)
    named = saved(tmp_path / "4.csv", other.rename(columns={"y": "label"}))
    assert "the targets differ: 'y' and 'label'" in refused(a, named)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    with pytest.raises(InputError, match="is not empty"):
        compare_files(a, b, tmp_path / "full")


def test_a_run_is_compared_with_itself(tiny_run: Any, tmp_path: Path) -> None:
    found = compared(tiny_run.path, tiny_run.path)
    assert found["a"]["split"] == "test"
    assert {figure["verdict"] for figure in found["figures"].values()} <= {"none", "unknown"}
    assert sentences(found)[0].startswith("No difference is shown in AUROC: B less A is 0.000 (0.000 to 0.000)")
    folds = compared(tiny_run.path, tiny_run.path, "oof")
    value = tiny_run.evidence["metrics"]["oof"]["accuracy"]["value"]
    assert folds["figures"]["accuracy"]["a"]["value"] == pytest.approx(value), "each fold keeps its own point"


# Weights, and classes that one of the two lacks


def test_weights_are_said_to_count_for_nothing(two: tuple[Path, Path], tmp_path: Path) -> None:
    heavy = saved(tmp_path / "heavy.csv", pd.read_csv(two[1]).assign(weight=np.arange(60)))
    found = compared(two[0], heavy)
    assert found["figures"] == compared(*two)["figures"]
    assert "B: Case weights are not supported: every case counts once, whatever weight says." in found["notes"]
    assert not [note for note in found["notes"] if note.startswith("A: ") and "weight" in note]


@pytest.fixture
def several(tmp_path: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Two models' predictions of cases of three classes."""
    names = np.array(["cyst", "mass", "scar"])
    y = names[np.random.default_rng(0).integers(0, 3, 60)]
    cases = {"case_id": [f"c{row}" for row in range(60)], "patient_id": [f"p{row // 2}" for row in range(60)], "y": y}
    drawn = [np.random.default_rng(seed).dirichlet(np.ones(3), 60) for seed in (1, 2)]
    made = [pd.DataFrame({**cases, **{f"p_{name}": p[:, k] for k, name in enumerate(names)}}) for p in drawn]
    return made[0], made[1]


def test_a_class_absent_from_the_split_that_is_compared_is_said(
    several: tuple[pd.DataFrame, pd.DataFrame], tmp_path: Path
) -> None:
    """The rule: its own figures are undefined, and those over classes are of the classes that are there."""
    split = np.where(np.arange(60) < 30, "val", "test")
    y = np.where((split == "test") & (several[0]["y"] == "scar"), "cyst", several[0]["y"])
    a, b = (saved(tmp_path / f"{k}.csv", table.assign(y=y, split=split)) for k, table in enumerate(several))
    found = compared(a, b)
    assert (found["a"]["split"], found["n"], found["absent"]) == ("test", 30, ["scar"])
    said = "No case that is compared is of the class 'scar': its figures are undefined, and means are over the others."
    assert said in found["notes"]
    figures = found["figures"]
    assert figures["recall_scar"]["difference"]["reason"] == "no case of class 'scar'"
    assert figures["recall_scar"]["verdict"] == "unknown"
    for name in ("a", "b"):
        there = [figures[f"recall_{one}"][name]["value"] for one in ("cyst", "mass")]
        assert figures["balanced_accuracy"][name]["value"] == pytest.approx(np.mean(there))
    tests = pd.read_csv(b).query("split == 'test'")
    one = [roc_auc_score(tests["y"] == each, tests[f"p_{each}"]) for each in ("cyst", "mass")]
    assert figures["auroc"]["b"]["value"] == pytest.approx(np.mean(one))
    assert set(found["curves"]) == {"cyst", "mass"}
    whole = compared(a, b, "val")
    assert whole["absent"] == []
    assert not [note for note in whole["notes"] if "is of the class" in note]


def test_cases_of_a_class_that_one_file_lacks_are_left_out_and_the_class_is_named(
    two: tuple[Path, Path], several: tuple[pd.DataFrame, pd.DataFrame], tmp_path: Path
) -> None:
    rest = pd.read_csv(two[1]).query("y == 0")
    found = compared(two[0], saved(tmp_path / "rest.csv", rest))
    assert (found["n"], found["a"]["left_out"], found["absent"]) == (len(rest), 60 - len(rest), ["1"])
    said = "No case that is compared is of the class '1': figures that need both classes are undefined."
    assert said in found["notes"]
    assert found["figures"]["auroc"]["difference"]["reason"] == "only one class among the cases"
    assert found["figures"]["specificity"]["verdict"] in ("b", "none")
    a = saved(tmp_path / "a3.csv", several[0])
    b = saved(tmp_path / "b3.csv", several[1].query("y != 'scar'"))
    assert compared(a, b)["absent"] == ["scar"]


def test_a_model_that_knows_fewer_classes_answers_another_question(
    several: tuple[pd.DataFrame, pd.DataFrame], tmp_path: Path
) -> None:
    a = saved(tmp_path / "a.csv", several[0])
    two_classes = several[1].drop(columns="p_scar").query("y != 'scar'")
    two_classes[["p_cyst", "p_mass"]] /= two_classes[["p_cyst", "p_mass"]].sum(axis=1).to_numpy()[:, None]
    weighed = saved(tmp_path / "weighed.csv", two_classes)
    weigh_file(weighed, tmp_path / "w", Named(positive="mass"), resamples=5)
    assert "the tasks differ: multiclass (cyst, mass, scar) and binary (cyst, mass)" in refused(a, tmp_path / "w")
    unnamed = several[1].drop(columns="p_scar")
    assert "y 'scar' in rows 2, 11" in refused(a, saved(tmp_path / "b.csv", unnamed))


def test_a_label_that_all_or_none_have_is_said_and_left_out_of_the_means(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    truth = {"edema": rng.integers(0, 2, 40), "nodule": np.zeros(40, dtype=int)}
    paths = []
    for name in "ab":
        cases = {"case_id": [f"c{row}" for row in range(40)], "patient_id": [f"p{row}" for row in range(40)]}
        risks = {f"p_{label}": rng.random(40) for label in truth}
        table = saved(tmp_path / f"{name}.csv", pd.DataFrame({**cases, **truth, **risks}))
        weigh_file(table, tmp_path / name, Named(tuple(truth), tuple(risks)), resamples=5)
        paths.append(tmp_path / name)
    found = compared(*paths)
    assert found["absent"] == ["nodule"]
    said = "All cases that are compared, or none, have 'nodule': means over labels leave out what that undefines."
    assert said in found["notes"]
    one = found["targets"]["edema"]["figures"]["auroc"]["difference"]["value"]
    assert found["figures"]["auroc"]["difference"]["value"] == pytest.approx(one)


# Cases that leave little to say


@pytest.mark.parametrize(
    ("column", "words"),
    [
        ({"p": 1.5}, "p is 1.5, outside 0 to 1"),
        ({"p": np.nan}, "no probability (p)"),
        ({"p": "high"}, "p 'high' is no number"),
        ({"case_id": "c000"}, "case 'c000' (case_id) stands in rows"),
        ({"y": None}, "no truth (y) in row"),
    ],
)
def test_a_table_that_cannot_be_used_is_named(
    column: dict[str, Any], words: str, two: tuple[Path, Path], tmp_path: Path
) -> None:
    wrong = pd.read_csv(two[1]).astype(object)
    for name, value in column.items():
        wrong.loc[5, name] = value
    message = refused(two[0], saved(tmp_path / "wrong.csv", wrong))
    assert message.startswith("wrong.csv: ") and words in message
    assert PATIENT not in message


def test_one_class_constant_and_tied_probabilities_are_compared_with_reasons(
    two: tuple[Path, Path], tmp_path: Path
) -> None:
    a, b = (pd.read_csv(path) for path in two)
    same = compared(two[0], saved(tmp_path / "constant.csv", b.assign(p=0.3)))["figures"]
    assert same["auroc"]["b"]["value"] == 0.5
    assert same["calibration_slope"]["difference"]["value"] is None
    assert same["calibration_slope"]["verdict"] == "unknown"
    tied = compared(two[0], saved(tmp_path / "tied.csv", b.assign(p=b["p"].round(1))))["figures"]
    assert tied["auroc"]["b"]["value"] == pytest.approx(roc_auc_score(b["y"], b["p"].round(1)))
    yes = [saved(tmp_path / f"{name}.csv", table.assign(y=1)) for name, table in (("one", a), ("other", b))]
    none = compared(*yes)["figures"]["auroc"]
    assert none["verdict"] == "unknown"
    assert none["difference"]["reason"] == "only one class among the cases"


def test_three_cases_are_compared_without_a_claim(two: tuple[Path, Path], tmp_path: Path) -> None:
    few = [saved(tmp_path / path.name, pd.read_csv(path).iloc[:3]) for path in two]
    found = compared(*few)
    assert found["n"] == 3
    assert {figure["verdict"] for figure in found["figures"].values()} <= {"unknown", "none"}
