"""``semeion adopt`` on the command line: what it prints, and the statuses of what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from adopt.graphs import graph_of, saved
from semeion.artefacts import read_json
from support.tiny import Tiny, make_cohort

Refuse = Callable[..., str]
Command = Callable[..., Any]
SAID = ("--scale", "0..1", "--classes", "benign,malignant")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return saved(graph_of(weights=[[60.0]], bias=[-24.0]), tmp_path / "given")


def adopting(model: Path, cohort: Tiny, *more: str | Path) -> tuple[str | Path, ...]:
    out = cohort.table.parents[1] / "run"
    return ("adopt", model, cohort.table, "--target", cohort.target, "-o", out, "-q", "--jobs", "1", *more)


def test_it_prints_where_the_network_comes_from_and_how_good_it_is(
    command: Command, model: Path, tmp_path: Path
) -> None:
    cohort = make_cohort(tmp_path / "source", n=40, split="given")
    done = command(*adopting(model, cohort, *SAID, "--learned-from", "other pictures", "--sets", "0"))
    assert done.status == 0, done.err
    assert done.out.startswith("Trained elsewhere (its file was written by elsewhere 1). As the user states")
    assert "finding (binary, positive class 'malignant') on 10 test cases" in done.out
    assert f"Model:  {tmp_path / 'run' / 'model'}" in done.out
    assert read_json(tmp_path / "run" / "run.json")["finished"]
    findings = command("predict", tmp_path / "run" / "model", cohort.image(0), "-o", tmp_path / "findings.csv", "-q")
    assert findings.status == 0, findings.err


def test_what_is_not_said_is_wrong_usage(refuse: Refuse, model: Path, cohort: Tiny) -> None:
    assert "--scale: how pixels become the network's numbers is not in the graph" in refuse(*adopting(model, cohort))
    # A range below 0 is a value, and no option.
    said = refuse(*adopting(model, cohort, "--scale", "-1..1"))
    assert said.startswith("--classes: which class each output stands for is not in the graph")
    assert "unknown layout 'chw'" in refuse(*adopting(model, cohort, *SAID, "--layout", "chw"))
    assert "no such file; correct the path" in refuse(*adopting(model.parent / "other.onnx", cohort, *SAID))
    assert "no such file or folder" in refuse("adopt", model, cohort.table.parent / "c.csv", "-o", model.parent / "r")
    (model.parent / "taken").mkdir()
    (model.parent / "taken" / "notes.txt").write_text("mine", encoding="utf-8")
    taken = refuse("adopt", model, cohort.table, "-t", "finding", *SAID, "-o", model.parent / "taken")
    assert "is not empty and holds no run" in taken


def test_a_file_that_is_no_graph_is_a_model_refused(refuse: Refuse, model: Path, cohort: Tiny) -> None:
    broken = model.parent / "broken.onnx"
    broken.write_bytes(model.read_bytes()[:100])
    assert "broken.onnx: not an ONNX graph" in refuse(*adopting(broken, cohort, *SAID), status=3)
    pickled = model.parent / "model.pth"
    pickled.write_bytes(b"\x80\x04.")
    assert "a PyTorch file, whose pickle can run any code; export it first: torch.onnx.export" in refuse(
        *adopting(pickled, cohort, *SAID), status=3
    )
