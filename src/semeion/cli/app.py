"""Every command, thin: parse, call, print."""

from __future__ import annotations

import sys
import traceback

import typer

from semeion.cli import adopt, explain, grow, index, learn, monitor, ship, use, weigh
from semeion.cli.options import with_bare_roles
from semeion.errors import SemeionError

app = typer.Typer(
    name="semeion",
    help="From labelled medical images to a diagnosis model that a hospital can trust. Research use only.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

USAGE_ERROR: type[Exception] = typer.BadParameter.__mro__[2]
"""The base of every usage error: typer does not export the class that the command-line parser raises."""


def _shown(text: str) -> str:
    """Return what may stand in a terminal: class names of a model and file names may hold its control sequences."""
    return "".join(letter if letter.isprintable() or letter in "\n\t" else "?" for letter in text)


def run(arguments: list[str], began: float) -> int:
    """Run one command and return its exit status; an error prints one message, with ``--debug`` its traceback."""
    debug = "--debug" in arguments
    arguments = with_bare_roles([argument for argument in arguments if argument != "--debug"])
    try:
        status = int(app(arguments, standalone_mode=False, obj=began) or 0)
        if status == 130:  # typer turns Ctrl-C into this status without a word
            print("semeion: interrupted", file=sys.stderr)
        return status
    except SemeionError as error:
        if debug:
            traceback.print_exc()
        print(f"semeion: {_shown(str(error))}", file=sys.stderr)
        return error.exit_status
    except typer.Exit as error:
        return error.exit_code
    except USAGE_ERROR as error:
        error.show()  # type: ignore[attr-defined]  # what typer does not export, mypy does not see
        return 2
    except (typer.Abort, KeyboardInterrupt):
        print("semeion: interrupted", file=sys.stderr)
        return 130
    except MemoryError:
        print("semeion: memory ran out; give fewer --jobs, or a smaller cohort", file=sys.stderr)
        return 4
    except (BrokenPipeError, SystemExit):  # typer exits where a reader such as `head` closed the pipe
        return 0
    except OSError as error:
        if debug:
            traceback.print_exc()
        print(f"semeion: {error.filename or 'the machine'}: {error.strerror or error}", file=sys.stderr)
        return 4
    except Exception as error:  # the last resort: status 1 would claim that outputs were written
        if debug:
            traceback.print_exc()
        print(f"semeion: unexpected {type(error).__name__}; run again with --debug and report it", file=sys.stderr)
        return 4


def _version(asked: bool) -> None:
    if asked:
        from semeion import __version__

        print(f"semeion {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
    debug: bool = typer.Option(False, "--debug", help="Show the traceback of an error (anywhere on the line)."),
) -> None:
    """Take the options that stand before a command."""


for command in (
    *index.COMMANDS,
    *learn.COMMANDS,
    *grow.COMMANDS,
    *adopt.COMMANDS,
    *use.COMMANDS,
    *explain.COMMANDS,
    *weigh.COMMANDS,
    *monitor.COMMANDS,
    *ship.COMMANDS,
):
    app.command()(command)
