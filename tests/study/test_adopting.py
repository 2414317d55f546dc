"""A network that was trained elsewhere goes the road of any other: weighed, calibrated, shipped and told of."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from adopt.graphs import graph_of, saved
from semeion.artefacts import read_json, write_json
from semeion.cohort.cohort import CohortOptions, read_cohort
from semeion.errors import InputError, ModelRefused
from semeion.evidence.foreign.columns import Named
from semeion.evidence.use.operating import choose_point
from semeion.model.runtime import load_model
from semeion.plan.adopt_schema import AdoptionPlan
from semeion.plan.files import read_plan_as
from semeion.progress import Silent
from semeion.study.adopt_plan import AdoptOptions, choosing_plan, prepared_as
from semeion.study.adopting import adopt_network
from semeion.study.evaluating import evaluate_model
from semeion.study.full_audits import run_full_audits
from semeion.study.options import RunOptions
from semeion.study.predictions_file import load_predictions
from semeion.study.road import resume_run
from support.tiny import BENIGN, MALIGNANT, PATIENT, Tiny, TinyRun, contents_of, make_cohort, write_picture

ASKED = AdoptOptions(scale="0..1", classes=(BENIGN, MALIGNANT))
BRIGHT: dict[str, Any] = {"weights": [[60.0]], "bias": [-24.0]}
"""The pictures' mean brightness tells the classes."""


@dataclass(frozen=True)
class Adopted:
    """A finished run, with its cohort and the file that was given."""

    path: Path
    cohort: Tiny
    model: Path

    @property
    def evidence(self) -> dict[str, Any]:
        """The run's evidence."""
        evidence: dict[str, Any] = read_json(self.path / "evidence.json")
        return evidence

    def predictions(self, split: str) -> pd.DataFrame:
        """Return the rows of the ensemble in a split."""
        table = pd.read_parquet(self.path / "predictions.parquet")
        return table[(table["split"] == split) & (table["member"] == "ensemble")].reset_index(drop=True)


def adopt(model: Path, source: Tiny, output: Path, asked: AdoptOptions = ASKED, **options: Any) -> Path:
    own = RunOptions(CohortOptions(target=source.target, **options.pop("cohort", {})), jobs=1, **options)
    return adopt_network(model, source.table, own, asked, output, Silent())


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Adopted:
    """Adopted with a given split; for reading only."""
    home = tmp_path_factory.mktemp("given")
    cohort = make_cohort(home / "source", n=80, split="given")
    model = saved(graph_of(**BRIGHT), home)
    return Adopted(adopt(model, cohort, home / "run", replace(ASKED, learned_from="pictures of 2020")), cohort, model)


@pytest.fixture(scope="module")
def folds(tmp_path_factory: pytest.TempPathFactory) -> Adopted:
    """Adopted without a split, by a network for one image at a time whose first class is the positive one."""
    home = tmp_path_factory.mktemp("folds")
    cohort = make_cohort(home / "source", n=80)
    model = saved(graph_of(batch=1, layout="nhwc", weights=[[-60.0]], bias=[24.0]), home)
    asked = AdoptOptions(scale="0..1", classes=(MALIGNANT, BENIGN))
    return Adopted(adopt(model, cohort, home / "run", asked), cohort, model)


def mean_brightness(run: Adopted) -> dict[str, float]:
    """Return what the network's one number is, by case: made from the pictures alone."""
    import cv2

    found = {}
    for row, case in enumerate(run.cohort.rows["case_id"]):
        level = cv2.imread(str(run.cohort.image(row)), cv2.IMREAD_GRAYSCALE).mean() / 255
        found[str(case)] = float(1 / (1 + np.exp(-(60 * level - 24))))
    return found


def test_probabilities_are_those_of_the_network_as_given(given: Adopted, folds: Adopted) -> None:
    for run, splits in ((given, ("val", "test")), (folds, ("oof",))):
        wanted = mean_brightness(run)
        for split in splits:
            rows = run.predictions(split)
            np.testing.assert_allclose(rows["raw_malignant"], [wanted[case] for case in rows["case_id"]], atol=1e-4)


def test_val_cases_choose_and_train_cases_are_not_read(given: Adopted) -> None:
    table = pd.read_parquet(given.path / "predictions.parquet")
    assert set(table["split"]) == {"val", "test"}
    evidence = given.evidence
    val = given.predictions("val")
    assert evidence["operating_point"]["chosen_on"] == "val"
    assert evidence["operating_point"]["n"] == evidence["calibration"]["n"] == len(val) == 20
    point = choose_point((val["y_true"] == MALIGNANT).to_numpy(float), val["p_malignant"].to_numpy(), "youden")
    assert evidence["operating_point"]["value"] == point
    assert read_json(given.path / "readings.json") == {"test": 1}


