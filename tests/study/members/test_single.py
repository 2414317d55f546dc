"""One member may ship instead of all: it is the one that is weighed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from semeion.model.runtime import load_model
from semeion.plan.files import read_plan, write_plan
from semeion.plan.schema import CombinationPlan
from support.tiny import make_cohort, save_plan, train_tiny


@pytest.mark.parametrize("scheme", ["given", "folds"])
def test_what_ships_alone_is_what_is_weighed(tmp_path: Path, scheme: str) -> None:
    cohort = make_cohort(tmp_path / "source", split="given" if scheme == "given" else "test")
    file = save_plan(tmp_path, scheme=scheme, repeats=2)
    plan = read_plan(file)
    write_plan(plan.model_copy(update={"combination": CombinationPlan(ship="single")}), file)
    run = train_tiny(cohort, file, tmp_path / "run")
    members = load_model(run.model).manifest.members
    assert len(members) == 1
    table = pd.read_parquet(run.path / "predictions.parquet")
    test = table[table["split"] == "test"]
    raw = [name for name in test if name.startswith("raw_")]
    ensemble = test[test["member"] == "ensemble"].set_index("case_id")[raw]
    alone = test[test["member"] == members[0].name].set_index("case_id")[raw]
    np.testing.assert_array_equal(ensemble.to_numpy(), alone.loc[ensemble.index].to_numpy())
    # Of every fold one member speaks, and only it has a share.
    held = table[table["split"] == ("val" if scheme == "given" else "oof")]
    shares = held[held["member"] != "ensemble"].groupby(["fold", "member"])["share"].first()
    assert (shares.groupby("fold").sum() == 1).all()
    assert set(shares) == {0.0, 1.0}
    assert "standard error" in (run.path / "combination.json").read_text()
