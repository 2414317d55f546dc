"""A method that failed its trials is not shown, and of one that was not tried that is said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from semeion.errors import InputError
from semeion.explain.asking import How
from semeion.explain.run import explained_findings
from semeion.model.several_targets import load_model
from support.pictured import pictured_model, spotted

PASSED = {"verdict": "passed", "cases": "held-out cases", "figures": {"randomised": {"value": 0.1, "n": 40}}}
FAILED = {"verdict": "failed", "reason": "it hardly depends on what the network learned"}


def explained(tmp_path: Path, trials: dict[str, Any] | None, method: Any = "auto") -> dict[str, Any]:
    model = load_model(pictured_model(tmp_path / "model", members=1, explained=trials))
    list(explained_findings(model, [spotted(tmp_path / "a.png")], tmp_path / "why", How(method=method)))
    found: dict[str, Any] = json.loads((tmp_path / "why" / "1.json").read_text())
    return found


def test_a_method_that_passed_says_on_what(tmp_path: Path) -> None:
    [one] = explained(tmp_path, {"activation": PASSED})["explained"]
    assert one["remark"] == "The method passed its trials on this model (held-out cases)."
    assert one["tested"]["verdict"] == "passed"
    assert one["tested"]["figures"]["randomised"]["value"] == 0.1


@pytest.mark.parametrize(
    ("trials", "remark"),
    [
        (None, "The method was not tested on this model."),
        ({"occlusion": PASSED}, "The method was not tested on this model."),
        (
            {"activation": {"verdict": "not_run", "reason": "no time"}},
            "The method was not tested on this model (no time).",
        ),
    ],
)
def test_a_method_that_was_not_tried_is_shown_and_says_so(trials: Any, remark: str, tmp_path: Path) -> None:
    [one] = explained(tmp_path, trials)["explained"]
    assert (one["method"], one["tested"], one["remark"]) == ("activation", None, remark)


def test_a_method_that_failed_is_not_shown(tmp_path: Path) -> None:
    about = explained(tmp_path, {"activation": FAILED})
    assert {path.name for path in (tmp_path / "why").iterdir()} == {"1.json", "explain.json"}
    why = "Activation maps failed the trials on this model and are not shown"
    assert about["why_no_map"] == f"{why}: {FAILED['reason']}."
    assert about["explained"][0]["method"] is None


def test_where_one_method_failed_and_the_other_passed_the_other_is_shown(tmp_path: Path) -> None:
    [one] = explained(tmp_path, {"activation": FAILED, "occlusion": PASSED})["explained"]
    assert one["method"] == "occlusion"


def test_a_failed_method_that_is_asked_for_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match="activation maps failed the trials on this model and are not shown: it hardly"
    ):
        explained(tmp_path, {"activation": FAILED}, method="activation")
    assert not (tmp_path / "why").exists()
