"""Everything that is wrong with a source, collected and told at once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from semeion.errors import InputError

SHOWN = 20
"""How many rows or names a message lists before it only counts."""


@dataclass
class Problems:
    """Collects what is wrong in one source, so that a user repairs it in one sitting."""

    where: str
    found: list[tuple[str, str]] = field(default_factory=list)

    def add(self, what: str, fix: str) -> None:
        """Add one problem, as a statement, and what the user can do, as an imperative."""
        self.found.append((what, fix))

    def raise_any(self) -> None:
        """Raise all that was found as one error.

        Raises
        ------
        InputError
            When anything was added.
        """
        if len(self.found) == 1:
            what, fix = self.found[0]
            raise InputError(what, where=self.where, fix=fix)
        if self.found:
            details = [f"{what}; {fix}" for what, fix in self.found]
            raise InputError(f"{len(self.found)} things are wrong", where=self.where, details=details)


def listed(items: Iterable[object], singular: str = "", plural: str = "") -> str:
    """Return ``row 3`` or ``rows 3, 17, 21``, the first 20 and the count of all when there are more."""
    names = [str(item) for item in items]
    word = singular if len(names) == 1 else plural or (f"{singular}s" if singular else "")
    text = ", ".join(names[:SHOWN])
    if len(names) > SHOWN:
        text += f" and {len(names) - SHOWN} more ({len(names)} in all)"
    return f"{word} {text}".strip()
