"""Composition root of `hlu`: from arguments to an exit code.

0 as wanted · 1 a step failed · 2 usage · 3 drift · 4 a file of the user or a definition has faults
5 the supervisor cannot be asked · 6 refused · 70 a fault of this program · 130 interrupted
"""

from __future__ import annotations

import io
import os
import sys

from hero_livekit_units.cli import quick
from hero_livekit_units.errors import (
    CatalogError,
    DaemonError,
    DefinitionInvalid,
    PlanInvalid,
    PlanRefused,
    RegistryError,
    SettingRefused,
    UnitsError,
    VerifyRefused,
)

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_DEFINITION = 4
EXIT_REFUSED = 6
EXIT_BUG = 70
EXIT_INTERRUPTED = 130

_CODES: tuple[tuple[type[UnitsError], int], ...] = (
    (DefinitionInvalid, EXIT_DEFINITION),
    (CatalogError, EXIT_DEFINITION),
    (PlanInvalid, EXIT_DEFINITION),
    (RegistryError, quick.EXIT_SUPERVISOR),
    (PlanRefused, EXIT_REFUSED),
    (SettingRefused, EXIT_REFUSED),
    (DaemonError, EXIT_REFUSED),
    (VerifyRefused, EXIT_REFUSED),
)


def run() -> None:
    """Entry point of the console script."""
    # A terminal that cannot show a sign of ours shows another one instead.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    sys.exit(main(sys.argv[1:]))


def main(arguments: list[str]) -> int:
    """Run one command; errors become one line, a hint and an exit code."""
    try:
        if arguments in (["status"], ["status", "--json"], ["status", "--evidence"]):
            # Before anything else is loaded: this command is typed, and polled, more than all others together.
            return quick.status(as_json="--json" in arguments, evidence="--evidence" in arguments)
        from hero_livekit_units.cli.commands import hlu  # noqa: PLC0415

        return _click(hlu, arguments)
    except UnitsError as error:
        return _tell(error)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; what was done stays done, and the same command goes on from there\n")
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader has left. What is still to be written goes nowhere, or the interpreter would complain at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILED
    except Exception:  # noqa: BLE001  the last one who can tell the user; whatever is not a UnitsError is our fault
        import traceback  # noqa: PLC0415

        traceback.print_exc()
        sys.stderr.write("this is a fault of hlu itself; the lines above say where\n")
        return EXIT_BUG


def _click(command: object, arguments: list[str]) -> int:
    import click  # noqa: PLC0415

    if not isinstance(command, click.Command):
        raise TypeError(f"not a command: {command!r}")
    try:
        result = command.main(arguments, prog_name="hlu", standalone_mode=False)
    except click.exceptions.Exit as leave:
        return leave.exit_code
    except click.ClickException as error:
        error.show()
        return EXIT_USAGE
    except click.Abort as error:
        raise KeyboardInterrupt from error
    return result if isinstance(result, int) else 0


def _tell(error: UnitsError) -> int:
    sys.stderr.write(f"{error}\n")
    if error.hint:
        sys.stderr.write(f"hint: {error.hint}\n")
    return next((code for kind, code in _CODES if isinstance(error, kind)), EXIT_FAILED)
