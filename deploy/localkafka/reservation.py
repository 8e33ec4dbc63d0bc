"""Remember durably below which offset everything is that a partition may have given out."""

from pathlib import Path
from typing import Final

from deploy.localkafka.files import replace_durably

AHEAD: Final = 100_000
"""Offsets that are reserved at once, so that the disk is seldom asked."""
_SKIPS: Final = " skip"


class Reservation:
    """Keep ``end``: no record has had this offset or a higher one, whatever has become of it.

    When the end of a log is lost, the next record gets this offset (``skips``). Readers that know
    what was lost would otherwise take new records for those that they have read.
    """

    def __init__(self, path: Path, *, at_least: int) -> None:
        """Read it. ``at_least`` is the end of the log."""
        self._path = path
        try:
            number, skips, _ = path.read_text("ascii").partition(_SKIPS)
            self._covered, self.skips = int(number), bool(skips)
        except (FileNotFoundError, ValueError):
            # Nothing was written yet, or by an older version, or the file was lost, too.
            self._covered, self.skips = 0, False
            at_least = at_least + AHEAD if at_least else 0
        self.end = max(self._covered, at_least)

    def skip(self) -> None:
        """Let the next record have the offset ``end``."""
        self._write(self.end, skips=True)

    def cover(self, end: int) -> None:
        """Reserve the offsets below ``end``, if they are not.

        Raises:
            OSError: the disk refuses. Nothing may be given out.
        """
        if end > self._covered or self.skips:
            self._write(max(end, self.end) + AHEAD, skips=False)

    def _write(self, end: int, *, skips: bool) -> None:
        replace_durably(self._path, f"{end}{_SKIPS if skips else ''}".encode("ascii"))
        self.end = self._covered = end
        self.skips = skips
