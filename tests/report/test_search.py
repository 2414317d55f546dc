"""What the page says of a search: the corrected loss beside the best, what mattered, and pictures one can read."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from semeion.report.members import way
from semeion.report.page import write_report
from semeion.report.search import said, search_content, search_pictures

KNOBS = {
    "learning_rate": {"title": "Peak learning rate", "planned": 4e-3, "low": 1e-3, "high": 1.6e-2, "log": True},
    "blocks": {"title": "Blocks a stage", "planned": 1, "low": 1, "high": 2, "log": False},
    "flip_horizontal": {"title": "Mirrored left to right", "planned": True, "choices": [True, False]},
}


def tried(fold: int) -> list[dict[str, Any]]:
    rows = []
    for number in range(12):
        params = {"learning_rate": 4e-3 * 1.1**number, "blocks": 1 + number % 2, "flip_horizontal": number % 3 > 0}
        state = "failed" if number == 5 else "pruned" if number % 4 == 3 else "complete"
        loss = None if number == 5 else 0.5 + 0.02 * fold - 0.01 * number
        rows.append({"number": number, "state": state, "loss": loss, "losses": [], "params": params, "note": ""})
    return rows


def told(folds: int = 1, mattered: bool = True) -> dict[str, Any]:
    corrected = {"value": 0.47, "low": 0.41, "high": 0.55, "gain": 0.0123, "gain_low": -0.02, "gain_high": 0.04}
    rows = [
        {
            "fold": fold if folds > 1 else -1,
            "way": "network",
            "recipe": "searched",
            "reason": "its settings became a recipe, which competes with the others",
            "trials": 12,
            "pruned": 3,
            "planned_loss": 0.5 + 0.02 * fold,
            "best_loss": 0.4,
            "best_trial": 10,
            "corrected": {**corrected, "n": 80, "n_patients": 40, "resamples": 1000, "reason": ""},
            "tried": tried(fold),
        }
        for fold in range(folds)
    ]
    shares = {"learning_rate": 0.7, "blocks": 0.2, "flip_horizontal": 0.1} if mattered else {}
    knobs = {name: {"low": 0, "high": 0, "log": False, "choices": [], **knob} for name, knob in KNOBS.items()}
    reason = "" if mattered else "3 finished trials are too few to say what mattered; 10 would be needed"
    return {
        "share": 0.2,
        "trial_share": 0.25,
        "most_trials": 40,
        "trials": 12 * folds,
        "complete": 8 * folds,
        "pruned": 3 * folds,
        "failed": folds,
        "seconds": 64.0,
        "loss_name": "log loss",
        "folds": rows,
        "ways": [{"way": "network", "knobs": knobs, "mattered": shares, "mattered_reason": reason}],
    }


@pytest.mark.parametrize("folds", [1, 3])
def test_pictures_say_in_words_what_they_show(folds: int) -> None:
    content = search_content(told(folds))
    pictures = search_pictures(content)
    assert list(pictures) == ["search-history", "search-mattered-0", "search-settings-0"]
    for name, picture in pictures.items():
        assert f'aria-labelledby="{name}-title {name}-desc"' in picture
    assert "Peak learning rate 70%" in pictures["search-mattered-0"]
    assert "after 12 trials" in pictures["search-history"]
    assert "Mirrored left to right" in pictures["search-settings-0"]
    assert search_pictures(search_content(told(folds))) == pictures, "the same bytes for the same data"


def test_where_too_few_trials_tell_that_is_said() -> None:
    content = search_content(told(mattered=False))
    assert content is not None
    assert "search-mattered-0" not in search_pictures(content)
    assert "too few to say" in content["ways"][0]["reason"]


def test_no_trial_is_said_and_draws_nothing() -> None:
    none = told()
    none |= {"trials": 0, "pruned": 0, "failed": 0}
    none["folds"][0] |= {"tried": [], "corrected": None, "best_trial": None, "best_loss": None, "planned_loss": None}
    content = search_content(none)
    assert content is not None
    assert content["sentences"] == ["How to learn better was to be searched, and no trial fitted into its time."]
    assert search_pictures(content) == {}
    assert search_content(None) is None
    assert search_pictures(None) == {}


def test_the_page_puts_the_corrected_loss_beside_the_best(build: ModuleType, tmp_path: Path) -> None:
    text = write_report(build.write_run(tmp_path / "run", {**build.binary(), "search": told()})).read_text("utf-8")
    section = text[text.index('<h3 id="search">') : text.index("<h3>Software</h3>")]
    for wanted in ("<caption>", "12 trials", "0.400", "0.470", "0.410 to 0.550", "0.0123", "−0.0200 to 0.0400"):
        assert wanted in section
    assert section.count("<svg") == 3
    assert "What mattered." in section


def test_values_and_ways_in_words() -> None:
    assert [said(value) for value in (True, False, 2, 0.0123456)] == ["yes", "no", "2", "0.0123"]
    assert way("searched") == "settings found by search"
    assert way("searched-fold3") == "settings found by search in fold 3"
