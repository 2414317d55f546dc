"""Fixtures of the report's tests: the builder of run folders and a headless browser."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


def _load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"report_{name}", Path(__file__).with_name(f"{name}.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def build() -> ModuleType:
    """The module that builds evidence and run folders."""
    return _load("builder")


@pytest.fixture(scope="session")
def written(build: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A function that returns the run folder of a task with its report, written once."""
    from semeion.report.page import write_report

    made: dict[str, Path] = {}

    def run(task: str) -> Path:
        if task not in made:
            folder = build.write_run(tmp_path_factory.mktemp(task) / "run", build.BUILDERS[task]())
            assert write_report(folder) == folder / "report.html"
            made[task] = folder
        return made[task]

    return run


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Headless Chromium; absent: skipped with a reason, or failed in CI."""
    chrome = _load("chrome")
    program = chrome.find()
    if program is None:
        reason = f"no browser found: install one of {', '.join(chrome.NAMES)}"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    tab = chrome.Browser(program)
    yield tab
    tab.close()
