"""A learning curve of a table: who is drawn, who is scored, that test cases are never read, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from semeion.artefacts import read_json
from semeion.cohort.cohort import CohortOptions
from semeion.errors import InputError
from semeion.progress import Silent
from semeion.study import Study
from semeion.study.curve import curve_source
from semeion.study.curve_learning import Learner, linear_head, quick_learner, side_for
from semeion.study.inspect import Inspected, inspect
from semeion.study.options import RunOptions
from support.tiny import BENIGN, MALIGNANT, PATIENT, Tiny, make_cohort, write_picture


def brightness(seen: Inspected, y: Any, groups: Any, options: RunOptions, progress: Any) -> Learner:
    """Learn from the mean grey level alone, without any training package."""
    grey = seen.facts["mean"].to_numpy(dtype=np.float64)

    def learn(rows: Any, score: Any) -> Any:
        slope, level = np.polyfit(grey[rows], y[rows], 1)
        value = slope * grey[score] + level
        if seen.cohort.target.task == "regression":
            return value[:, None]
        p = np.clip(value, 0.01, 0.99)
        return np.column_stack([1 - p, p])

    return Learner(learn, "brightness", "a line through the mean grey level")


def asked(cohort: Tiny, **more: Any) -> RunOptions:
    return RunOptions(CohortOptions(target=cohort.target, **more), budget=60.0, jobs=1)


def drawn(cohort: Tiny, folder: Path, options: RunOptions | None = None, **more: Any) -> dict[str, Any]:
    return curve_source(
        cohort.table, options or asked(cohort), folder, Silent(), make=more.pop("make", brightness), **more
    )


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    return make_cohort(tmp_path_factory.mktemp("given"), n=240, split="given")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    return make_cohort(tmp_path_factory.mktemp("small"), n=24)


def refused(cohort: Tiny, folder: Path, options: RunOptions | None = None, **more: Any) -> str:
    with pytest.raises(InputError) as caught:
        drawn(cohort, folder / "out", options, **more)
    assert not (folder / "out").exists(), "nothing was written"
    return str(caught.value)


def test_a_given_split_scores_its_val_cases_and_never_reads_a_test_case(tmp_path: Path) -> None:
    cohort = make_cohort(tmp_path / "source", n=160, split="given")
    for row in np.flatnonzero(cohort.rows["split"] == "test"):
        cohort.image(int(row)).write_bytes(b"this is no image")
    curve = drawn(cohort, tmp_path / "out", width=0.2)
    assert curve["scored"] == {
        "scheme": "given",
        "folds": 0,
        "n": 40,
        "n_patients": 20,
        "of_class": curve["scored"]["of_class"],
    }
    assert sum(curve["scored"]["of_class"].values()) == 40
    assert curve["test_cases_put_aside"] == 40
    assert [row["patients"] for row in curve["points"]][-1] == 40
    assert curve["points"][-1]["cases"] == 80
    assert curve["wanted"]["width"] == 0.2
    written = read_json(tmp_path / "out" / "curve.json")
    assert written["points"] == curve["points"]
    page = (tmp_path / "out" / "curve.html").read_text()
    assert "40 test cases of the split were put aside before any image was read" in page
    assert PATIENT not in page + json.dumps(written)


def test_without_a_split_folds_are_scored(tmp_path: Path) -> None:
    cohort = make_cohort(tmp_path / "source", n=100)
    curve = drawn(cohort, tmp_path / "out")
    assert curve["scored"]["scheme"] == "folds"
    assert (curve["scored"]["folds"], curve["scored"]["n"], curve["scored"]["n_patients"]) == (5, 100, 50)
    assert curve["points"][-1]["patients"] in (39, 40)
    assert "100 cases of 50 patients of 5 folds" in (tmp_path / "out" / "curve.html").read_text()


def test_the_same_seed_gives_the_same_curve(given: Tiny, tmp_path: Path) -> None:
    one, other = (drawn(given, tmp_path / name) for name in ("one", "other"))
    for part in ("points", "law", "beyond", "wanted"):
        assert one[part] == other[part]


def test_a_measured_value_has_a_curve_of_its_error(tmp_path: Path) -> None:
    cohort = make_cohort(tmp_path / "source", n=120, task="regression")
    curve = drawn(cohort, tmp_path / "out", RunOptions(CohortOptions(target="diameter", task="regression"), jobs=1))
    assert (curve["metric"], curve["better"]) == ("mae", "lower")
    assert curve["wanted"]["figures"][0]["figure"] == "mae"
    assert curve["wanted"]["figures"][0]["n_needed"] > curve["wanted"]["figures"][0]["n"]


@pytest.mark.parametrize("task", ["multiclass", "multilabel"])
def test_several_classes_and_labels_have_a_curve(tmp_path: Path, task: str) -> None:
    def sure(seen: Inspected, y: Any, groups: Any, options: RunOptions, progress: Any) -> Learner:
        grey = seen.facts["mean"].to_numpy(dtype=np.float64)

        def learn(rows: Any, score: Any) -> Any:
            k = len(seen.cohort.target.classes)
            place = np.searchsorted(np.sort(grey[rows]), grey[score]) / len(rows)
            if task == "multilabel":
                return np.column_stack([place, 0.5 + 0.01 * place])
            near = np.exp(-8 * (place[:, None] - (np.arange(k) + 0.5) / k) ** 2)
            return near / near.sum(axis=1, keepdims=True)

        return Learner(learn, "ranks", "the rank of the mean grey level")

    cohort = make_cohort(tmp_path / "source", n=120, task=task)
    options = RunOptions(CohortOptions(target=cohort.target, task=task), budget=1.0, jobs=1)
    curve = drawn(cohort, tmp_path / "out", options, make=sure)
    assert curve["metric"] == "auroc"
    assert all(0 <= row["low"] <= row["value"] <= row["high"] <= 1 for row in curve["points"])
    names = [row["figure"] for row in curve["wanted"]["figures"]]
    assert names == (["auroc", "recall_cyst", "recall_mass", "recall_scar"] if task == "multiclass" else ["auroc"])
    labels = {"multiclass": ["cyst", "mass", "scar"], "multilabel": ["edema", "nodule"]}[task]
    assert list(curve["scored"]["of_class"]) == labels


@pytest.mark.parametrize(("task", "outputs"), [("binary", 2), ("ordinal", 3), ("multilabel", 2), ("regression", 1)])
def test_the_linear_head_learns_from_rows_and_judges_others(task: str, outputs: int) -> None:
    rng = np.random.default_rng(0)
    x, groups = rng.standard_normal((60, 4)), np.arange(60) // 2
    hidden = x[:, 0] + 0.3 * rng.standard_normal(60)
    y = {
        "binary": (hidden > 0).astype(float),
        "ordinal": np.digitize(hidden, (-0.5, 0.5)).astype(float),
        "multilabel": np.column_stack([hidden > 0, rng.random(60) > 0.5]).astype(float),
        "regression": hidden,
    }[task]
    learn = linear_head(x, y, groups, task, outputs, 0)
    found = learn(np.arange(40), np.arange(40, 60))
    assert found.shape == (20, outputs)
    shown = {"binary": found[:, -1], "multilabel": found[:, 0], "regression": found[:, 0]}.get(
        task, found @ np.arange(outputs)
    )
    assert np.corrcoef(shown, hidden[40:])[0, 1] > 0.5


def test_a_budget_that_is_too_small_makes_three_draws_and_says_so(given: Tiny, tmp_path: Path) -> None:
    options = RunOptions(CohortOptions(target="finding"), budget=0.001, jobs=1)
    curve = drawn(given, tmp_path / "out", options)
    assert curve["draws"] == 3
    assert any("took longer than the budget" in note for note in curve["notes"])
    assert any("3 draws a size fitted into the budget" in note for note in curve["notes"])


def test_noise_is_not_carried_on(tmp_path: Path) -> None:
    cohort = make_cohort(tmp_path / "source", n=160, noise=True)
    curve = drawn(cohort, tmp_path / "out")
    assert curve["beyond"]["points"] == []
    assert "does not get better beyond chance" in curve["beyond"]["reason"]
    assert any("What more patients would bring cannot be said" in one for one in curve["sentences"])
    assert "Nothing is said beyond the patients there are" in (tmp_path / "out" / "curve.html").read_text()


def test_a_copy_of_a_val_picture_is_not_learned_from(tmp_path: Path) -> None:
    cohort = make_cohort(tmp_path / "source", n=160, split="given")
    split = cohort.rows["split"]
    val, train = (int(np.flatnonzero(split == name)[0]) for name in ("val", "train"))
    cohort.image(train).write_bytes(cohort.image(val).read_bytes())
    curve = drawn(cohort, tmp_path / "out")
    assert curve["points"][-1]["patients"] == 39


def test_few_patients_are_refused(small: Tiny, tmp_path: Path) -> None:
    assert "too few for a curve of 3 sizes" in refused(small, tmp_path)


def test_a_class_of_two_patients_is_refused(tmp_path: Path) -> None:
    cohort = make_cohort(tmp_path / "source", n=100)
    cohort = cohort.rewrite(finding=np.where(np.arange(100) < 4, MALIGNANT, BENIGN))
    message = refused(cohort, tmp_path)
    assert "class 'malignant' has 2 patients, and folds of which each has one need at least 3" in message


def test_one_class_is_refused(tmp_path: Path) -> None:
    cohort = make_cohort(tmp_path / "source", n=60)
    assert "has one class only" in refused(cohort.rewrite(finding=np.full(60, BENIGN)), tmp_path)


def test_val_cases_of_one_class_are_refused(tmp_path: Path) -> None:
    cohort = make_cohort(tmp_path / "source", n=160, split="given")
    finding = np.where(cohort.rows["split"] == "val", BENIGN, cohort.rows["finding"])
    message = refused(cohort.rewrite(finding=finding), tmp_path)
    assert "every case that would be scored is 'benign'" in message
    assert "--no-split" in message


@pytest.mark.parametrize(
    ("choices", "words"),
    [
        ({"metric": "mae"}, "'mae' is no figure of a curve of the task binary; use one of auroc"),
        ({"metric": "dice"}, "'dice' is no figure of a curve"),
        ({"width": 0.0}, "0 is no width; give the whole width, for example 0.1"),
        ({"width": 1.5}, "no interval of auroc can be asked to be 1.5 wide"),
    ],
)
def test_a_figure_or_a_width_that_does_not_fit_is_refused(
    small: Tiny, tmp_path: Path, choices: dict[str, Any], words: str
) -> None:
    assert words in refused(small, tmp_path, **choices)


def test_covariates_are_refused(small: Tiny, tmp_path: Path) -> None:
    message = refused(small, tmp_path, asked(small, covariates=("site",)))
    assert "a learning curve is of images alone" in message


def test_a_folder_that_holds_something_is_refused(given: Tiny, tmp_path: Path) -> None:
    write_picture(tmp_path / "out" / "mine.png", np.zeros((4, 4), np.uint8))
    with pytest.raises(InputError, match="is not empty"):
        drawn(given, tmp_path / "out")


def test_a_study_draws_a_curve(given: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from semeion.study import curve as module

    told: dict[str, Any] = {}
    monkeypatch.setattr(
        module, "curve_source", lambda *given, **more: told.update(given=given, **more) or {"points": []}
    )
    study = Study(given.table, target="finding", seed=4)
    assert study.curve("2m", output=tmp_path / "out", metric="brier", want_width=0.05) == {"points": []}
    assert (told["given"][1].budget, told["given"][1].seed) == (120.0, 4)
    assert (told["metric"], told["width"]) == ("brier", 0.05)


@pytest.mark.parametrize(
    ("cases", "parts", "budget", "longest", "side"),
    [
        (600, 1, 180.0, 500.0, 128),
        (600, 1, 180.0, 28.0, 96),
        (5000, 1, 180.0, 500.0, 96),
        (10000, 1, 180.0, 500.0, 64),
        (100, 16, 180.0, 96.0, 96),
        (100000, 1, 180.0, 500.0, None),
    ],
)
def test_the_size_that_is_looked_at_hangs_on_cases_and_budget_alone(
    cases: int, parts: int, budget: float, longest: float, side: int | None
) -> None:
    assert side_for(cases, parts, budget, longest) == side


def test_the_quick_learner_looks_once_and_says_at_what(tmp_path: Path) -> None:
    cohort = make_cohort(tmp_path / "source", n=100)
    seen = inspect(cohort.table, asked(cohort), Silent())
    y = seen.cohort.table["y"].to_numpy(dtype=np.float64)
    groups = np.arange(100) // 2
    learner = quick_learner(seen, y, groups, asked(cohort), Silent())
    assert learner.name == "quick"
    assert "EfficientNet-Lite0 at 96 pixels" in learner.words
    found = learner.learn(np.arange(60), np.arange(60, 100))
    assert np.corrcoef(found[:, 1], y[60:])[0, 1] > 0.6


def test_without_time_thumbnails_stand_in_and_a_note_says_so(tmp_path: Path) -> None:
    cohort = make_cohort(tmp_path / "source", n=100)
    options = RunOptions(CohortOptions(target="finding"), budget=0.5, jobs=1)
    seen = inspect(cohort.table, options, Silent())
    y = seen.cohort.table["y"].to_numpy(dtype=np.float64)
    learner = quick_learner(seen, y, np.arange(100) // 2, options, Silent())
    assert learner.name == "thumbnails"
    assert "thumbnails stand in for it" in learner.notes[0]
    found = learner.learn(np.arange(60), np.arange(60, 100))
    assert np.corrcoef(found[:, 1], y[60:])[0, 1] > 0.6
