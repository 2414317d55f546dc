"""The section of a report that tells what covariates add."""

from __future__ import annotations

from typing import Any

import pytest

from semeion.report.covariates import covariates
from semeion.report.evidence import Evidence
from semeion.report.render import render


def figure(value: float | None, **more: Any) -> dict[str, Any]:
    ends = {"low": None, "high": None} if value is None else {"low": value - 0.05, "high": value + 0.05}
    return {"value": value, **ends, "n": 60, "n_patients": 50, "method": "bootstrap", **more}


def evidence(verdict: str = "both", other: str = "both", gain: float | None = 0.1, **more: Any) -> Evidence:
    part = {
        "metrics": {"test": {"auroc": figure(0.8)}},
        "difference": {"test": {"auroc": figure(gain, verdict=verdict, better="higher", reason="too few")}},
    }
    told = {
        "metrics": {"test": {"auroc": figure(0.85)}},
        "difference": {"test": {"auroc": figure(0.05, verdict=other, better="higher")}},
    }
    return Evidence.model_validate(
        {
            "schema": 1,
            "semeion": "0",
            "target": "finding",
            "task": "binary",
            "positive": "malignant",
            "classes": ["benign", "malignant"],
            "metrics": {"test": {"auroc": figure(0.9), "recall": figure(0.7)}},
            "covariates": {
                "columns": [
                    {"kind": "number", "name": "age", "fill": 61.2, "low": 35.0, "high": 81.0, "margin": 23.0},
                    {"kind": "levels", "name": "sex", "levels": ["f", "m"]},
                    {"kind": "yes-no", "name": "smoker"},
                ],
                "learners": [{"learner": "linear"}, {"learner": "linear"}, {"learner": "boosting"}],
                "parts": {"images": part, "covariates": told},
                "pushed": {
                    "covariates": {"test": [{"column": "age", "mean_absolute": 0.8, "share": 1.0}]},
                    "fused": {"test": [{"column": "images", "mean_absolute": 1.5, "share": 0.75}]},
                },
                **more,
            },
        }
    )


def content(*given: Any, split: str = "test", **more: Any) -> dict[str, Any]:
    found = covariates(evidence(*given, **more), split)
    assert found is not None
    return found


def test_the_first_sentence_has_every_figure_and_the_verdict() -> None:
    found = content()
    (said,) = found["sentences"]
    assert said == (
        "With age, sex and smoker the AUROC is 0.900 (0.85 to 0.95), of the images alone it is 0.800 (0.75 to 0.85), "
        "of the covariates alone 0.850 (0.80 to 0.90). The covariates change it by +0.100 (0.05 to 0.15): the "
        "covariates add to the images."
    )
    assert [row["key"] for row in found["rows"]] == ["auroc"]
    assert found["learners"] == "a linear model in 2 members, boosted trees in 1 member"
    assert [column["holds"] for column in found["columns"]] == ["usually 35.0 to 81.0", "f, m, other", "yes or no"]


@pytest.mark.parametrize(
    ("verdict", "words"),
    [
        ("none", "these cases do not show that the covariates add to the images."),
        ("images", "the images alone do better."),
        ("unknown", "nothing can be said (too few)."),
    ],
)
def test_no_gain_is_said_as_such(verdict: str, words: str) -> None:
    assert content(verdict)["sentences"][0].endswith(words)


def test_images_that_add_nothing_are_named() -> None:
    assert "do not show that the images add to what is known" in content("both", "none")["sentences"][1]
    assert len(content("both", "both")["sentences"]) == 1


def test_a_difference_that_is_not_defined_has_its_reason() -> None:
    assert content(gain=None)["sentences"][0].endswith("There is no difference to state: too few.")


def test_other_splits_and_models_of_images_have_no_rows() -> None:
    assert content(split="oof")["rows"] == []
    assert covariates(evidence().model_copy(update={"covariates": None}), "test") is None


def test_the_page_shows_it_in_tables_with_captions() -> None:
    page = render("report_covariates.html.j2", script=None, pictures={}, covariates=content()).decode()
    assert page.count("<table") == page.count("<caption") == 4
    assert "Covariates and images in one model".lower() in page
    assert "75\u00a0%" in page
    assert 'scope="row">age<' in page


@pytest.mark.parametrize(
    ("adds", "words"),
    [
        ([True, True], None),
        ([True, False], "The covariates have a say in 1 of 2 folds: in the others of patients left out"),
        ([False, False], "The covariates have no say in this model: of patients left out"),
    ],
)
def test_covariates_without_a_say_are_named(adds: list[bool], words: str | None) -> None:
    learners = [{"recipe": "covariates", "learner": "linear", "adds": False}]
    learners += [{"recipe": "fused", "learner": "linear", "adds": one} for one in adds]
    said = content(learners=learners)["sentences"]
    assert len(said) == 1 if words is None else said[-1].startswith(words)


def test_covariates_without_a_share_have_no_say_and_are_not_asked_for() -> None:
    learners = [{"member": "covariates-seed0", "recipe": "covariates", "learner": "linear", "adds": True}]
    share = [{"name": "covariates-seed0", "share": 0.0}, {"name": "seed0", "share": 1.0}]
    found = covariates(evidence(learners=learners).model_copy(update={"members": share}), "test")
    assert found is not None
    assert found["needed"] == []
    assert found["sentences"][-1] == (
        "The covariates have no say in this model: the weights that were chosen on the validation cases give them no "
        "share."
    )
    share[0]["share"] = 0.5
    found = covariates(evidence(learners=learners).model_copy(update={"members": share}), "test")
    assert found is not None
    assert found["needed"] == ["age", "sex", "smoker"]
