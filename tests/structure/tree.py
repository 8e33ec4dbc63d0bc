"""Read the checkout as text, for the rules of structure."""

from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PRODUCT = ("services", "shared", "deploy")
EXEMPT = {"tests", "migrations"}
VENVS = {".venv", ".venv-dev", ".venv-strangers"}
UNTRACKED = VENVS | {
    ".git",
    ".cache",
    ".tributary",
    ".hypothesis",
    "__pycache__",
    ".env",
    "results",
}


def tracked_files() -> Iterator[Path]:
    """Yield everything a commit could hold, without asking git: a tarball is checked alike."""
    pending = [ROOT]
    while pending:
        for path in sorted(pending.pop().iterdir()):
            if path.name in UNTRACKED or path.name.endswith("_cache"):
                continue
            if path.is_dir():
                pending.append(path)
            else:
                yield path


def product_files(*suffixes: str) -> Iterator[Path]:
    """Yield the product's own files without tests and migrations; all suffixes if none is given."""
    for path in tracked_files():
        folders = path.relative_to(ROOT).parts[:-1]
        if not folders or folders[0] not in PRODUCT or EXEMPT.intersection(folders):
            continue
        if not suffixes or path.suffix in suffixes:
            yield path


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def text(path: Path) -> str:
    """Return a file's text; bytes of a picture or font become marks that match no rule."""
    return path.read_text("utf-8", errors="replace")
