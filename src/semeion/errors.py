"""One family of errors: each says what is wrong, where it is, and what to do about it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class SemeionError(Exception):
    """Base of every error that Semeion raises on purpose.

    Parameters
    ----------
    what
        What is wrong, as a statement without a final full stop.
    where
        The place: a file, a table row, a DICOM tag, an argument. Never a patient identifier; a case id is allowed.
    fix
        What the user can do, as an imperative phrase.
    details
        Further lines, one problem each, printed below the message.
    """

    exit_status = 2
    """Exit status of the command line when this error ends a command."""

    def __init__(
        self, what: str, *, where: str | None = None, fix: str | None = None, details: Iterable[str] = ()
    ) -> None:
        self.what, self.where, self.fix, self.details = what, where, fix, tuple(details)
        text = f"{where}: {what}" if where else what
        text = f"{text}; {fix}" if fix else text
        super().__init__("\n  ".join([text, *self.details]))

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.what, self.where, self.fix, self.details))


def _rebuild(
    kind: type[SemeionError], what: str, where: str | None, fix: str | None, details: tuple[str, ...]
) -> SemeionError:
    return kind(what, where=where, fix=fix, details=details)


class InputError(SemeionError):
    """An argument, table, image or plan that cannot be used. Nothing was written."""


class ImageError(InputError):
    """One image that cannot be read or must not be trusted."""


class ModelRefused(SemeionError):
    """A model folder that was changed, is newer than this version, or is no model."""

    exit_status = 3


class MachineError(SemeionError):
    """The machine cannot do it: disk, memory, permission."""

    exit_status = 4


def too_large(image: str) -> MachineError:
    """Return the error of an image that does not fit into memory beside what else is there."""
    return MachineError(
        "memory ran out while this image was read",
        where=image,
        fix="give fewer --jobs, or leave it out",
    )


class TrainingFailed(SemeionError):
    """Learning went wrong after work was done: what was finished is kept, and the plan must change."""

    exit_status = 4


class Interrupted(SemeionError):
    """The user stopped the work. What was done is kept and can be resumed."""

    exit_status = 130


SHORT = 6
"""Letters of a name below which sharing some of them says little."""


def nearest(name: str, names: Iterable[str]) -> str:
    """Return ``", did you mean 'x'?"`` for the closest of `names`, or an empty string when none is close.

    Where one of both has fewer than `SHORT` letters only one slip of the pen may lie between them, or the other must
    begin with it (from four letters on): ``age`` lies within ``image``, and is no slip for it.
    """
    close = difflib.get_close_matches(name, list(names), n=5, cutoff=0.6)
    return next((f", did you mean {one!r}?" for one in close if _near(name, one)), "")


def _near(name: str, other: str) -> bool:
    short, long = sorted((name, other), key=len)
    if len(short) >= SHORT or (len(short) >= SHORT - 2 and long.startswith(short)):
        return True
    start = next((place for place, letter in enumerate(short) if letter != long[place]), len(short))
    rest, more = short[start:], long[start:]
    # A letter too many, a wrong one, or two that changed places.
    return rest in (more[1:], more) or rest[1:] == more[1:] or (rest[1::-1] == more[:2] and rest[2:] == more[2:])