def test_test_cases_choose_nothing(given: Adopted, tmp_path: Path) -> None:
    """Other labels and other pictures of test cases change no byte of the model but the figures it states."""
    cohort = make_cohort(tmp_path / "source", n=80, split="given")
    test = (cohort.rows["split"] == "test").to_numpy()
    flipped = cohort.rows["finding"].where(~test, cohort.rows["finding"].map({BENIGN: MALIGNANT, MALIGNANT: BENIGN}))
    cohort = cohort.rewrite(finding=flipped)
    for row in np.flatnonzero(test):
        write_picture(cohort.image(int(row)), np.random.default_rng(row).integers(0, 256, (24, 24), dtype=np.uint8))
    other = adopt(given.model, cohort, tmp_path / "run", replace(ASKED, learned_from="pictures of 2020"))
    one, two = (read_json(path / "model" / "model.json") for path in (given.path, other))
    for manifest in (one, two):
        manifest.pop("evidence"), manifest.pop("files"), manifest.pop("provenance", None)
    assert one == two
    assert (given.path / "model/members/adopted.onnx").read_bytes() == (
        other / "model/members/adopted.onnx"
    ).read_bytes()


def test_without_a_split_every_fold_is_decided_without_itself(folds: Adopted) -> None:
    rows, evidence = folds.predictions("oof"), folds.evidence
    assert len(rows) == 80
    assert set(rows["fold"]) == set(range(5))
    assert rows.groupby("patient_id")["fold"].nunique().max() == 1
    assert set(evidence["operating_point"]["by_fold"]) == {str(fold) for fold in range(5)}
    assert evidence["operating_point"]["chosen_on"] == "oof"
    assert evidence["metrics"]["oof"]["auroc"]["value"] > 0.95


def test_the_model_is_like_any_other_and_says_where_it_comes_from(given: Adopted, folds: Adopted) -> None:
    model = load_model(given.path / "model")
    test = given.predictions("test")
    rows = given.cohort.rows.set_index("case_id")
    images = [str(given.cohort.table.parent / rows.loc[case, "image"]) for case in test["case_id"]]
    np.testing.assert_allclose(model.predict(images)["p_malignant"], test["p_malignant"], atol=1e-7)
    adopted = model.manifest.adopted
    assert adopted is not None
    assert adopted.producer == "elsewhere 1"
    assert adopted.learned_from == "pictures of 2020"
    assert "As the user states, and nobody checked, it learned from: pictures of 2020." in adopted.sentence
    card = (given.path / "model/CARD.md").read_text(encoding="utf-8")
    assert f"**{adopted.sentence}**" in card
    assert "## Calibration and evaluation data" in card
    unknown = read_json(folds.path / "model/model.json")["adopted"]
    assert unknown["learned_from"] is None
    assert unknown["sentence"].endswith(
        "what it learned from is not known, so overlap with these cases cannot be excluded."
    )
    for run in (given, folds):
        assert PATIENT.encode() not in b"".join(file.read_bytes() for file in (run.path / "model").rglob("*.*"))


def test_a_model_that_semeion_trained_says_nothing_of_it(given: Adopted) -> None:
    from semeion.model.manifest_file import manifest_json

    manifest = load_model(given.path / "model").manifest
    assert "adopted" not in json.loads(manifest_json(manifest.model_copy(update={"adopted": None})))


def test_the_plan_gives_what_was_read_and_said_with_reasons(folds: Adopted, given: Adopted) -> None:
    plan = read_plan_as(folds.path / "plan.yaml", AdoptionPlan)
    network = plan.network
    assert (network.layout, network.one_at_a_time, network.gives, network.outputs) == ("nhwc", True, "probabilities", 1)
    assert network.classes == [MALIGNANT, BENIGN]
    assert network.why["one_at_a_time"] == "the graph takes one image alone"
    assert network.why["gives"].startswith("the graph ends in a sigmoid")
    assert plan.preparation.size == (24, 24)
    assert plan.preparation.why["fit"] == "every picture has the proportions of the input"
    assert read_plan_as(given.path / "plan.yaml", AdoptionPlan).validation.scheme == "given"


