"""`python -m benchmarks [ROW ...]`: rows that were never read; named rows are read again, and that is logged."""

from __future__ import annotations

import sys

from benchmarks import (
    abstain,
    accuracy,
    classic_keras,
    coverage,
    curve_coverage,
    demo,
    diagnosis,
    drift,
    evidence,
    explain,
    few,
    index,
    memory,
    networks,
    nnunet,
    outside,
    prepare,
    reading,
    segmentation,
    series,
    sliding,
    stenosis,
    tasks,
    training_speed,
)
from benchmarks.record import newest
from benchmarks.sabotage import corpus

ROOMS = (
    reading,
    accuracy,
    few,
    memory,
    demo,
    index,
    series,
    prepare,
    segmentation,
    networks,
    classic_keras,
    diagnosis,
    sliding,
    nnunet,
    stenosis,
    tasks,
    training_speed,
    evidence,
    explain,
    coverage,
    curve_coverage,
    outside,
    abstain,
    drift,
    corpus,
)
ROWS = {row: work for room in ROOMS for row, work in room.ROWS.items()}


def main(names: list[str]) -> None:
    """Run rows by name or by the beginning of their names."""
    unknown = [name for name in names if not any(row.startswith(name) for row in ROWS)]
    if unknown:
        sys.exit(f"no row begins with {unknown[0]!r}; rows: {', '.join(ROWS)}")
    for row, work in ROWS.items():
        if any(row.startswith(name) for name in names) if names else newest(row) is None:
            print(f"== {row}", flush=True)
            work()


if __name__ == "__main__":
    main(sys.argv[1:])
