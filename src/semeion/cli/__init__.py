"""The command line."""

from __future__ import annotations

import sys


def main() -> None:
    """Run one command and exit with its status: see the page on errors and exit statuses."""
    from semeion.cli.app import run
    from semeion.study.clock import process_start

    sys.exit(run(sys.argv[1:], process_start()))
