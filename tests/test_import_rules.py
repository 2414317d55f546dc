"""Who may import whom, what starting up may cost, how long a module may be, and that no machine's path is named."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import pytest

from support.imports import Module, eager_closure, read_package

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "semeion"

COMMON = {"errors", "artefacts", "progress", "parallel", "naming", "calibration", "folds", "provenance"}
"""Modules that any room may import; they import only one another."""

ROOMS: dict[str, set[str]] = {
    "cohort": set(),
    "plan": {"cohort", "prepare.spec", "prepare.volume_spec", "measure.spec"},
    "prepare": {"cohort", "plan"},
    "learn": {"cohort", "plan", "prepare"},
    "measure": {"cohort.volume"},
    "evidence": set(),
    "audit": {"cohort", "prepare", "evidence"},
    "model": {"cohort", "prepare", "measure"},
    "adopt": {"model"},
    "explain": {"cohort", "prepare", "model"},
    "monitor": {"cohort", "prepare", "model"},
    "report": set(),
    "clinic": {"cohort", "prepare", "model", "explain", "monitor", "measure"},
}
"""What each room may import besides itself and COMMON: whole rooms, or one module of a room."""

EVERYTHING = set(ROOMS) | {"study", "cli"}

MODULES: dict[str, set[str]] = {"prepare.spec": set(), "prepare.volume_spec": set(), "measure.spec": set()}
"""Modules with a stricter rule than their room."""

PICTURES = {"cv2", "PIL", "SimpleITK", "pydicom", "gdcm", "onnxruntime", "torch"}
FOREIGN: dict[str, set[str]] = {
    "evidence": PICTURES,
    "plan": PICTURES,
    "report": {"onnxruntime", "torch"},
}
"""Foreign packages that a room must not import."""

ONLY_IN_LEARN = {"torch", "monai", "torchvision", "onnxscript"}

HEAVY = {
    *("torch", "monai", "sklearn", "scipy", "pandas", "pyarrow", "pydicom", "matplotlib", "jinja2", "openpyxl", "onnx"),
    *("rich.progress", "PIL"),
}
STARTS_FAST = ("semeion", "semeion.__main__", "semeion.cli", "semeion.model", "semeion.calibration", "semeion.naming")
STARTS_FAST_TOO = (
    "cohort.image",
    "cohort.reading",
    "cohort.raster",
    "prepare.spec",
    "prepare.transform",
    "prepare.clean",
)
"""What `semeion predict` imports before it sees its first image."""

LONGEST_MODULE = 450
MACHINE_PATH = re.compile(r"(?<![\w.~:/>)}-])/(?:home|root|work|tmp|Users|mnt)/")


def room_of(module: str) -> str:
    """Return ``cohort`` for ``semeion.cohort.image``, ``""`` for ``semeion`` itself."""
    return module.removeprefix("semeion").removeprefix(".").split(".")[0]


def inside_of(module: str) -> str:
    """Return ``cohort.image`` for ``semeion.cohort.image``."""
    return module.removeprefix("semeion").removeprefix(".")


def is_within(module: str, places: set[str]) -> bool:
    """Say whether `module` is one of `places` or lies inside one."""
    return any(module == place or module.startswith(place + ".") for place in places)


def broken_rule(importer: str, imported: str) -> str | None:
    """Return the rule that ``importer imports imported`` breaks (dotted names from ``semeion`` on), or None."""
    room = room_of(importer)
    if not is_within(imported, {"semeion"}):
        if room != "learn" and is_within(imported, ONLY_IN_LEARN):
            return f"only learn imports {imported.split('.')[0]}"
        if is_within(imported, FOREIGN.get(room, set())):
            return f"{room} must not import {imported.split('.')[0]}"
        return None
    target = inside_of(imported)
    if target == "__version__":
        return None
    if room in ("cli", "__main__"):
        return None
    if room_of(imported) in ("cli", "__main__"):
        return "only __main__ imports cli"
    if room in ("", "study"):
        return None
    if target == "":
        return "nothing inside the package imports its public front, `semeion`"
    own = inside_of(importer)
    if own in MODULES:
        allowed, name = MODULES[own], own
    elif room in COMMON:
        allowed, name = COMMON, room
    else:
        allowed, name = {room, *COMMON, *ROOMS.get(room, set())}, room
    if is_within(target, allowed):
        return None
    return f"{name} may import only {', '.join(sorted(allowed)) or 'nothing of semeion'}"


def violations(modules: dict[str, Module], root: Path) -> list[str]:
    """Return one line ``file:line: module imports module: rule`` for every broken rule."""
    return [
        f"{module.file.relative_to(root)}:{found.line}: {module.name} imports {found.module}: {rule}"
        for module in modules.values()
        for found in module.imports
        if (rule := broken_rule(module.name, found.module))
    ]


def text_files() -> list[Path]:
    """Return the project's text files; the tests are left out because some name such paths on purpose."""
    below = [file for part in ("src", "docs", "benchmarks", ".ci") for file in sorted((ROOT / part).rglob("*"))]
    files = [file for file in [*sorted(ROOT.iterdir()), *below] if file.is_file()]
    return [file for file in files if "__pycache__" not in file.parts and b"\0" not in file.read_bytes()[:4096]]


