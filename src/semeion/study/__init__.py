"""The road as a whole, for Python: a study is trained into a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__all__ = ["Run", "Study"]

if TYPE_CHECKING:
    from semeion.study.study import Run, Study


def __getattr__(name: str) -> Any:
    # On first use: `semeion evaluate` needs one module of this room, and none of the others.
    if name not in __all__:
        raise AttributeError(f"module 'semeion.study' has no attribute {name!r}")
    from semeion.study import study

    return getattr(study, name)
