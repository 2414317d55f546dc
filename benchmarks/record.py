"""Where results go: one JSON file a row, with every reading that was ever made of it."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
PACKAGES = ("semeion", "torch", "onnxruntime", "numpy", "pandas", "opencv-python-headless")


def record(row: str, command: str, figures: dict[str, Any], *, seed: int | None = None) -> None:
    """Append one reading to ``results/<row>.json``; the newest stands last, none is ever removed."""
    path = RESULTS / f"{row}.json"
    readings = json.loads(path.read_text())["readings"] if path.exists() else []
    readings.append(
        {
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "commit": commit(),
            "command": command,
            "seed": seed,
            "machine": machine(),
            "versions": {name: version(name) for name in PACKAGES} | {"python": platform.python_version()},
            "figures": figures,
        }
    )
    RESULTS.mkdir(exist_ok=True)
    path.write_text(json.dumps({"row": row, "readings": readings}, indent=1) + "\n")
    print(f"{row}: {json.dumps(figures)}")


def newest(row: str) -> dict[str, Any] | None:
    """Return the figures of the newest reading, None when the row was never read."""
    path = RESULTS / f"{row}.json"
    return json.loads(path.read_text())["readings"][-1]["figures"] if path.exists() else None


def machine() -> dict[str, Any]:
    """Return the class of machine: enough to compare by, nothing that names it."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(memory),
        "architecture": platform.machine(),
        "accelerator": "none",
        "shared": True,
    }


def commit() -> str:
    """Return the commit that was measured, with ``+`` when the tree differs from it."""

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], capture_output=True, text=True, check=False).stdout.strip()

    return git("rev-parse", "--short", "HEAD") + ("+" if git("status", "--porcelain", "src") else "")


def data() -> Path:
    """Return the folder of real data named by SEMEION_DATA; stop with a message when it is absent."""
    folder = os.environ.get("SEMEION_DATA", "")
    if not folder or not Path(folder).is_dir():
        sys.exit("benchmarks need real data: set SEMEION_DATA to the folder that holds breastmnist/")
    return Path(folder)
