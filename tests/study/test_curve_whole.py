"""A learning curve of the whole plan: how often is trained, what each training sees, and that a stop loses nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from semeion.artefacts import read_json
from semeion.cohort.cohort import Cohort, CohortOptions
from semeion.errors import InputError, Interrupted
from semeion.naming import encode_class
from semeion.progress import Silent
from semeion.study import retraining
from semeion.study.curve import curve_source
from semeion.study.curve_whole import FOLDER, LEAST_SECONDS, trainings_of
from semeion.study.options import RunOptions
from support.tiny import Tiny, make_cohort


class Trained:
    """Stands for the road: tells brightness apart, and keeps what it was given; stops at the call `stop_at`."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.stop_at, self.seen = stop_at, list[tuple[Cohort, RunOptions, bool]]()

    def __call__(
        self, cohort: Cohort, facts: pd.DataFrame, options: RunOptions, folder: Path, _: Any, machine: Path
    ) -> Path:
        assert len(cohort.table) == len(facts)
        self.seen.append((cohort, options, machine.exists()))
        if len(self.seen) == self.stop_at:
            raise Interrupted("stopped by the user", fix="semeion resume")
        folder.mkdir(parents=True)
        (folder / "machine.json").write_text("{}")
        learn = (cohort.table["split"] == "train").to_numpy()
        grey, y = facts["mean"].to_numpy(), cohort.table["y"].to_numpy(dtype=float)
        said = np.polyval(np.polyfit(grey[learn], y[learn], 1), grey)[~learn]
        rows = pd.DataFrame({"case_id": cohort.table["case_id"][~learn], "member": "ensemble", "split": "test"})
        if cohort.target.task == "regression":
            rows["y_pred"] = said
        else:
            p = np.clip(said, 0.01, 0.99)
            rows = rows.assign(
                **{f"p_{encode_class(n)}": q for n, q in zip(cohort.target.classes, (1 - p, p), strict=True)}
            )
        # In another order, and among rows of members, which are not to be taken.
        others = rows.assign(member="seed0", **{name: 0.5 for name in rows if name.startswith(("p_", "y_"))})
        pd.concat([others, rows.iloc[::-1]]).to_parquet(folder / "predictions.parquet", index=False)
        return folder


class Said(Silent):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


def drawn(cohort: Tiny, folder: Path, progress: Any = None, budget: float | None = 3600.0) -> dict[str, Any]:
    options = RunOptions(CohortOptions(target=cohort.target), budget=budget, jobs=1, seed=5)
    return curve_source(cohort.table, options, folder, progress or Silent(), full=True)


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    return make_cohort(tmp_path_factory.mktemp("given"), n=240, split="given")


def test_every_size_is_learned_in_every_draw_and_all_patients_once() -> None:
    found = trainings_of(6, 1, 3600.0)
    assert (found.count, found.seconds) == (16, pytest.approx(0.95 * 3600 / 16))
    assert trainings_of(6, 5, 14_400.0).count == 80
    assert "learned 16 times, each within 214 s: about 57 min" in found.words
    with pytest.raises(
        InputError, match=r"learned 80 times, and the budget of 600 s leaves 7 s for each; allow at"
    ) as caught:
        trainings_of(6, 5, 600.0)
    minutes = int(str(caught.value).partition("allow at least ")[2].partition("m")[0])
    assert trainings_of(6, 5, 60.0 * minutes).seconds >= LEAST_SECONDS
    with pytest.raises(InputError, match=f"allow at least {minutes}m"):
        trainings_of(6, 5, 60.0 * (minutes - 1))


