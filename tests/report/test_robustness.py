"""The section on images made worse: pictures, table, sentences, and what is said where nothing was measured."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pytest

from semeion.errors import InputError
from semeion.report.page import write_report
from semeion.report.robustness import strength_words


def figure(value: float | None, low: float | None = None, high: float | None = None) -> dict[str, Any]:
    return {"value": value, "low": low, "high": high, "n": 40, "n_patients": 20, "method": "m"}


def entry(strength: float, unit: str, auroc: float, gain: tuple[float, float, float], changed: float) -> dict[str, Any]:
    return {
        "strength": strength,
        "unit": unit,
        "metrics": {
            "auroc": figure(auroc, auroc - 0.05, auroc + 0.04),
            "recall": figure(0.7, 0.6, 0.8),
            "specificity": figure(0.9, 0.85, 0.95),
            "changed": figure(changed, changed / 2, 2 * changed),
        },
        "difference": {"auroc": figure(*gain)},
    }


PIXELS = "pixels of the network's input"
MEASURED: dict[str, Any] = {
    "about": {
        "measured": True,
        "reason": "",
        "model": "f" * 64,
        "seed": 0,
        "n": 40,
        "n_patients": 20,
        "of_patients": 900,
        "undegraded": {
            "auroc": figure(0.931, 0.88, 0.96),
            "recall": figure(0.75, 0.6, 0.8),
            "specificity": figure(0.91, 0.85, 0.95),
        },
        "degradations": {
            "noise": {"unit": "HU", "identity": 0, "how": "White Gaussian noise is added."},
            "blur": {"unit": PIXELS, "identity": 0, "how": "Blurred by a Gaussian."},
        },
        "not_applicable": {"jpeg": "JPEG is for pictures of 8 bits, and these have more"},
        "falls_first": {"degradation": "blur", "strength": 1.0, "step": 0, "figure": "auroc"},
        "largest_deviation": 1e-9,
    },
    "test": {
        "noise": [
            entry(10, "HU", 0.929, (-0.002, -0.01, 0.004), 0.02),
            entry(20, "HU", 0.9, (-0.031, -0.1, 0.01), 0.04),
        ],
        "blur": [
            entry(1, PIXELS, 0.852, (-0.079, -0.12, -0.031), 0.137),
            entry(2, PIXELS, 0.61, (-0.321, -0.4, -0.2), 0.44),
        ],
    },
}


def section(folder: Path) -> str:
    text = (folder / "report.html").read_text(encoding="utf-8")
    start = text.index('<section id="robustness">')
    return text[start : text.index("</section>", start)].replace("\u00a0", " ").replace("&#39;", "'")


def written(build: ModuleType, folder: Path, robustness: dict[str, Any] | None, **choices: Any) -> str:
    run = build.write_run(folder / "run", build.binary() | ({} if robustness is None else {"robustness": robustness}))
    write_report(run, **choices)
    return section(run)


def test_pictures_table_and_sentences_say_what_was_measured(build: ModuleType, tmp_path: Path) -> None:
    text = written(build, tmp_path, MEASURED)
    assert "AUROC falls beyond its interval first with a blur of 1 pixel of the network's input" in text
    assert "the mildest of 2 strengths" in text
    assert "0.852 (0.80 to 0.89) against 0.931 (0.88 to 0.96) on the images as they are" in text
    assert "difference −0.079 (−0.120 to −0.031)." in text
    assert "from: a blur of 1 pixel of the network's input (14 %)." in text
    assert "40 test cases of 20 patients, drawn at random from 900, made worse in 4 ways" in text
    for name in ("robust-noise", "robust-blur"):
        assert f'aria-labelledby="{name}-title {name}-desc"' in text
    assert "as is: 0.931 (0.88 to 0.96); 1: 0.852" in text
    assert "<caption" in text
    assert '<th scope="row">noise of 20 HU</th>' in text
    assert "44 %" in text
    assert "<b>JPEG compression</b>: JPEG is for pictures of 8 bits" in text
    assert "other files must have been read" not in text


def test_the_first_page_and_the_standards_are_told(build: ModuleType, tmp_path: Path) -> None:
    written(build, tmp_path, MEASURED)
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    failures = page[page.index("Known failures") : page.index("</dd>", page.index("Known failures"))]
    assert "falls beyond its interval first with a blur" in failures
    assert '<a href="#robustness">' in page
    crosswalk = (tmp_path / "run" / "crosswalk.html").read_text(encoding="utf-8")
    assert "Of 40 test cases made worse (noise, blur)" in crosswalk
    content = json.loads((tmp_path / "run" / "report.json").read_text(encoding="utf-8"))["robustness"]
    assert content["parts"][1]["rows"][0]["figures"]["auroc"]["value"] == 0.852


def test_where_nothing_falls_that_is_said(build: ModuleType, tmp_path: Path) -> None:
    steady = {
        "about": {**MEASURED["about"], "falls_first": None, "largest_deviation": 0.2},
        "test": {"noise": MEASURED["test"]["noise"]},
    }
    text = written(build, tmp_path, steady)
    assert "At no strength tried is it shown that AUROC falls" in text
    assert "At no strength tried does one call in ten differ" in text
    assert "other probabilities than when the figures were made (largest difference 0.200)" in text
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "beyond its interval" not in page


@pytest.mark.parametrize("gain", [(-0.05, -0.09, -0.01), (0.05, 0.01, 0.09), (-0.03, None, None)])
def test_an_interval_that_does_not_hold_none_is_not_said_to(build: ModuleType, tmp_path: Path, gain: Any) -> None:
    about = {**MEASURED["about"], "falls_first": None}
    noise = [entry(10, "HU", 0.9, gain, 0.02), entry(20, "HU", 0.929, (-0.002, -0.01, 0.004), 0.04)]
    text = written(build, tmp_path, {"about": about, "test": {"noise": noise}})
    assert "always holds 0" not in text
    assert "It is shown of no strength tried that AUROC falls there and at every stronger one." in text


@pytest.mark.parametrize(
    ("about", "says"),
    [
        ({"reason": "there are no test cases", "command": None}, "<b>Not measured</b>: there are no test cases.</p>"),
        (
            {"reason": "nothing was left of the budget", "command": "semeion audit RUN --full"},
            "<code>semeion audit RUN",
        ),
    ],
)
def test_what_was_not_measured_is_said_with_the_reason(
    build: ModuleType, tmp_path: Path, about: dict[str, Any], says: str
) -> None:
    text = written(build, tmp_path, {"about": {"measured": False, **about}})
    assert says in text
    assert "<svg" not in text


def test_an_older_run_names_the_command_and_an_external_page_says_nothing(build: ModuleType, tmp_path: Path) -> None:
    assert "<code>semeion audit RUN --full</code>" in written(build, tmp_path, None)
    evidence = build.binary()
    figures = evidence["metrics"].pop("test")
    evidence["metrics"] = {"external": figures}
    run = build.write_run(tmp_path / "external", evidence)
    write_report(run)
    assert 'id="robustness"' not in (run / "report.html").read_text(encoding="utf-8")


def strip(folder: Path, name: str = "robustness-blur.png") -> None:
    (folder / "gallery").mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(folder / "gallery" / "robustness-blur.png"), np.full((12, 60), 90, np.uint8))
    listed = {"case_id": "17 <b>", "strips": [{"degradation": "blur", "file": name, "pictures": 3}]}
    (folder / "gallery" / "robustness.json").write_text(json.dumps(listed), encoding="utf-8")


def test_one_case_is_shown_unless_pictures_are_not_wanted(build: ModuleType, tmp_path: Path) -> None:
    run = build.write_run(tmp_path / "run", build.binary() | {"robustness": MEASURED})
    strip(run)
    write_report(run)
    text = section(run)
    assert text.count('class="strip"') == 1
    assert "Case 17 &lt;b&gt; as the network sees it: as it is, a blur of 1 pixel" in text
    write_report(run, pictures=False)
    assert "strip" not in section(run)
    assert "<svg" in section(run)


def test_a_strip_outside_the_gallery_is_refused(build: ModuleType, tmp_path: Path) -> None:
    run = build.write_run(tmp_path / "run", build.binary() | {"robustness": MEASURED})
    strip(run, "../secret.png")
    with pytest.raises(InputError, match="is not a file name"):
        write_report(run)


def test_strengths_in_words() -> None:
    assert strength_words("blur", 0.5, "mm") == "a blur of 0.5 mm"
    assert strength_words("blur", 1, "voxels") == "a blur of 1 voxel"
    assert strength_words("crop", 10, "% of height and width") == "10 % of height and width cut away"
    assert strength_words("contrast", 0.4, "of the contrast") == "0.4 of the contrast left"
    assert strength_words("low_dose", 25, "% of the dose") == "25 % of the dose"


def test_the_same_evidence_gives_the_same_bytes(build: ModuleType, tmp_path: Path) -> None:
    run = build.write_run(tmp_path / "run", build.binary() | {"robustness": MEASURED})
    strip(run)
    first = write_report(run).read_bytes()
    assert write_report(run).read_bytes() == first
