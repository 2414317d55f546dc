"""Where the exported graphs of a segmentation's members lie, and which of a member's two is run.

A network of volumes has a second graph with the same answers that ONNX Runtime runs faster
(:mod:`semeion.learn.flat_graph`). A folder of an earlier version may lack it; then the plain one is run and shipped.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from semeion.study.folder import RunFolder

PLAIN, FAST = "graph.onnx", "graph.fast.onnx"


def graph_to_run(folder: Path) -> Path:
    """Return the graph of a member's folder that a shipped model would run in ONNX Runtime."""
    fast = folder / FAST
    return fast if fast.exists() else folder / PLAIN


def shipped_graphs(run: RunFolder, members: Iterable[str]) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """Return the plain graphs of members by name, and the fast ones of those that have one."""
    folders = {name: run / "members" / name for name in members}
    plain = {name: (folder / PLAIN).read_bytes() for name, folder in folders.items()}
    fast = {name: (folder / FAST).read_bytes() for name, folder in folders.items() if (folder / FAST).exists()}
    return plain, fast