def test_the_page_says_that_it_was_trained_elsewhere(folds: Adopted, given: Adopted) -> None:
    page = (folds.path / "report.html").read_text(encoding="utf-8")
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))
    assert "Origin Trained elsewhere (its file was written by elsewhere 1): what it learned from is not known" in text
    assert "overlap with these cases cannot be excluded" in text
    assert "trained elsewhere, calibrated and weighed on cohort.csv" in text
    assert "Nothing was trained here" in text
    assert "Every decision was made before training" not in text
    content = read_json(folds.path / "report.json")
    assert content["first"]["disjoint"]["shown"] is False
    assert content["first"]["external"]["value"] is None
    assert content["adopted"] is True
    assert "it learned from:</b> pictures of 2020" in (given.path / "report.html").read_text(encoding="utf-8")
    assert "trained elsewhere" in (folds.path / "model_card.xml").read_text(encoding="utf-8")


def test_the_commands_of_a_run_work_on_it(given: Adopted, tmp_path: Path) -> None:
    loaded = load_predictions(given.path, Named())
    assert loaded.own
    audits = run_full_audits(given.path, tmp_path / "audit", 1.0, Silent())
    assert {audit.verdict for audit in audits.values()} == {"not_run"}
    assert {audit.advice for audit in audits.values()} == {"The network was trained elsewhere."}
    assert resume_run(given.path, Silent()) == given.path
    other = make_cohort(tmp_path / "other", n=30, seed=5, prefix="other")
    evidence = evaluate_model(
        given.path / "model",
        other.table,
        tmp_path / "evaluated",
        CohortOptions(target="finding"),
        skip_bad=False,
        jobs=1,
        progress=Silent(),
        run=given.path,
    )
    assert evidence["metrics"]["external"]["auroc"]["value"] > 0.9
    assert evidence["external"]["status"] != "external"
    assert evidence["adopted"]["learned_from"] == "pictures of 2020"


def test_what_was_stopped_is_not_resumed(given: Adopted, tmp_path: Path) -> None:
    state = read_json(given.path / "run.json")
    assert len(state["adopted"]) == 64
    (tmp_path / "run").mkdir()
    write_json(tmp_path / "run" / "run.json", {**state, "finished": False})
    with pytest.raises(InputError, match=r"adopting a network was stopped here.*delete the folder and adopt it again"):
        resume_run(tmp_path / "run", Silent())


# What is refused, and that nothing stays behind.

Refuses = Callable[..., str]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    return make_cohort(tmp_path_factory.mktemp("small") / "source", n=24)


@pytest.fixture
def refuse(tmp_path: Path) -> Refuses:
    def run(
        source: Tiny, /, model: Any = None, asked: AdoptOptions = ASKED, kind: Any = InputError, **options: Any
    ) -> str:
        path = saved(graph_of(**BRIGHT) if model is None else model, tmp_path / "given")
        before = contents_of(tmp_path)
        with pytest.raises(kind) as caught:
            adopt(path, source, tmp_path / "run", asked, **options)
        assert contents_of(tmp_path) == before
        return str(caught.value)

    return run


def test_a_model_that_is_refused_leaves_nothing(small: Tiny, refuse: Refuses) -> None:
    assert "the graph gives 3 numbers an image" in refuse(small, graph_of(outputs=3), kind=ModelRefused)
    flat = graph_of(weights=[[1000.0]])
    assert "the same answer to all of 24 images" in refuse(small, flat, kind=ModelRefused)


