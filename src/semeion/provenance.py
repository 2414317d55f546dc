"""Which code made a run: one hash over the source of the installed package."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parent


@cache
def code_hash(package: Path = PACKAGE) -> str:
    """Return the SHA-256, hexadecimal, of the package's Python files, names included.

    It is that of the lines ``<sha256 of the file>  <path>``, in the order of the paths' bytes, which ``sha256sum``
    writes; so ``find * -name '*.py' | LC_ALL=C sort | xargs sha256sum | sha256sum`` in the package's folder gives the
    same without Semeion. Read once a process: what is edited while it runs is not what it runs.

    Parameters
    ----------
    package
        The folder of the package.
    """
    files = {file.relative_to(package).as_posix(): file for file in package.rglob("*.py")}
    lines = [f"{hashlib.sha256(files[name].read_bytes()).hexdigest()}  {name}\n" for name in sorted(files)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()
