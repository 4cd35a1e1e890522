"""
The command line: one file per command.

Exit codes: 0 sound, done or nothing to do; 1 violations, or work left; 2 wrong usage; 3 the store is missing, locked,
or could not be read or written; 130 interrupted (Ctrl-C); 141 who read the output closed it.
Results go to stdout, progress and errors to stderr.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from ..errors import MissingExtra, StoreError, TimestampGuardError, UsageError
from ..instants import brief
from ._output import LEFT, UNWRITTEN, WRONG, tell

__all__ = ["main"]

INTERRUPTED = 130
BROKEN_PIPE = 141

_EXTRA = {"cyclopts", "rich"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that *arguments* name, those of this process by default, and give its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # whatever is stored can be printed, wherever
            stream.reconfigure(errors="backslashreplace")
    try:
        code = _run(sys.argv[1:] if arguments is None else list(arguments))
        sys.stdout.flush()
    except KeyboardInterrupt as interruption:
        tell(str(interruption) or "interrupted; nothing was written")
        return INTERRUPTED
    except BrokenPipeError:
        # What is still buffered has nowhere to go, and Python would try once more when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    return code


def _run(arguments: list[str]) -> int:
    try:
        return _called(arguments)
    except ImportError as problem:
        if (problem.name or "").partition(".")[0] not in _EXTRA:
            raise
        tell(str(MissingExtra("cli", "the command line")))
        return WRONG
    except UsageError as problem:
        tell(str(problem))
        return WRONG
    except BrokenPipeError:
        raise
    except (StoreError, OSError) as problem:
        tell(str(problem))
        return UNWRITTEN
    except TimestampGuardError as problem:
        tell(str(problem))
        return LEFT
    except Exception as problem:
        if "TIMESTAMP_GUARD_TRACEBACK" in os.environ:
            raise
        tell(
            f"this is a fault of timestamp_guard itself, please report it: {type(problem).__name__}: {problem} "
            f"(with TIMESTAMP_GUARD_TRACEBACK=1 it says where)"
        )
        return LEFT


def _called(arguments: list[str]) -> int:
    """The exit code of the command; what it raises goes through, but for what Cyclopts has to say of the words."""
    import cyclopts

    from ._app import COMMANDS, application

    called = arguments[0] if arguments and arguments[0] in COMMANDS else None
    try:
        code = application(called)(arguments, exit_on_error=False, print_error=False, verbose=False)
    except cyclopts.CycloptsError as problem:
        problem.verbose = False
        said = " ".join(str(problem).split())
        if isinstance(problem, cyclopts.UnusedCliTokensError):
            said = f"{brief(' '.join(problem.unused_tokens or ()))} is one word too many, or no command."
        tell(f"{said} Try: timestamp-guard {called + ' ' if called else ''}--help")
        return WRONG
    return code if isinstance(code, int) else 0
