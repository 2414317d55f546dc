"""nnU-Net on the same cases, in an environment of its own, for the side-by-side row of the hippocampus.

``NNUNET_PYTHON`` names the interpreter of an environment that holds nnunetv2 (``pip install torch==2.14.1
torchvision==0.29.1`` and then ``pip install nnunetv2``): it and Semeion's pinned torch do not go together.
"""

from __future__ import annotations

import csv
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

from benchmarks import tables
from benchmarks.record import newest, record

DATASET = "Dataset004_Hippocampus"
TRAINER = "nnUNetTrainer_1epoch"
"""The shortest of nnU-Net's own training lengths: one epoch of 250 steps."""
SHORT = "8m"
"""For the model whose prediction alone is timed."""


def nnunet_row() -> None:
    """Train one epoch of nnU-Net's 3d_fullres, predict the held-out cases, and record Dice and times."""
    python = os.environ.get("NNUNET_PYTHON")
    if not python or not Path(python).exists():
        sys.exit("set NNUNET_PYTHON to an interpreter whose environment holds nnunetv2")
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        held_out = _dataset(folder, tables.hippocampus(folder))
        environment = {
            **os.environ,
            **{f"nnUNet_{name}": str(folder / name) for name in ("raw", "preprocessed", "results")},
            "nnUNet_compile": "f",
            "nnUNet_n_proc_DA": "1",
        }
        seconds: dict[str, float] = {}
        cpu: dict[str, float] = {}
        tools = Path(python).parent
        for step, words in (
            ("prepare", ["nnUNetv2_plan_and_preprocess", "-d", "4", "-c", "3d_fullres", "-npfp", "1", "-np", "1"]),
            ("train", ["nnUNetv2_train", "4", "3d_fullres", "all", "-tr", TRAINER, "-device", "cpu"]),
            (
                "predict",
                [
                    "nnUNetv2_predict",
                    "-i",
                    str(folder / "test"),
                    "-o",
                    str(folder / "out"),
                    "-d",
                    "4",
                    "-c",
                    "3d_fullres",
                    "-f",
                    "all",
                    "-tr",
                    TRAINER,
                    "-device",
                    "cpu",
                    "-npp",
                    "1",
                    "-nps",
                    "1",
                ],
            ),
        ):
            began, before = perf_counter(), _cpu()
            done = subprocess.run([str(tools / words[0]), *words[1:]], env=environment, capture_output=True, text=True)
            if done.returncode:
                sys.exit(f"{words[0]} failed:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
            seconds[step] = round(perf_counter() - began, 1)
            cpu[step] = round(_cpu() - before, 1)
        dice = _dice(folder / "out", held_out)
    figures: dict[str, Any] = {
        "dice": round(sum(dice) / len(dice), 4),
        "n": len(dice),
        "epochs": 1,
        "seconds": seconds,
        "cpu_seconds": cpu,
        "predict_seconds_a_case": round(seconds["predict"] / len(dice), 2),
        "semeion": (newest("segment-hippocampus-seed0") or {}).get("test", {}).get("dice"),
    }
    record("nnunet-hippocampus", f"{TRAINER} of nnunetv2, 3d_fullres, on the same training cases", figures)


def prediction_row() -> None:
    """Time our own prediction of the same held-out cases, by a model whose plan is that of the 45-minute row.

    How long a network takes does not hang on how long it learned, so a short budget follows the plan of the long one.
    """
    labels = ["--target", "mask", "--task", "segmentation", "--split", "split", "--labels", "1=anterior,2=posterior"]
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        table = tables.hippocampus(folder)
        with table.open(newline="") as file:
            held_out = {case["image"]: Path(case["mask"]) for case in csv.DictReader(file) if case["split"] == "test"}
        plan, run, masks = folder / "plan.yaml", folder / "run", folder / "masks"
        _semeion(["plan", str(table), *labels, "--budget", "45m", "-o", str(plan), "--quiet"])
        short = ["--plan", str(plan), "--budget", SHORT, "--quiet", "-o", str(run)]
        _semeion(["train", str(table), *labels, *short])
        began, before = perf_counter(), _cpu()
        findings = folder / "findings.csv"
        _semeion(["predict", str(run / "model"), *held_out, "--masks", str(masks), "--quiet", "-o", str(findings)])
        seconds, cpu = perf_counter() - began, _cpu() - before
        with findings.open(newline="") as file:
            found = {row["image"]: findings.parent / row["mask"] for row in csv.DictReader(file)}
        dice = [_dice_of(found[image], truth) for image, truth in held_out.items()]
        evidence = json.loads((run / "evidence.json").read_text())
    theirs = newest("nnunet-hippocampus") or {}
    figures = {
        "n": len(dice),
        "plan": "45m",
        "learned": SHORT,
        "cores": len(os.sched_getaffinity(0)),
        "dice": round(sum(dice) / len(dice), 4),
        "choice": {one["question"]: one["chosen"] for one in evidence["choice"]},
        "seconds_a_case": round(seconds / len(dice), 2),
        "cpu_seconds_a_case": round(cpu / len(dice), 2),
        "nnunet": {
            "seconds_a_case": theirs.get("predict_seconds_a_case"),
            "cpu_seconds_a_case": round(theirs["cpu_seconds"]["predict"] / theirs["n"], 2) if theirs else None,
            "when": "read in a run of its own",
        },
    }
    record("predict-hippocampus", "semeion predict RUN/model IMAGE... --masks DIR", figures, seed=0)


def _semeion(words: list[str]) -> None:
    done = subprocess.run([sys.executable, "-m", "semeion", *words], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{words[0]} failed with {done.returncode}:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")


def _cpu() -> float:
    """Return the processor seconds of finished children: what a busy machine does not stretch."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _dataset(folder: Path, table: Path) -> dict[str, Path]:
    """Lay out the raw data set as nnU-Net wants it and return the held-out masks by case."""
    raw = folder / "raw" / DATASET
    for name in ("imagesTr", "labelsTr"):
        (raw / name).mkdir(parents=True)
    (folder / "test").mkdir()
    held_out = {}
    with table.open(newline="") as file:
        cases = list(csv.DictReader(file))
    for case in cases:
        test = case["split"] == "test"
        place = folder / "test" if test else raw / "imagesTr"
        shutil.copy(case["image"], place / f"{case['case_id']}_0000.nii.gz")
        if test:
            held_out[case["case_id"]] = Path(case["mask"])
        else:
            shutil.copy(case["mask"], raw / "labelsTr" / f"{case['case_id']}.nii.gz")
    facts = {
        "channel_names": {"0": "MRI"},
        "labels": {"background": 0, "anterior": 1, "posterior": 2},
        "numTraining": len(cases) - len(held_out),
        "file_ending": ".nii.gz",
    }
    (raw / "dataset.json").write_text(json.dumps(facts))
    return held_out


def _dice(folder: Path, held_out: dict[str, Path]) -> list[float]:
    """Return the mean Dice of both parts for each held-out case."""
    return [_dice_of(folder / f"{case}.nii.gz", reference) for case, reference in held_out.items()]


def _dice_of(found: Path, reference: Path) -> float:
    import numpy as np
    import SimpleITK as sitk

    said, true = (sitk.GetArrayFromImage(sitk.ReadImage(str(path))) for path in (found, reference))
    each = [2 * np.sum((said == k) & (true == k)) / (np.sum(said == k) + np.sum(true == k)) for k in (1, 2)]
    return float(np.mean(each))


ROWS: dict[str, Callable[[], None]] = {"nnunet-hippocampus": nnunet_row, "predict-hippocampus": prediction_row}
