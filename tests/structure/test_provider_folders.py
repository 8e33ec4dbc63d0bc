"""A simulated provider stands in for one of ours. (``tests/conformance`` checks its contents.)"""

from tests.structure.tree import ROOT


def folders(home: str) -> set[str]:
    return {path.parent.name for path in (ROOT / home).glob("*/__init__.py")}


def test_every_simulated_provider_is_one_of_the_product() -> None:
    simulated = folders("deploy/sandbox/providers")
    assert simulated
    assert simulated <= folders("shared/providers")
