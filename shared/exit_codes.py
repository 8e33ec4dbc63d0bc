"""Turn how a process of ours ends into its exit code and a sentence on standard error.

  0  done, or stopped by a signal
  1  something was refused, or something it needs is away
  2  the input is wrong: arguments, settings, or a port or folder that is already in use
 70  other fetchers gave this one up and took its jobs: it leaves at once, and may be started again

Anything else is a bug of ours and ends in a traceback.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import ClassVar, Final

from shared.errors import TributaryError
from shared.obstacles import obstacle
from shared.transient import is_transient

DONE: Final = 0
REFUSED: Final = 1
MISUSED: Final = 2
GIVEN_UP: Final = 70
"""``EX_SOFTWARE`` of sysexits.h. The fetcher ends with it by itself, so that nothing is flushed."""


class Refusal(Exception):
    """Stop with a sentence for whoever started the process: what, why, what to do."""

    exit_code: ClassVar[int] = REFUSED


class Misuse(Refusal):
    """Stop because the input has to be changed."""

    exit_code = MISUSED


def exit_code(run: Callable[[], int | None], *, needs: str = "The database or Kafka") -> int:
    """Run to the end; return the exit code of ``run`` (None is 0) or of its error.

    ``needs`` names what ``run`` depends on, for people.
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
    """Return the code and the sentence for an error, None for a bug of ours."""
    match error:
        case Refusal():
            return error.exit_code, str(error)
        case TributaryError():
            return REFUSED, error.detail
        case _ if (said := obstacle(error)) is not None:
            return REFUSED, said
        case _ if is_transient(error):
            # After its first line a database's error shows the statement and its parameters.
            told = str(error).partition("\n")[0]
            reason = f"{type(error).__name__}: {told}"
            return REFUSED, f"{needs} does not answer ({reason}). Start it, then try again."
        case _:
            return None
