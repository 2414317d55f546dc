"""`curve` as a user types it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from semeion.study import curve as module
from support.tiny import Tiny

Command = Callable[..., Any]


@pytest.mark.parametrize("accepted", [[], ["patient-overlap"]])
def test_curve_prints_sentences_notes_and_the_page(
    command: Command, cohort: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, accepted: list[str]
) -> None:
    told: dict[str, Any] = {}

    def made(source: Path, options: Any, output: Path, progress: Any, **more: Any) -> dict[str, Any]:
        told.update(source=source, options=options, output=output, **more)
        return {"sentences": ["More is better."], "notes": ["A note."], "accepted": accepted}

    monkeypatch.setattr(module, "curve_source", made)
    asked = ("--target", "finding", "--budget", "1m", "--metric", "brier", "--want-width", "0.05", "--seed", "3")
    done = command("curve", cohort.table, *asked, "-o", tmp_path / "out", "-q")
    assert done.status == bool(accepted), done.err
    assert done.out.startswith("More is better.\nnote: A note.\n")
    assert Path(done.out.rstrip().rsplit(" ", 1)[-1]) == tmp_path / "out" / "curve.html"
    assert (told["metric"], told["width"]) == ("brier", 0.05)
    assert (told["options"].budget, told["options"].seed) == (60.0, 3)
    assert told["options"].cohort.target == "finding"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--want-width", "-1"), "-1 is no width; give the whole width"),
        (("--budget", "5"), "'5' has no unit"),
        (("--metric", "mae"), "no figure of a curve of the task binary"),
    ],
)
def test_wrong_options_are_refused(refuse: Any, cohort: Tiny, tmp_path: Path, options: Any, words: str) -> None:
    assert words in refuse("curve", cohort.table, "--target", "finding", "-q", *options, "-o", tmp_path / "out")
