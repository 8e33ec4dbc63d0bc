"""Read from the Dockerfile what goes into each image."""

import re
from typing import Final

from tests.structure.tree import ROOT

DOCKERFILE: Final = ROOT / "deploy" / "Dockerfile"
BUILT_IN: Final = {"production": ("build",), "sandbox": ("build", "build-sandbox")}
"""Image → the stages whose code it holds."""


def copied_into(image: str) -> list[str]:
    """Return the files and folders of the checkout whose code is in ``image``."""
    copied: list[str] = []
    stage = ""
    for line in DOCKERFILE.read_text("utf-8").splitlines():
        if start := re.match(r"FROM \S+ AS (\S+)$", line):
            stage = start[1]
        elif stage in BUILT_IN[image] and re.match(r"COPY (?!--from)", line):
            *sources, _ = line.split()[1:]
            copied += [source for source in sources if not source.endswith(".lock")]
    return copied
