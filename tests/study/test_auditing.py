from __future__ import annotations

import numpy as np
import pandas as pd

from semeion.evidence.weigh import weigh
from semeion.study.auditing import looks_of, prediction_audits
from support.judged import POINTS, QUESTION, known, table, wrongly_sure


def facts_of(case_ids: list[str], dark: np.ndarray) -> pd.DataFrame:
    """Return facts with thumbnails, of which those of `dark` are darker."""
    stream = np.random.default_rng(0)
    pixels = stream.integers(120, 180, (len(case_ids), 32, 32)).astype(np.uint8)
    pixels[dark] //= 4
    return pd.DataFrame({"case_id": case_ids, "thumb": [one.tobytes() for one in pixels]})


def test_images_that_look_alike_and_are_called_wrong_are_found() -> None:
    found = table(400, strength=4.0)
    dark = np.arange(0, 400, 7)
    spoiled = wrongly_sure(found, dark, 0.9)
    looks = looks_of(facts_of(spoiled["case_id"].tolist(), dark))
    weighed = weigh(spoiled, QUESTION, points=POINTS, resamples=100)
    audits = prediction_audits(spoiled, QUESTION, POINTS, weighed, None, embedding=looks, readings=1)
    assert audits["hidden-strata"]["verdict"] == "warn"
    assert audits["hidden-strata"]["figures"]["worst_part"].startswith("cluster")
    assert audits["test-reuse"]["figures"] == {"readings": 1}


def test_age_and_sex_make_the_trivial_model_unasked() -> None:
    found = table(200)
    columns = known(found, age=np.arange(200.0), lesion_score=np.arange(200.0))
    weighed = weigh(found, QUESTION, points=POINTS, resamples=100)
    audits = prediction_audits(found, QUESTION, POINTS, weighed, columns)
    assert audits["trivial-baseline"]["figures"]["covariates"] == "age"


def test_facts_without_thumbnails_say_nothing_of_looks() -> None:
    assert looks_of(pd.DataFrame({"case_id": ["a"]})) is None
    assert looks_of(pd.DataFrame({"case_id": ["a"], "thumb": [b""]})) is None
    some = facts_of(["a", "b"], np.array([], dtype=int))
    some.loc[0, "thumb"] = b""
    looks = looks_of(some)
    assert looks is not None
    assert looks.drop(columns="case_id").isna().all(axis=1).tolist() == [True, False]
    assert looks.shape == (2, 1 + 256)
