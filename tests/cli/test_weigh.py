"""`weigh` and `compare` as a user types them: what they print, and how they end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from semeion.artefacts import read_json
from support.tiny import PATIENT

Command = Callable[..., Any]


def table(path: Path, n: int = 40, seed: int = 0, **columns: Any) -> Path:
    y = np.random.default_rng(0).integers(0, 2, n)
    p = 1 / (1 + np.exp(-(2 * y - 1 + np.random.default_rng(seed).normal(size=n))))
    rows = {"exam": [f"e{row}" for row in range(n)], "id": [f"{PATIENT}{row // 2}" for row in range(n)], "y": y, "p": p}
    pd.DataFrame({**rows, **columns}).to_csv(path, index=False)
    return path


def test_weigh_prints_figures_notes_and_the_page(command: Command, tmp_path: Path) -> None:
    out = tmp_path / "out"
    named = ("--truth", "y", "--probability", "p", "--patient", "id", "--target", "cancer", "--threshold", "0.4")
    done = command("weigh", table(tmp_path / "p.csv"), *named, "-o", out)
    assert done.status == 0, done.err
    assert "cancer (binary, positive class '1') on 40 external cases, 20 patients:" in done.out
    assert "from a probability of 0.400 on (given, not chosen on these cases)" in done.out
    assert "note: Taken as the case: column 'exam'." in done.out
    assert "Research use only." in done.out
    assert Path(done.out.rstrip().rsplit(" ", 1)[-1]) == out / "weigh.html"
    again = command("report", out)
    assert again.out == f"{out / 'weigh.html'}\n"


def test_a_patient_on_two_sides_ends_with_status_1(command: Command, tmp_path: Path) -> None:
    path = table(tmp_path / "p.csv", split=["val", "test"] * 20)
    done = command("weigh", path, "--patient", "id", "-o", tmp_path / "out", "--operating-point", "accuracy")
    assert done.status == 1
    assert "void: 20 patients are in several splits or folds of the table" in done.out
    assert read_json(tmp_path / "out" / "evidence.json")["operating_point"]["rule"] == "accuracy"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--truth", "yy"), "p.csv: no column 'yy' (--truth), did you mean 'y'?; choose one of exam, id, y, p"),
        (("--threshold", "0.5", "--operating-point", "youden"), "--threshold 0.5 and --operating-point youden are two"),
        (("--weights", "w"), "p.csv: --weights w: case weights are not supported"),
        ((), "p.csv: 'exam', 'id' may each be the case; name one with --case"),
        (("--labels", "0:benign"), "--labels: '0:benign' is not CODE=NAME"),
    ],
)
def test_weigh_refuses_and_writes_nothing(
    options: tuple[str, ...], words: str, refuse: Callable[..., str], tmp_path: Path
) -> None:
    assert words in refuse("weigh", table(tmp_path / "p.csv"), *options, "-o", tmp_path / "out")


def test_compare_prints_sentences(command: Command, tmp_path: Path) -> None:
    paths = [table(tmp_path / f"{name}.csv", seed=seed) for seed, name in enumerate("ab", 1)]
    for path in paths:
        done = command("weigh", path, "--patient", "id", "-o", tmp_path / path.stem)
        assert done.status == 0, done.err
    done = command("compare", tmp_path / "a", tmp_path / "b", "-o", tmp_path / "out", "--split", "external")
    assert done.status == 0, done.err
    assert done.out.startswith("A: a/predictions.parquet, split external\nB: b/predictions.parquet, split external\n")
    assert "AUROC" in done.out and " on 40 cases, 20 patients." in done.out
    assert Path(done.out.rstrip().rsplit(" ", 1)[-1]) == tmp_path / "out" / "compare.html"


def test_compare_refuses_and_writes_nothing(refuse: Callable[..., str], tmp_path: Path) -> None:
    a = table(tmp_path / "a.csv").rename(tmp_path / "x.csv")
    rows = pd.read_csv(a).drop(columns="id")
    rows.to_csv(a, index=False)
    rows.assign(y=1 - rows["y"]).to_csv(tmp_path / "b.csv", index=False)
    assert "the truth differs in 40 cases: e0, e1" in refuse("compare", a, tmp_path / "b.csv", "-o", tmp_path / "out")
