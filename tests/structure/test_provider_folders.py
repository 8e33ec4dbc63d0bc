"""Every provider's folder has the same files, so that who knows one knows all."""

import pytest

from tests.structure.tree import ROOT

PROVIDERS = ROOT / "shared" / "providers"
SLUGS = sorted(path.parent.name for path in PROVIDERS.glob("*/__init__.py"))
FILES = {"__init__.py", "connector.py", "mapping.py", "problems.py", "walk.py", "tests"}


@pytest.mark.parametrize("slug", SLUGS)
def test_a_provider_is_the_same_files_as_every_other(slug: str) -> None:
    assert {
        path.name for path in (PROVIDERS / slug).iterdir() if path.name != "__pycache__"
    } == FILES


def test_every_simulated_provider_is_one_of_the_product() -> None:
    simulated = {
        path.parent.name
        for path in (ROOT / "deploy" / "sandbox" / "providers").glob("*/__init__.py")
    }
    assert simulated
    assert simulated <= set(SLUGS)
