"""The command line."""

from __future__ import annotations

import sys
from time import monotonic


def main() -> None:
    """Run one command and exit with its status: see the page on errors and exit statuses."""
    began = monotonic()
    from semeion.cli.app import run

    sys.exit(run(sys.argv[1:], began))
