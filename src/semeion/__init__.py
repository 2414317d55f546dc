"""Semeion: from labelled medical images to a diagnosis model that a hospital can trust.

>>> import semeion
>>> run = semeion.Study("cohort.csv", target="finding").train(budget="15m", output="runs/finding")  # doctest: +SKIP
>>> run.evidence["metrics"]["oof"]["auroc"]  # doctest: +SKIP
>>> semeion.load_model(run.path / "model").predict(["new/1.png"])  # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

__all__ = ["Model", "Run", "SemeionError", "Study", "__version__", "load_model"]

if TYPE_CHECKING:
    from semeion.errors import SemeionError
    from semeion.model.runtime import Model
    from semeion.model.several_targets import load_model
    from semeion.study import Run, Study

_HOMES = {
    "Model": "semeion.model.runtime",
    "load_model": "semeion.model.several_targets",
    "Run": "semeion.study",
    "Study": "semeion.study",
    "SemeionError": "semeion.errors",
}


def __getattr__(name: str) -> Any:
    # Imported on first use: importing semeion must not take the seconds that torch or pandas take.
    if name not in _HOMES:
        raise AttributeError(f"module 'semeion' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
