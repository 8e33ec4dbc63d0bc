"""The one table from how a process of ours ends to its exit code and its sentence on standard error.

0  done, or stopped by a signal
1  something was refused, or something that is needed is away
2  what was written is wrong: arguments, settings, or a port or folder that somebody else is using

Anything else is a fault of ours and ends in a traceback.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import ClassVar, Final

from shared.errors import TributaryError
from shared.transient import is_transient

DONE: Final = 0
REFUSED: Final = 1
MISUSED: Final = 2


class Refusal(Exception):
    """Its text is a sentence for the person who started the process: what, why, what to do."""

    exit_code: ClassVar[int] = REFUSED


class Misuse(Refusal):
    """What to do is to change what was written."""

    exit_code = MISUSED


def exit_code(run: Callable[[], int | None], *, needs: str = "The database or Kafka") -> int:
    """Run to the end and return the exit code: what ``run`` returns (None is 0), or that of its error.

    ``needs`` names, for people, what ``run`` stands on.
    """
    try:
        return run() or DONE
    except Exception as error:
        ended = _ending(error, needs)
        if ended is None:
            raise
        code, sentence = ended
        sys.stderr.write(f"{sentence}\n")
        return code


def _ending(error: Exception, needs: str) -> tuple[int, str] | None:
    """Return the code and the sentence for an error; None for a fault of ours."""
    match error:
        case Refusal():
            return error.exit_code, str(error)
        case TributaryError():
            return REFUSED, error.detail
        case OSError() if error.filename is not None:
            return REFUSED, f"{error.filename} cannot be used ({error.strerror})."
        case _ if is_transient(error):
            # Below the first line of a database's error stand the statement and what it was given.
            told = str(error).partition("\n")[0]
            return (
                REFUSED,
                f"{needs} does not answer ({type(error).__name__}: {told}). Start it, then repeat.",
            )
        case _:
            return None
