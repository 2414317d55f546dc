"""The environment in which `predict`, `evaluate` and `report` are tested has no torch, and still starts."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from support.core_environment import core_distributions, make_core_environment

TRAIN_ONLY = ("torch", "sklearn", "onnx", "onnxscript", "safetensors", "monai")


@pytest.fixture(scope="module")
def core_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_core_environment(tmp_path_factory.mktemp("core") / "venv")


def run(python: Path, code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([python, "-I", "-c", code], capture_output=True, text=True, check=False, timeout=120)


def test_the_core_installation_needs_no_training_package() -> None:
    names = set(core_distributions())
    assert {"semeion", "numpy", "onnxruntime", "opencv-python-headless"} <= names
    assert not names & {"torch", "scikit-learn", "onnx", "onnxscript", "safetensors", "monai"}


@pytest.mark.parametrize("package", TRAIN_ONLY)
def test_training_packages_are_absent(core_python: Path, package: str) -> None:
    done = run(core_python, f"import {package}")
    assert f"No module named '{package}'" in done.stderr


def test_every_core_dependency_can_be_imported_there(core_python: Path) -> None:
    done = run(
        core_python,
        "import cv2, jinja2, matplotlib, numpy, onnxruntime, openpyxl, pandas, pyarrow, pydantic, pydicom, rich, "
        "scipy, typer, yaml, semeion; print('ok')",
    )
    assert (done.stdout, done.returncode) == ("ok\n", 0), done.stderr
