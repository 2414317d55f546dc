"""A Python environment that holds what ``pip install semeion`` brings, and nothing of ``semeion[train]``."""

from __future__ import annotations

import sysconfig
import venv
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def core_distributions(name: str = "semeion") -> dict[str, Distribution]:
    """Return `name` and everything that it needs without extras, by canonical name, from this environment.

    Raises
    ------
    importlib.metadata.PackageNotFoundError
        When a declared dependency is not installed.
    """
    found: dict[str, Distribution] = {}
    waiting: list[tuple[str, frozenset[str]]] = [(name, frozenset())]
    seen = set(waiting)
    while waiting:
        wanted, extras = waiting.pop()
        found[canonicalize_name(wanted)] = here = distribution(wanted)
        for line in here.requires or []:
            need = Requirement(line)
            applies = need.marker is None or any(need.marker.evaluate({"extra": extra}) for extra in ("", *extras))
            step = (need.name, frozenset(need.extras))
            if applies and step not in seen:
                seen.add(step)
                waiting.append(step)
    return found


def make_core_environment(folder: Path) -> Path:
    """Make a virtual environment in `folder` from links to the installed files, and return its interpreter.

    No download and no copy: it takes well under a second, and holds exactly the releases under test. Start programs
    with ``[interpreter, "-m", "semeion", ...]``; scripts of packages are not linked.
    """
    venv.create(folder, with_pip=False, symlinks=True)
    version = sysconfig.get_python_version()
    site = folder / "lib" / f"python{version}" / "site-packages"
    for name, dist in core_distributions().items():
        if dist.files is None:
            raise PackageNotFoundError(f"{name} has no list of its files")
        tops = {file.parts[0] for file in dist.files} - {"..", "__pycache__"}
        for top in tops:
            link = site / top
            if not link.is_symlink():
                link.symlink_to(Path(str(dist.locate_file(top))))
    return folder / "bin" / "python"