def test_what_must_be_said_is_asked_before_an_image_is_read(
    small: Tiny, refuse: Refuses, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("semeion.study.adopting.inspect", lambda *_, **__: pytest.fail("images were read"))
    assert "how pixels become the network's numbers" in refuse(small, asked=AdoptOptions(classes=ASKED.classes))
    assert "which class each output stands for" in refuse(small, asked=AdoptOptions(scale="0..1"))
    assert "no class 'bening', did you mean 'benign'?" in refuse(
        small, asked=replace(ASKED, classes=("bening", MALIGNANT))
    )
    assert "--covariates: covariates were named (site)" in refuse(small, cohort={"covariates": ("site",)})
    assert "--sets" in refuse(small, sets=1.5)
    assert "--learned-from: 3000 characters were given" in refuse(small, asked=replace(ASKED, learned_from="x" * 3000))
    assert "unknown rule 'best'" in refuse(small, operating_point="best")


def test_a_split_without_val_cases_is_refused(refuse: Refuses, tmp_path: Path) -> None:
    cohort = make_cohort(tmp_path / "source", n=24, split="test")
    said = refuse(cohort)
    assert "the split has no val cases, which choose calibration and operating point" in said
    assert "--no-split: folds are drawn then" in said


def test_several_images_a_case_are_refused(refuse: Refuses, tmp_path: Path) -> None:
    cohort = make_cohort(tmp_path / "source", n=24)
    rows = cohort.rows.rename(columns={"image": "image.a"}).assign(**{"image.b": cohort.rows["image"]})
    rows.to_csv(cohort.table, index=False)
    said = refuse(cohort, cohort={"channels": ("a", "b")})
    assert "the cases are several images, and a network that reads one picture a case is adopted" in said


def facts(rows: int = 24, cols: int = 24, bits: int = 8, n: int = 4) -> pd.DataFrame:
    return pd.DataFrame({"rows": [rows] * n, "cols": [cols] * n, "bits": [bits] * n})


def look(folder: Path) -> Any:
    from semeion.adopt.given import read_given
    from semeion.adopt.look import look_of

    return look_of(read_given(saved(graph_of(), folder)), scale="0..1")


def test_other_proportions_and_depths_are_asked_for(tmp_path: Path) -> None:
    seen = look(tmp_path)
    with pytest.raises(
        InputError, match=r"--fit: 4 of 4 pictures have other proportions than the network's input, 24 x"
    ):
        prepared_as(seen, facts(rows=30), None, None)
    assert prepared_as(seen, facts(rows=30), "pad", None).fit == "pad"
    assert prepared_as(seen, facts(rows=48, cols=48), None, None).fit == "stretch"
    with pytest.raises(InputError, match="--fit: unknown fit 'crop'; write pad or stretch"):
        prepared_as(seen, facts(), "crop", None)
    with pytest.raises(InputError, match="--window: the pictures have more or fewer than 256 steps"):
        prepared_as(seen, facts(bits=12), None, None)
    window = prepared_as(seen, facts(bits=12), None, "-100,300")
    assert (window.intensity, window.window) == ("window", (-100, 300))
    assert prepared_as(seen, facts(bits=12), None, "percentiles").intensity == "percentiles"
    with pytest.raises(InputError, match="--window: '300,100' is no window; write LOW,HIGH, or stored or percentiles"):
        prepared_as(seen, facts(), None, "300,100")


def test_folds_are_as_many_as_the_rarest_class_allows(folds: Adopted) -> None:
    cohort, scan = read_cohort(folds.path / "cohort.parquet"), pd.read_parquet(folds.path / "scan.parquet")
    assert choosing_plan(cohort, scan).folds == 5
    rare = cohort.table.assign(y=np.where(np.isin(np.arange(80), (0, 1, 30, 50, 70)), 1, 0))
    plan = choosing_plan(replace(cohort, table=rare), scan)
    assert plan.folds == 4
    assert plan.why["folds"] == "as many as the rarest class has patients"


LINEAR: dict[str, Any] = {"end": "", "weights": [[1.5]], "bias": [0.0]}
"""One and a half times the mean brightness: from 0 to 1 for the cohort's pictures, and 1.5 of a white one."""


def test_a_case_without_probabilities_fails_in_use(tmp_path: Path) -> None:
    cohort = make_cohort(tmp_path / "source", n=80, split="given")
    path = adopt(saved(graph_of(**LINEAR), tmp_path), cohort, tmp_path / "run", replace(ASKED, gives="probabilities"))
    model = load_model(path / "model")
    assert model.manifest.adopted is not None
    assert model.manifest.adopted.gives == "probabilities"
    white = write_picture(tmp_path / "white.png", np.full((24, 24), 255, np.uint8))
    found = model.predict([str(cohort.image(0)), str(white)])
    assert found["status"].tolist() == ["called", "failed"]
    assert found["reasons"][1].split(";")[-1] == "not-probabilities"
    assert found["p_malignant"].isna().tolist() == [False, True]


def test_a_case_without_probabilities_refuses_the_network_also_after_the_trial(tmp_path: Path, refuse: Refuses) -> None:
    cohort = make_cohort(tmp_path / "source", n=80, split="given")
    # No test case is among those that the graph is tried on.
    row = int(np.flatnonzero(cohort.rows["split"] == "test")[3])
    write_picture(cohort.image(row), np.full((24, 24), 255, np.uint8))
    said = refuse(cohort, graph_of(**LINEAR), asked=replace(ASKED, gives="probabilities"), kind=ModelRefused)
    assert "the network's answer is no probability (more than 0.001 outside 0 to 1" in said
    assert f"for 1 of 20 cases (first: case {cohort.rows['case_id'][row]})" in said


def test_the_bounds_of_the_trial_hold_in_use(
    given: Adopted, tiny_run: TinyRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = [str(given.cohort.image(0))]
    assert load_model(given.path / "model").predict(picture)["status"].tolist() == ["called"]
    monkeypatch.setattr("semeion.model.engine.memory_allowed", lambda: 512)
    with pytest.raises(ModelRefused, match=r"adopted\.onnx: the graph fails when it runs"):
        load_model(given.path / "model").predict(picture)
    # What was trained here is no graph of others.
    assert load_model(tiny_run.model).predict(picture)["status"].tolist() == ["called"]