def test_each_training_sees_its_patients_and_reads_the_scored_cases_as_test_cases(
    given: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    road, said = Trained(), Said()
    monkeypatch.setattr(retraining, "retrain", road)
    curve = drawn(given, tmp_path / "out", said)
    assert curve["learner"]["name"] == "full"
    count = curve["trainings"]["n"]
    assert len(road.seen) == count == 3 * (len(curve["points"]) - 1) + 1
    assert [line for line in said.lines if f"learned {count} times" in line]
    assert curve["draws"] == 3
    assert curve["points"][-1]["value"] > 0.9
    rows = given.rows.set_index("case_id")
    for cohort, options, _ in road.seen:
        table = cohort.table
        assert set(table["split"]) == {"train", "test"}
        told = rows.loc[table["case_id"], "split"].to_numpy()
        # Scored are the val cases, and the table's own test cases are nowhere.
        assert (told == table["split"].map({"train": "train", "test": "val"})).all()
        assert options.budget == pytest.approx(curve["trainings"]["seconds_each"], abs=0.1)
        assert (options.sets, options.seed) == (0.0, 5)
    assert [known for *_, known in road.seen] == [False] + [True] * (count - 1), "the machine is measured once"
    sizes = sorted({int((cohort.table["split"] == "train").sum()) for cohort, *_ in road.seen})
    assert sizes[-1] == curve["points"][-1]["cases"] == 120
    page = (tmp_path / "out" / "curve.html").read_text(encoding="utf-8")
    assert "anew for every set of patients" in page
    assert read_json(tmp_path / "out" / "curve.json")["trainings"] == curve["trainings"]


def test_folds_of_several_sizes_are_trained_as_often_as_was_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The largest size is the smallest fold's, so that of a larger fold it is drawn like any other size."""
    cohort = make_cohort(tmp_path / "source", n=122)
    road = Trained()
    monkeypatch.setattr(retraining, "retrain", road)
    curve = drawn(cohort, tmp_path / "out", budget=14_400.0)
    learned = [int((one.table["split"] == "train").sum()) for one, *_ in road.seen]
    assert curve["scored"]["folds"] == 5
    assert len(learned) == curve["trainings"]["n"] > 5 * (3 * (len(curve["points"]) - 1) + 1)


def test_a_curve_that_was_stopped_goes_on_where_it_was(
    given: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retraining, "retrain", Trained())
    whole = drawn(given, tmp_path / "whole")
    stopped = Trained(stop_at=5)
    monkeypatch.setattr(retraining, "retrain", stopped)
    with pytest.raises(Interrupted, match="stopped by the user; give the same command again to go on where it was"):
        drawn(given, tmp_path / "out")
    assert {entry.name for entry in (tmp_path / "out").iterdir()} == {FOLDER}
    rest = Trained()
    monkeypatch.setattr(retraining, "retrain", rest)
    again = drawn(given, tmp_path / "out")
    assert len(rest.seen) == whole["trainings"]["n"] - 4
    assert again["points"] == whole["points"]
    # Finished, it is a curve like any other.
    with pytest.raises(InputError, match="is not empty"):
        drawn(given, tmp_path / "out")


def test_a_measured_value_is_told_in_its_unit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cohort = make_cohort(tmp_path / "source", n=160, task="regression", split="given")
    monkeypatch.setattr(retraining, "retrain", Trained())
    options = RunOptions(CohortOptions(target="diameter", task="regression"), budget=3600.0, jobs=1)
    curve = curve_source(cohort.table, options, tmp_path / "out", Silent(), full=True)
    assert curve["metric"] == "mae"
    assert len(curve["points"]) >= 3


def test_too_little_time_is_refused_before_anything_is_written(given: Tiny, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--budget: with --full the whole plan is learned \d+ times"):
        drawn(given, tmp_path / "out", budget=120.0)
    assert not (tmp_path / "out").exists()


def test_a_training_that_has_too_little_time_says_that_it_is_one_of_many(
    given: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def short(*_: Any) -> None:
        raise InputError("the budget of 60 s leaves 3 steps a member", where="--budget", fix="allow at least 2m")

    monkeypatch.setattr(retraining, "retrain", short)
    with pytest.raises(InputError, match=r"are too few for one training of \d+ cases: .*; allow several times as much"):
        drawn(given, tmp_path / "out")
