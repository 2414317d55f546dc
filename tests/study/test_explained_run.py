"""A finished run is opened for research on its maps, as the page on explanations shows it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from semeion.errors import InputError
from semeion.study.explained_run import opened_run
from support.tiny import TinyRun


def test_every_case_outside_the_test_is_seen_once_by_members_that_held_it_out(tiny_run: TinyRun) -> None:
    opened = opened_run(tiny_run.path)
    test = set(np.flatnonzero((opened.cohort.table["split"] == "test").to_numpy()))
    seen: list[int] = []
    for side, sight in opened.sights():
        assert not set(side.rows) & set(side.learned_from)
        seen += [int(row) for row in side.rows]
        pictures = opened.store.take(side.rows[:1])
        look = sight.look(pictures)
        [found] = sight.maps(pictures, look, sight.targets(sight.said(look)), "activation")
        assert found.shape == (1, *pictures.shape[2:])
        assert float(np.ptp(found)) > 0
    assert sorted(seen) == sorted(set(range(len(opened.cohort.table))) - test)


def test_a_folder_that_holds_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"plan\.executed\.yaml: no such plan"):
        opened_run(tmp_path)
