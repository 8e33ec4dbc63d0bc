"""``python -m tests.documents``: run the documents' commands and write down what they print.

Named documents only: ``python -m tests.documents README.md docs/tutorial.md``. Read the difference
before you commit it: an output that changed is a change that users see.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.documents.blocks import DOCUMENTS, read, steps, write
from tests.documents.reader import Reader, reading, settled
from tests.support.product import product


def rewritten(text: str, reader: Reader) -> str:
    """Return a document with the outputs that came, where they are not those it shows."""
    parts, done, came = [], 0, ""
    for step in steps(text):
        printed = reader.does(step)
        came = came if printed is None else printed
        if step.kind == "output" and settled(came) != settled(step.body):
            parts += [text[done : step.start], came, "\n"]
            done = step.end
    return "".join([*parts, text[done:]])


def main(names: list[str]) -> int:
    for name in names or DOCUMENTS:
        with (
            tempfile.TemporaryDirectory() as folder,
            product(Path(folder)) as running,
            reading(running, Path(folder) / "checkout") as reader,
        ):
            write(name, rewritten(read(name), reader))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
