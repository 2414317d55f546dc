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
