"""Bounds of time and memory for what a graph of others does while it is opened and tried."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from semeion.errors import ModelRefused
from semeion.model.bounds import available_bytes, bounded_memory
from semeion.model.engine import first_line, runtime_errors
from semeion.model.limited import LONGEST, ended_after

__all__ = ["LONGEST", "available_bytes", "bounded_memory", "run_bounded"]


def run_bounded(session: Any, output: str, given: Mapping[str, Any], where: str, seconds: float | None = None) -> Any:
    """Run a graph once and return one output, or stop it.

    Parameters
    ----------
    session
        Of ONNX Runtime.
    output, given
        Name of the output, and the inputs by their names.
    where
        The file, for messages.
    seconds
        That the run may take; :data:`LONGEST` when None.

    Raises
    ------
    ModelRefused
        When the graph fails, asks for more memory than there is, or takes longer.
    """
    allowed = LONGEST if seconds is None else seconds
    with ended_after(allowed) as (options, late):
        try:
            with bounded_memory():
                return session.run([output], dict(given), options)[0]
        except runtime_errors() as error:
            if late.is_set():
                raise ModelRefused(
                    f"the graph did not answer within {allowed:g} s",
                    where=where,
                    fix="export it without loops that have no end, or give a smaller network",
                ) from error
            raise ModelRefused(
                f"the graph fails when it runs on images ({first_line(error)})", where=where, fix="export it again"
            ) from error