@pytest.fixture(scope="module")
def modules() -> dict[str, Module]:
    return read_package(SOURCE)


def test_every_import_follows_the_table(modules: dict[str, Module]) -> None:
    found = violations(modules, ROOT)
    assert not found, "\n" + "\n".join(found)


def test_every_room_has_a_rule(modules: dict[str, Module]) -> None:
    unknown = {room_of(name) for name in modules} - EVERYTHING - COMMON - {"", "__main__"}
    assert not unknown, f"no import rule for {sorted(unknown)}: add it to the table in {Path(__file__).name}"


def test_predict_starts_without_heavy_packages(modules: dict[str, Module]) -> None:
    named = {*STARTS_FAST, *(f"semeion.{name}" for name in STARTS_FAST_TOO)}
    roots = [name for name in modules if name in named or room_of(name) == "model"]
    chains = eager_closure(modules, roots)
    found = [f"{name} by way of {' -> '.join(chains[name][:-1])}" for name in chains if is_within(name, HEAVY)]
    assert not found, "imported at start-up, move the import into the function that needs it:\n" + "\n".join(found)


def test_modules_stay_short() -> None:
    lengths = {file: len(file.read_text(encoding="utf-8").splitlines()) for file in SOURCE.rglob("*.py")}
    long = [f"{file.relative_to(ROOT)}: {n} lines" for file, n in sorted(lengths.items()) if n >= LONGEST_MODULE]
    assert not long, f"a module has less than {LONGEST_MODULE} lines; split by idea:\n" + "\n".join(long)


