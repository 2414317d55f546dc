"""Predictions of any tool weighed from their file: figures, operating point, first page, and what is refused."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import recall_score, roc_auc_score

from semeion.artefacts import read_json
from semeion.errors import InputError
from semeion.evidence.foreign.columns import Named
from semeion.evidence.use.operating import choose_point
from semeion.study.predictions_file import load_predictions
from semeion.study.weigh_file import file_evidence, weigh_file
from support.tiny import PATIENT

RESAMPLES = 20


def rows(n: int = 60, seed: int = 0, **columns: Any) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, n)
    p = 1 / (1 + np.exp(-(2 * y - 1 + rng.normal(size=n))))
    made = {
        "study": [f"s{row:03}" for row in range(n)],
        "subject": [f"{PATIENT}{row // 2:03}" for row in range(n)],
        "y": y,
        "p": p.round(5),
    }
    return pd.DataFrame({**made, **columns})


def saved(folder: Path, table: pd.DataFrame, name: str = "predictions.csv", **how: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    if path.suffix == ".parquet":
        table.to_parquet(path, index=False)
    elif path.suffix == ".xlsx":
        table.to_excel(path, index=False)
    else:
        table.to_csv(path, index=False, **how)
    return path


def weighed(path: Path, rule: str | None = None, threshold: float | None = None, **named: Any) -> Any:
    loaded = load_predictions(path, Named(**named), rule=rule, threshold=threshold)
    return file_evidence(loaded, resamples=RESAMPLES, jobs=1)


def written(path: Path, output: Path, threshold: float | None = None, **named: Any) -> Any:
    return weigh_file(path, output, Named(**named), threshold=threshold, resamples=RESAMPLES, jobs=1)


def refused(path: Path, **asked: Any) -> str:
    with pytest.raises(InputError) as caught:
        weighed(path, **asked)
    return str(caught.value)


def page_text(page: Path) -> str:
    bare = re.sub(r"<(style|svg|script).*?</\1>", " ", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", " ", bare).split())


def test_rows_of_the_split_calibration_make_sets_and_nothing_else(tmp_path: Path) -> None:
    split = ["calibration"] * 80 + ["test"] * 60 + ["train"] * 20
    evidence = weighed(saved(tmp_path, rows(160, split=split)))
    told = evidence["sets"]["test"]
    assert (told["stated"], told["calibration"]["n"], told["calibration"]["n_patients"]) == (0.9, 80, 40)
    assert told["marginal"]["coverage"]["n"] == 60
    assert set(evidence["metrics"]) == {"test"}
    assert [step["n_cases"] for step in evidence["flow"]] == [160]
    assert sum(part["n"] for part in evidence["splits"].values()) == 160
    assert "20 training cases and 80 cases that calibrate sets of classes are not weighed" in str(evidence["flow"])
    assert "served nothing else is the table's word" in evidence["weighed"]["roles"]["calibration"]
    plain = weighed(saved(tmp_path, rows(60)))
    assert plain["sets"]["external"]["reason"].startswith("No case calibrates sets of classes")


def test_a_file_of_another_tool_is_weighed(tmp_path: Path) -> None:
    table = rows(sex=["m", "f"] * 30)
    evidence = written(saved(tmp_path, table), tmp_path / "out", strata=("sex",))
    assert {file.name for file in (tmp_path / "out").iterdir()} == {
        *("predictions.parquet", "evidence.json", "weigh.json", "weigh.html"),
        *("crosswalk.html", "crosswalk.json"),
    }
    assert set(evidence["metrics"]) == {"external"}
    figures = evidence["metrics"]["external"]
    assert figures["auroc"]["value"] == pytest.approx(roc_auc_score(table["y"], table["p"]), abs=1e-12)
    assert figures["recall"]["value"] == pytest.approx(recall_score(table["y"], table["p"] >= 0.5), abs=1e-12)
    assert (figures["auroc"]["n"], figures["auroc"]["n_patients"]) == (60, 30)
    assert set(evidence["strata"]["sex"]) == {"m", "f"}
    point = evidence["operating_point"]
    assert (point["rule"], point["value"]) == ("given, not chosen on these cases", 0.5)
    assert read_json(tmp_path / "out" / "evidence.json")["metrics"] == evidence["metrics"]
    assert evidence["source"] == "predictions.csv"
    assert evidence["audits"]["patient-overlap"]["verdict"] == "not_run"
    assert {one["verdict"] for one in evidence["audits"].values() if one["tier"] == "check"} == {"not_run"}
    assert evidence["audits"]["small-sample"]["figures"]["cases"] == 60
    page = page_text(tmp_path / "out" / "weigh.html")
    for words in (
        "Predictions of a model of which nothing but this table is known",
        "the split is external",
        "Nothing is known of how the model was trained",
        "given, not chosen on these cases",
        "Research use only. Not a medical device.",
    ):
        assert words in page, words
    for words in ("external validation", "reads images,", "shipped", "The table names no split, and", PATIENT):
        assert words not in page, words


def test_what_was_weighed_can_be_weighed_and_reported_again(tmp_path: Path) -> None:
    from semeion.report.page import write_report

    first = written(saved(tmp_path, rows()), tmp_path / "out", threshold=0.3)
    page = (tmp_path / "out" / "weigh.html").read_bytes()
    write_report(tmp_path / "out", name="weigh")
    assert (tmp_path / "out" / "weigh.html").read_bytes() == page
    again = weighed(tmp_path / "out")
    assert again["metrics"] == first["metrics"]
    assert again["operating_point"] == first["operating_point"]
    assert not again["weighed"]["own"], "that it has our columns does not make the model ours"
    assert again["has_patients"]


@pytest.mark.parametrize("name", ["p.csv", "p.tsv", "p.xlsx", "p.parquet"])
def test_every_kind_of_table_gives_the_same_figures(name: str, tmp_path: Path) -> None:
    how = {"sep": "\t"} if name.endswith("tsv") else {}
    evidence = weighed(saved(tmp_path, rows(30), name, **how))
    exact = weighed(saved(tmp_path / "csv", rows(30)))
    assert evidence["metrics"] == exact["metrics"]


def test_semicolons_and_decimal_commas(tmp_path: Path) -> None:
    path = saved(tmp_path, rows(30), sep=";", decimal=",")
    evidence = weighed(path)
    assert evidence["metrics"]["external"]["auroc"]["value"] == roc_auc_score(rows(30)["y"], rows(30)["p"])
    assert "p: decimal commas are read as points." in evidence["notes"]
    assert any("delimited by ';'" in note for note in evidence["notes"])


# Operating points


def split_rows() -> pd.DataFrame:
    return rows(90, split=["val"] * 30 + ["test"] * 60)


@pytest.mark.parametrize("rule", [None, "sensitivity=0.9"])
def test_the_point_is_chosen_on_validation_cases_only(rule: str | None, tmp_path: Path) -> None:
    table = split_rows()
    evidence = weighed(saved(tmp_path, table), rule=rule)
    val = table[table["split"] == "val"]
    point = evidence["operating_point"]
    assert point["value"] == choose_point(val["y"], val["p"], rule or "youden")
    assert (point["rule"], point["chosen_on"], point["n"]) == (rule or "youden", "val", 30)
    changed = table.assign(p=table["p"].where(table["split"] == "val", 1 - table["p"]))
    other = weighed(saved(tmp_path / "b", changed), rule=rule)
    assert other["operating_point"] == point, "the cases that are weighed move nothing"
    given = weighed(tmp_path / "predictions.csv", threshold=0.25)
    assert given["operating_point"] == {"rule": "given, not chosen on these cases", "value": 0.25, "by_fold": {}}


@pytest.mark.parametrize(
    ("table", "asked", "words"),
    [
        (
            rows(),
            {"rule": "youden", "threshold": 0.4},
            ["--threshold 0.4 and --operating-point youden are two answers"],
        ),
        (rows(), {"rule": "youden"}, ["--operating-point youden: there are no validation cases", "--threshold"]),
        (
            rows(split="val"),
            {"rule": "youden"},
            ["the validation cases are all that would be weighed", "would flatter"],
        ),
        (rows(), {"rule": "yuden"}, ["unknown rule 'yuden', did you mean 'youden'?"]),
        (rows(), {"threshold": 1.5}, ["--threshold: 1.5 is no probability; give a number from 0 to 1"]),
        (rows(), {"threshold": float("nan")}, ["--threshold: nan is no probability"]),
        (
            rows(p=None, pred=1.0).assign(y=np.arange(60)).drop(columns="p"),
            {"task": "regression", "threshold": 0.5},
            ["--threshold 0.5 has no meaning for the task regression: a measured value is not called"],
        ),
        (
            rows(90, split=["val"] * 30 + ["test"] * 60).assign(y=lambda t: t["y"].where(t["split"] == "test", 0)),
            {"rule": "youden"},
            ["no positive case among the 30 cases that choose the point"],
        ),
    ],
)
def test_points_that_cannot_be_had_are_refused(
    table: pd.DataFrame, asked: dict[str, Any], words: list[str], tmp_path: Path
) -> None:
    message = refused(saved(tmp_path, table), **asked)
    for word in words:
        assert word in message


def test_validation_cases_alone_choose_nothing(tmp_path: Path) -> None:
    evidence = written(saved(tmp_path, rows(split="val")), tmp_path / "out")
    assert evidence["operating_point"]["rule"] == "given, not chosen on these cases"
    assert "Optimistic." in page_text(tmp_path / "out" / "weigh.html")


def test_validation_cases_of_one_class_leave_the_point_where_it_was(tmp_path: Path) -> None:
    table = split_rows()
    table.loc[table["split"] == "val", "y"] = 1
    evidence = weighed(saved(tmp_path, table))
    assert evidence["operating_point"]["value"] == 0.5
    assert any("No operating point could be chosen (no negative case" in note for note in evidence["notes"])


def test_folds_and_labels_have_their_points(tmp_path: Path) -> None:
    evidence = weighed(saved(tmp_path, rows(k=[row // 20 for row in range(60)])), fold="k")
    assert set(evidence["metrics"]) == {"oof"}
    labels = rows(90, y2=[0, 1] * 45, p2=[0.2, 0.7] * 45, split=["val"] * 30 + ["test"] * 60)
    path = saved(tmp_path / "labels", labels)
    several = weighed(path, truth=("y", "y2"), probability=("p", "p2"))
    val = labels[labels["split"] == "val"]
    assert several["operating_point"]["by_target"] == {
        "y": choose_point(val["y"], val["p"], "youden"),
        "y2": choose_point(val["y2"], val["p2"], "youden"),
    }
    assert several["targets"]["y2"]["metrics"]["test"]["auroc"]["value"] == 1


# Cases that leave little to say


def test_one_class_gives_reasons_and_no_error(tmp_path: Path) -> None:
    evidence = weighed(saved(tmp_path, rows(8, y=1)))
    auroc = evidence["metrics"]["external"]["auroc"]
    assert (auroc["value"], auroc["reason"]) == (None, "only one class among the cases")
    assert "No case is of '0': what needs one is undefined." in evidence["notes"]


def test_constant_probabilities_are_a_coin(tmp_path: Path) -> None:
    figures = weighed(saved(tmp_path, rows(p=0.4)))["metrics"]["external"]
    assert figures["auroc"]["value"] == 0.5
    assert figures["calibration_slope"]["value"] is None
    assert "probabilities that do not vary" in figures["calibration_slope"]["reason"]


def test_fewer_cases_than_bins_and_ties(tmp_path: Path) -> None:
    table = rows(4, y=[0, 1, 0, 1], p=[0.5, 0.5, 0.2, 0.5])
    figures = weighed(saved(tmp_path, table))["metrics"]["external"]
    assert figures["auroc"]["value"] == pytest.approx(roc_auc_score(table["y"], table["p"]))
    assert figures["ece"]["value"] is not None


def test_out_of_fold_cases_of_one_fold_alone_are_weighed_and_make_no_sets(tmp_path: Path) -> None:
    table = rows(40, k=[0] * 40)
    evidence = weighed(saved(tmp_path, table), fold="k")
    assert evidence["metrics"]["oof"]["auroc"]["value"] == pytest.approx(roc_auc_score(table["y"], table["p"]))
    assert "of one fold, so there are no others" in evidence["sets"]["oof"]["reason"]
    many = weighed(saved(tmp_path / "many", rows(12, k=range(12), subject=[f"q{row}" for row in range(12)])), fold="k")
    assert many["metrics"]["oof"]["accuracy"]["n"] == 12, "a fold of one case is no reason to stop"


def test_an_out_of_fold_table_that_was_weighed_can_be_weighed_and_compared_again(tmp_path: Path) -> None:
    path = saved(tmp_path, rows(60, k=[row // 20 for row in range(60)]))
    first = weigh_file(path, tmp_path / "out", Named(fold="k"), threshold=0.4, resamples=RESAMPLES, jobs=1)
    assert first["operating_point"]["by_fold"] == {"0": 0.4, "1": 0.4, "2": 0.4}
    again = weigh_file(tmp_path / "out", tmp_path / "again", Named(), jobs=1, **first["bootstrap"])
    assert again["metrics"] == first["metrics"]


def test_a_class_that_one_split_lacks(tmp_path: Path) -> None:
    p = np.random.default_rng(0).dirichlet(np.ones(3), 60).round(4)
    kinds = np.array(["a", "b", "c"])[np.arange(60) % 3]
    kinds[30:] = np.where(kinds[30:] == "c", "a", kinds[30:])
    table = rows(60, y=kinds, p_a=p[:, 0], p_b=p[:, 1], p_c=p[:, 2], split=["val"] * 30 + ["test"] * 30)
    evidence = weighed(saved(tmp_path, table.drop(columns="p")))
    assert evidence["metrics"]["test"]["auroc"]["reason"].startswith("left out, no case: c")
    assert "left out" not in evidence["metrics"]["val"]["auroc"].get("reason", "")
    assert evidence["operating_point"] == {"rule": "argmax"}


def test_a_ranking_upside_down_is_said(tmp_path: Path) -> None:
    table = rows(200)
    evidence = weighed(saved(tmp_path, table.assign(p=1 - table["p"])))
    assert any("ranked worse than by chance" in note and "--positive" in note for note in evidence["notes"])


# Patients


@pytest.mark.parametrize(
    ("columns", "verdict"),
    [
        ({"split": ["train"] * 20 + ["val"] * 20 + ["test"] * 20}, "clear"),
        ({"split": ["val"] * 30 + ["test"] * 30}, "not_run"),
        ({"split": ["val", "test"] * 30}, "void"),
        ({"split": ["train"] * 21 + ["val"] * 19 + ["test"] * 20}, "warn"),
        ({"split": ["oof"] * 60, "fold": [0, 1] * 30}, "void"),
        ({"split": ["oof"] * 60, "fold": [row // 20 for row in range(60)]}, "not_run"),
        ({"split": ["val"] * 30 + ["test"] * 30, "subject": None}, "not_run"),
    ],
)
def test_a_patient_on_two_sides_is_found(columns: dict[str, Any], verdict: str, tmp_path: Path) -> None:
    table = rows(**columns).dropna(axis=1, how="all")
    evidence = weighed(saved(tmp_path, table))
    audit = evidence["audits"]["patient-overlap"]
    assert audit["verdict"] == verdict
    assert bool(audit["cases"]) == (verdict in ("void", "warn"))
    assert PATIENT not in str(evidence)


def test_without_patients_it_is_said(tmp_path: Path) -> None:
    evidence = weighed(saved(tmp_path, rows().drop(columns="subject")))
    assert not evidence["has_patients"]
    assert any("No patient ids were given" in note for note in evidence["notes"])


# Our own predictions


def test_our_own_run_is_recomputed_to_the_last_digit(tiny_run: Any, tmp_path: Path) -> None:
    evidence = weigh_file(tiny_run.path, tmp_path / "out", Named(), seed=3, jobs=1)
    assert evidence["weighed"]["own"]
    assert set(evidence["metrics"]) == set(tiny_run.evidence["metrics"])
    for split, figures in tiny_run.evidence["metrics"].items():
        for name, entry in figures.items():
            for end in ("value", "low", "high"):
                assert evidence["metrics"][split][name][end] == pytest.approx(entry[end], abs=1e-9), (split, name)
    assert evidence["operating_point"] == tiny_run.evidence["operating_point"]
    page = page_text(tmp_path / "out" / "weigh.html")
    assert "Predictions of a model made with Semeion" in page
    assert PATIENT not in page


def test_our_own_predictions_without_their_evidence_have_no_point_of_their_own(tiny_run: Any, tmp_path: Path) -> None:
    table = pd.read_parquet(tiny_run.path / "predictions.parquet")
    evidence = weighed(saved(tmp_path, table, "predictions.parquet"))
    assert evidence["operating_point"]["rule"] == "given, not chosen on these cases"
    assert not evidence["weighed"]["own"]
    auroc = {split: figures["auroc"]["value"] for split, figures in evidence["metrics"].items()}
    assert auroc == pytest.approx({s: f["auroc"]["value"] for s, f in tiny_run.evidence["metrics"].items()}, abs=1e-12)
    text = weighed(saved(tmp_path / "csv", table))
    assert {split: figures["auroc"]["value"] for split, figures in text["metrics"].items()} == pytest.approx(auroc)


# Files


def test_files_that_are_no_predictions_are_refused(tmp_path: Path) -> None:
    path = saved(tmp_path, rows())
    assert "does not exist, did you mean 'predictions.csv'?" in refused(tmp_path / "prediction.csv")
    (tmp_path / "empty").mkdir()
    assert "holds no predictions.parquet" in refused(tmp_path / "empty")
    picture = tmp_path / "p.png"
    picture.write_bytes(b"x")
    assert "is no table of predictions that can be read (suffix '.png')" in refused(picture)
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(b"PAR1 and nothing")
    assert "is no Parquet that can be read" in refused(broken)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    with pytest.raises(InputError, match="is not empty; choose another folder with -o"):
        written(path, tmp_path / "full")
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "evidence.json").write_text("{broken")
    pd.read_csv(path).to_parquet(tmp_path / "odd" / "predictions.parquet")
    assert load_predictions(tmp_path / "odd", Named()).source == "odd/predictions.parquet"
