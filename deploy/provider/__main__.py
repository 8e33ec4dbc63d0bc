"""Start a new provider: ``python -m deploy.provider new SLUG``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Final

from deploy.provider import write
from shared.exit_codes import exit_code

ROOT: Final = Path(__file__).resolve().parents[2]


def main(arguments: list[str]) -> int:
    """Run the command; return the exit code."""
    parser = argparse.ArgumentParser("python -m deploy.provider", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    new = commands.add_parser("new", help="write the folders of a new provider")
    new.add_argument("slug", help="its name in URLs, settings and modules: small letters, digits")
    new.add_argument(
        "--into", type=Path, default=ROOT, help="the checkout to write to (default: this one)"
    )
    given = parser.parse_args(arguments)
    return exit_code(lambda: _new(given.slug, given.into))


def _new(slug: str, root: Path) -> None:
    for path in write(slug, root):
        print(path.relative_to(root))
    print(f"\nmake conformance PROVIDER={slug} says what to write next.")
    print("docs/guides/add-a-provider.md leads through it.")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