def test_no_file_names_a_path_of_a_machine() -> None:
    found = [
        f"{file.relative_to(ROOT)}:{number}: {line.strip()[:100]}"
        for file in text_files()
        for number, line in enumerate(file.read_text(encoding="utf-8", errors="replace").splitlines(), 1)
        if MACHINE_PATH.search(line)
    ]
    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize(
    ("file", "source", "expected"),
    [
        ("evidence/weigh.py", "import semeion.cohort.image", ":1: semeion.evidence.weigh imports semeion.cohort.image"),
        ("evidence/weigh.py", "def f():\n    import cv2", ":2: semeion.evidence.weigh imports cv2: evidence must not"),
        ("model/runtime.py", "def f():\n    from semeion.learn import loop", "model may import only"),
        ("model/runtime.py", "from ..learn import loop", "imports semeion.learn: model may import only"),
        ("model/runtime.py", "if True:\n    import torch.nn as nn", "only learn imports torch"),
        ("plan/rules.py", "from semeion.prepare import transform", "plan may import only"),
        ("prepare/spec.py", "from semeion.errors import InputError", "prepare.spec may import only nothing of semeion"),
        (
            "prepare/volume_spec.py",
            "from semeion.cohort.volume import Grid",
            "prepare.volume_spec may import only nothing",
        ),
        ("plan/rules.py", "from semeion.prepare.volume_store import Entry", "plan may import only"),
        ("cohort/image.py", "from semeion.cli import main", "only __main__ imports cli"),
        ("study/run.py", "from semeion import cli", "only __main__ imports cli"),
        ("errors.py", "from semeion.cohort.image import Image", "errors may import only"),
        ("report/page.py", "import semeion", "public front"),
        (
            "report/page.py",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from semeion.plan.schema import Plan",
            ":3: semeion.report.page imports semeion.plan.schema: report may import only",
        ),
        (
            "report/page.py",
            'import importlib\nimportlib.import_module("semeion.evidence.weigh")',
            "report may import only",
        ),
    ],
)
def test_a_broken_rule_is_found_and_named(tmp_path: Path, file: str, source: str, expected: str) -> None:
    package = write_package(tmp_path, {file: source})
    [line] = violations(read_package(package), tmp_path)
    assert line.startswith(f"semeion/{file}:")
    assert expected in line


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("plan/rules.py", "from semeion.prepare.spec import Preparation\nfrom semeion.prepare import spec"),
        ("plan/rules.py", "from semeion.prepare.volume_spec import VolumePreparation"),
        ("learn/loop.py", "import torch\nfrom semeion.prepare.transform import prepare_image"),
        ("study/run.py", "from semeion.learn import loop\nfrom semeion.report import page"),
        ("__main__.py", "from semeion.cli import main"),
        ("evidence/weigh.py", "import scipy.stats\nfrom semeion.calibration import apply\nfrom .metrics import auroc"),
        ("cohort/image.py", '"""import torch"""'),
        ("model/manifest.py", "from semeion import __version__"),
    ],
)
def test_an_allowed_import_passes(tmp_path: Path, file: str, source: str) -> None:
    package = write_package(tmp_path, {file: source})
    assert violations(read_package(package), tmp_path) == []


def test_what_starts_up_is_followed_through_packages_but_not_into_functions(tmp_path: Path) -> None:
    package = write_package(
        tmp_path,
        {
            "model/runtime.py": "from semeion.cohort.reading import read\ndef f():\n    import scipy",
            "cohort/__init__.py": "from semeion.cohort.table import T",
            "cohort/table.py": "import pandas as pd",
            "cohort/reading.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import torch",
        },
    )
    chains = eager_closure(read_package(package), ["semeion.model.runtime"])
    assert chains["pandas"][-3:] == ("semeion.cohort", "semeion.cohort.table", "pandas")
    assert "scipy" not in chains
    assert "torch" not in chains


@pytest.mark.parametrize("line", ['open("/tmp/x")', "see /home/anna/data", "root: /work/x"])
def test_a_machine_path_is_seen(line: str) -> None:
    assert MACHINE_PATH.search(line)


@pytest.mark.parametrize("line", ["src/work/x.py", "https://example.org/home/x", "a/tmp/b", "in ../work/x"])
def test_other_paths_are_not(line: str) -> None:
    assert not MACHINE_PATH.search(line)


def write_package(folder: Path, files: dict[str, str]) -> Path:
    """Write a small package ``semeion`` with `files` and the modules that they import."""
    package = folder / "semeion"
    present = [
        "cohort/image.py",
        "prepare/spec.py",
        "prepare/transform.py",
        "plan/schema.py",
        "evidence/metrics.py",
        "cli/main.py",
    ]
    for name in ["__init__.py", *present, *files]:
        path = package / name
        path.parent.mkdir(parents=True, exist_ok=True)
        for parent in path.relative_to(folder).parents:
            if parent != Path():
                (folder / parent / "__init__.py").touch()
        path.touch()
    for name, source in files.items():
        (package / name).write_text(textwrap.dedent(source), encoding="utf-8")
    return package
