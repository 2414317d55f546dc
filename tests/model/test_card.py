from __future__ import annotations

import pytest

from semeion.model.card import headline, plain, render_card
from semeion.model.manifest import Manifest

EVIDENCE = {
    "source": "breastmnist",
    "splits": {
        "train": {"n": 546, "n_patients": 500, "class_counts": {"benign": 399, "malignant": 147}},
        "test": {"n": 156, "n_patients": None, "class_counts": {"benign": 114, "malignant": 42}},
    },
    "metrics": {
        "test": {
            "auroc": {
                "value": 0.91234,
                "low": 0.85,
                "high": 0.96,
                "n": 156,
                "n_patients": 150,
                "method": "bootstrap",
                "x": 1,
            },
            "recall": {"value": None, "low": None, "high": None, "n": 0, "reason": "no malignant case"},
            "recall_malignant": {"value": 0.5, "low": 0.4, "high": 0.6, "n": 156},
        }
    },
    "operating_point": {"rule": "youden", "value": 0.41, "chosen_on": "val"},
    "calibration": {"method": "temperature", "value": 1.3, "fitted_on": "val"},
    "not_validated": ["Pregnant patients were not | in the data <script>."],
    "audits": {"near-duplicates": {"verdict": "warn", "cases": ["SECRET-7"]}, "class-counts": {"verdict": "clear"}},
    "accepted": ["near-duplicates"],
    "members": [{"name": "a"}, {"name": "b"}],
}


@pytest.mark.parametrize(
    ("calibration", "sentence"),
    [
        ({"value": 1.3}, "Probabilities are scaled by a temperature fitted on validation cases."),
        ({"value": 1.0}, "Probabilities are as the networks give them: no map made them better."),
        (
            {"method": "map", "map": {"kind": "platt", "slope": 1.0, "intercept": 0.2}},
            "Probabilities are calibrated by Platt's slope and intercept fitted on validation cases.",
        ),
        (
            {"method": "map", "maps": {"a": {"kind": "identity"}, "b|": {"kind": "isotonic", "x": [0.0], "y": [0.1]}}},
            "label by label fitted on validation cases: a unchanged, b\\| isotonic regression.",
        ),
    ],
)
def test_it_says_how_probabilities_are_calibrated(parts, calibration, sentence):
    assert sentence in render_card(parts() | {"calibration": calibration}, EVIDENCE)


def test_it_says_what_a_reader_needs(parts):
    card = render_card(parts() | {"inputs": {"photometry": "grey", "modality": ["US"]}}, EVIDENCE)
    assert card.startswith("# finding: a diagnosis model\n")
    for sentence in (
        "Research use only. Not a medical device",
        "It tells normal or benign, malignant apart; the positive class is malignant.",
        "One grey two-dimensional image a case, modality US.",
        "| train | 546 | 500 | benign 399, malignant 147 |",
        "| test | 156 | not known | benign 114, malignant 42 |",
        "On held-out test cases, read once:",
        "| AUROC | 0.912 | 0.850 to 0.960 | 156 |",
        "| Recall | undefined (no malignant case) | none (no malignant case) |",
        "Called malignant when its probability is at least 0.4 (rule youden, chosen on validation cases",
        "- Pregnant patients were not \\| in the data \\<script\\>.",
        "- It was not tried on images of another hospital",
        "- Audit near-duplicates: warn (accepted by the user).",
        "2 networks",
        "semeion predict MODEL_FOLDER image.png -o findings.csv",
    ):
        assert sentence in card, sentence
    assert "SECRET-7" not in card
    assert "class-counts" not in card
    assert "synthetic" not in card


@pytest.mark.parametrize(
    ("task", "sentence"),
    [
        ("multiclass", "It tells these classes apart: a, b, c."),
        ("ordinal", "It grades, from lowest to highest: grade 1, grade 2, grade 3."),
        ("multilabel", "It says of each of these whether it is present: effusion, nodule."),
        ("regression", "It estimates finding in years."),
    ],
)
def test_every_task_has_a_card_even_without_evidence(parts, task, sentence):
    card = render_card(parts(task), {})
    assert sentence in card
    assert "No figures were measured." in card
    assert ("Operating point" in card) == (task != "regression")


def test_synthetic_data_is_said_first(parts):
    card = render_card(parts() | {"synthetic": True}, EVIDENCE)
    assert card.splitlines()[2] == "**Trained on synthetic images. It says nothing about any patient.**"


def test_headline_fits_the_manifest(parts):
    figures = headline(EVIDENCE["metrics"])
    assert list(figures["test"]) == ["auroc", "recall"]
    fields = parts() | {
        "semeion": "0",
        "created": "2026-01-01",
        "evidence": figures,
        "members": [{"name": "m", "file": "m.onnx"}],
        "files": {name: {"size": 1, "sha256": "0" * 64} for name in ("m.onnx", "CARD.md")},
    }
    assert Manifest.model_validate(fields).evidence["test"]["auroc"].high == 0.96


def test_plain_text_cannot_become_markup():
    assert plain("a|b\n# <img>*") == "a\\|b # \\<img\\>\\*"


def test_a_segmentation_card_says_what_is_outlined_and_how_well():
    figure = {"value": 0.9, "low": 0.85, "high": 0.93, "n": 20, "n_patients": 10, "method": "m", "infinite": 1}
    names = ["dice", "dice_left%20part", "hd95_mm_left%20part", "assd_mm_left%20part", "volume_error_ml_left%20part"]
    evidence = {"metrics": {"test": dict.fromkeys(names, figure)}}
    parts = {
        "task": "segmentation",
        "target": "mask",
        "classes": ["left part"],
        "inputs": {"names": ["T1", "FLAIR"], "role": "channels", "images": 2},
        "preparation": {"channels": ["T1", "FLAIR"]},
        "segmentation": {"values": [2], "overlap": 0.5, "postprocess": ["largest:1"]},
    }
    card = render_card(parts, evidence)
    assert "# mask: a segmentation model" in card
    assert "2 volumes (T1, FLAIR; channels of one grid) a case" in card
    assert "| Dice of left part | 0.900 | 0.850 to 0.930 | 20 |" in card
    assert "| 95 % Hausdorff distance of left part, mm |" in card
    assert "Windows overlap by 50%" in card
    assert "Post-processing: largest:1. Values in the mask: 2 left part" in card
    assert "--masks masks" in card
    assert "infinite" not in headline(evidence["metrics"])["test"]["dice"]


@pytest.mark.parametrize(
    ("members", "sentence"),
    [
        ([("network", 0.5), ("network", 0.5)], "2 networks; the mean of their outputs is taken."),
        ([("network", 1.0), ("network", 0.0)], "2 networks learned; one of them ships alone."),
        (
            [("frozen", 0.75), ("network", 0.25)],
            "2 members; the mean of the outputs is taken, weighted by their shares.",
        ),
        (
            [("frozen", 0.5), ("network", 0.0), ("tuned", 0.5)],
            "3 members; the mean of the outputs of the 2 that have a share is taken, weighted by their shares.",
        ),
    ],
)
def test_it_says_how_members_become_one(parts, members, sentence):
    told = [{"name": str(n), "recipe": recipe, "share": share} for n, (recipe, share) in enumerate(members)]
    assert sentence in render_card(parts(), EVIDENCE | {"members": told})
